"""One captured request through the API: exact, readable, and safe to download."""

import base64
import json
from typing import Any

import pytest

from tests.webhooks.inbox import Inbox

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def test_a_text_body_is_text(inbox: Inbox) -> None:
    request_id = inbox.sent("/a?x=1&x=2&y", '{"größe": 1}'.encode(), content_type="application/json", x_kind="push")
    detail = inbox.detail(request_id)
    assert detail["ok"] is True
    assert detail["id"] == request_id
    assert (detail["body"], detail["charset"], detail["body_base64"]) == ('{"größe": 1}', "utf-8", None)
    assert detail["kind"] == "json"
    assert detail["size"] == 14
    assert ["X-Kind", "push"] in detail["headers"]
    assert detail["query"] == [["x", "1"], ["x", "2"], ["y", ""]]
    assert detail["url"] == f"{inbox.answer['receive_url']}/a?x=1&x=2&y"
    assert detail["http_version"] == "1.1"


def test_other_bodies_are_base64(inbox: Inbox) -> None:
    body = bytes(range(256))
    detail = inbox.detail(inbox.sent(body=body))
    assert detail["body"] is None
    assert base64.b64decode(detail["body_base64"]) == body


def test_a_multipart_body_is_listed_and_its_parts_are_files(inbox: Inbox) -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
        b'--B\r\nContent-Disposition: form-data; name="f"; filename="../<b>.html"\r\nContent-Type: text/html\r\n\r\n'
        b"<script>\xff\r\n--B--\r\n"
    )
    request_id = inbox.sent(body=body, content_type="multipart/form-data; boundary=B")
    note, file = inbox.detail(request_id)["parts"]
    assert (note["name"], note["filename"], note["text"]) == ("note", None, "hello")
    assert (file["name"], file["filename"], file["content_type"], file["size"]) == ("f", "../<b>.html", "text/html", 9)
    answer = inbox.get(f"/requests/{request_id}/parts/2")
    assert answer.content == b"<script>\xff"
    safe(answer, "application/octet-stream")
    for number in ("0", "3", "99999999999999999999"):
        assert inbox.get(f"/requests/{request_id}/parts/{number}").json()["error"] == "not_found"


@pytest.mark.parametrize(
    "content_type", ["text/html", "image/svg+xml", "application/javascript", "text/plain", "\xe9/x"]
)
def test_the_bytes_are_an_attachment_whatever_they_say_they_are(inbox: Inbox, content_type: str) -> None:
    body = b"<script>alert(1)</script>\0\xff"
    request_id = inbox.sent(body=body, content_type=content_type)
    answer = inbox.get(f"/requests/{request_id}/raw")
    assert answer.content == body
    safe(answer, "application/octet-stream")


def test_har(inbox: Inbox) -> None:
    request_id = inbox.sent("/x", b"a=1", content_type="application/x-www-form-urlencoded")
    answer = inbox.get(f"/requests/{request_id}/har")
    entry = json.loads(answer.content)["log"]["entries"][0]
    assert entry["request"]["url"] == f"{inbox.answer['receive_url']}/x"
    assert entry["request"]["postData"]["text"] == "a=1"
    safe(answer, "application/json")


def test_curl(inbox: Inbox) -> None:
    request_id = inbox.sent("/x", b"it's", x_kind="push")
    answer = inbox.get(f"/requests/{request_id}/curl")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert inbox.answer["receive_url"] in answer.content.decode()
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_body_that_was_too_large_says_so(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    environ: Any = {"instantlite.body_too_large": 1024, "CONTENT_LENGTH": "2000000"}
    refused = inbox.api.generic("POST", inbox.receive_path, "", **environ)
    assert (refused.status_code, refused.json()["error"]) == (413, "payload_too_large")
    (item,) = inbox.items()
    assert (item["size"], item["too_large"]) == (2_000_000, True)
    assert inbox.get(f"/requests/{item['id']}/raw").json()["error"] == "not_found"
    detail = inbox.detail(item["id"])
    assert (detail["size"], detail["too_large"], detail["body"]) == (2_000_000, True, "")


def safe(answer: object, content_type: str) -> None:
    headers = answer.headers  # type: ignore[attr-defined]  # Django's response, which the test client gives as any
    assert headers["Content-Type"] == content_type
    assert headers["Content-Disposition"].startswith('attachment; filename="')
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
