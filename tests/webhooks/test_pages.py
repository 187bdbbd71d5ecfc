"""The page of an inbox as the server makes it: what is there without a script, and that nothing captured can act."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.test import Client

from instantlite.resource import State
from tests.webhooks.inbox import Inbox
from tests.webhooks.page import BROWSER, EVIL, client, shown
from tests.webhooks.page import form as post
from webhooks import stream
from webhooks.models import Endpoint

__all__ = ["client"]

pytestmark = pytest.mark.usefixtures("platform")

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


@pytest.fixture
def inbox(platform: None) -> Inbox:
    return Inbox(wish={"name": "orders"})


def pane(client: Client, inbox: Inbox, path: str, status: int = 200) -> str:
    return shown(client, inbox, path, status, HX_Request="true", HX_Target="pane")


def test_the_list_and_what_to_send_where_are_there_without_a_script(client: Client, inbox: Inbox) -> None:
    first, second = inbox.sent("/orders?id=1", b"{}", content_type="application/json"), inbox.sent(method="PURGE")
    page = shown(client, inbox)
    assert page.index(f"r-{second}") < page.index(f"r-{first}")
    assert f'href="/webhooks/{inbox.token}/{first}"' in page
    assert "/orders?id=1" in page
    assert "PURGE" in page
    assert f"curl {inbox.answer['receive_url']}" in page
    assert "/listen.py | python3 - \\\n" in page
    assert page.count(f"{inbox.token} \\\n    --forward") == 1
    assert "<title>orders · instantlite</title>" in page


def test_one_request_is_there_in_every_tab(client: Client, inbox: Inbox) -> None:
    captured = inbox.sent("/a?x=1&x=%3Cb%3E", b'{"key": [1.10]}', content_type="application/json", X_Two="two")
    assert "1.10" in shown(client, inbox, f"/{captured}")
    headers = shown(client, inbox, f"/{captured}?tab=headers")
    assert re.search(r'<th scope="row">X-Two</th><td>two</td>', headers, re.IGNORECASE)
    assert headers.count('<th scope="row">x</th>') == 2
    assert "POST /webhook/receive/" in shown(client, inbox, f"/{captured}?tab=raw")
    assert f"/webhook/{inbox.token}/requests/{captured}/curl" in headers


def test_htmx_gets_the_part_that_it_asks_for(client: Client, inbox: Inbox) -> None:
    captured = inbox.sent(body=b"hello")
    assert "<html" not in pane(client, inbox, f"/{captured}")
    assert "hello" in pane(client, inbox, f"/{captured}")
    found = shown(client, inbox, "", HX_Request="true", HX_Target="found")
    assert found.lstrip().startswith('<div id="found"')
    # Coming back through its history htmx wants all of it.
    back = shown(client, inbox, "", HX_Request="true", HX_Target="found", HX_History_Restore_Request="true")
    assert "<html" in back


def test_no_page_is_kept_found_framed_or_named_to_others(client: Client, inbox: Inbox) -> None:
    captured = inbox.sent(body=b"x")
    paths = ("", f"/{captured}", "/settings", f"/compare?left={captured}&right={captured}", f"/{uuid4()}")
    for path in paths:
        answer = client.get(f"/webhooks/{inbox.token}{path}", headers=BROWSER)
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer["Cache-Control"] == "no-store"
        assert answer["X-Robots-Tag"] == "noindex"
        assert answer["Referrer-Policy"] == "same-origin"
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", answer.content.decode())


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", EVIL.encode()),
        ("application/json", b'{"<script>alert(1)</script>": "<img src=x onerror=alert(2)>"}'),
        ("application/json", b"{" + EVIL.encode()),
        ("application/xml", b"<a b='&lt;script>'><script>alert(1)</script></a>"),
        ("application/x-www-form-urlencoded", f"{quote(EVIL)}={quote(EVIL)}".encode()),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="<script>alert(1)</script>"; filename="<img src=x>"\r\n'
            b"Content-Type: text/<script>\r\n\r\n<script>alert(1)</script>\r\n--b--\r\n",
        ),
        ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("<script>alert(1)</script>", b"\0<script>alert(1)</script>"),
    ],
)
def test_nothing_captured_becomes_markup(client: Client, inbox: Inbox, content_type: str, body: bytes) -> None:
    fields: dict[str, str] = {"X_Evil": EVIL, "content_type": content_type}
    captured = inbox.sent(f"/{EVIL}?{EVIL}", body, method="<script>", **fields)
    other = inbox.sent(f"/{EVIL}", body, **fields)
    for path in (
        "",
        *(f"/{captured}?tab={tab}" for tab in ("body", "headers", "query", "raw")),
        f"/compare?left={captured}&right={other}",
        f"/compare?right={other}",
        f"?q={quote(EVIL)}&header={quote(EVIL)}",
    ):
        page = shown(client, inbox, path)
        assert "<script>" not in page
        assert not re.search(r"<(img|svg|b|a)[^>]*(onerror|x>|/evil)", page)
        assert "<script>" in unescape(page)


def test_a_hostile_name_of_the_inbox_is_text(client: Client, inbox: Inbox) -> None:
    hostile = Inbox(wish={"name": EVIL})
    for path in ("", "/settings"):
        page = shown(client, hostile, path)
        assert "<script>alert" not in page
        assert "onerror=alert(2)>" not in page


def test_a_picture_is_served_by_its_bytes_and_as_nothing_else(client: Client, inbox: Inbox) -> None:
    captured = inbox.sent(body=PNG, content_type="text/html")
    assert f"/{captured}/picture" in shown(client, inbox, f"/{captured}")
    answer = client.get(f"/webhooks/{inbox.token}/{captured}/picture")
    assert answer["Content-Type"] == "image/png"
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"].startswith("attachment")
    svg = inbox.sent(body=b"<svg xmlns='http://www.w3.org/2000/svg'/>", content_type="image/svg+xml")
    assert client.get(f"/webhooks/{inbox.token}/{svg}/picture").status_code == 404


def test_a_long_body_is_cut_until_all_of_it_is_asked_for(client: Client, inbox: Inbox) -> None:
    captured = inbox.sent(body=b"a" * 500_000 + b"END", content_type="text/plain")
    page = shown(client, inbox, f"/{captured}")
    assert "END" not in page
    assert len(page) < 200_000
    assert "whole=1" in page
    assert "END" in shown(client, inbox, f"/{captured}?whole=1")
    assert "END" in shown(client, inbox, f"/{captured}?tab=raw&whole=1")


def test_the_search_is_a_form_that_says_kindly_what_is_wrong(client: Client, inbox: Inbox) -> None:
    wanted, other = inbox.sent("/tea", X_Kind="green"), inbox.sent("/coffee")
    for query in ("q=tea", "path=/tea", "header=X-Kind:%20green", "method=POST&path=/te", "q=tea&since=10m"):
        page = shown(client, inbox, f"?{query}")
        assert f"r-{wanted}" in page
        assert f"r-{other}" not in page
    assert f'href="/webhooks/{inbox.token}/{wanted}?q=tea"' in shown(client, inbox, "?q=tea")
    page = shown(client, inbox, "?since=soon")
    assert "how long ago" in page
    assert 'value="soon"' in page


def test_fifty_rows_are_shown_and_a_link_goes_on(client: Client, inbox: Inbox) -> None:
    ids = [inbox.sent(f"/{number}") for number in range(53)]
    page = shown(client, inbox)
    assert page.count('<li id="r-') == 50
    older = re.search(rf'href="/webhooks/{inbox.token}(\?before=[^"]+)"', page)
    assert older
    rows = shown(client, inbox, older[1], HX_Request="true", HX_Target="older")
    assert re.findall(r'id="r-([^"]+)"', rows) == ids[2::-1]
    assert "<html" not in rows


def test_the_list_reads_no_body_and_few_statements(client: Client, inbox: Inbox, statements: list[str]) -> None:
    for number in range(10):
        inbox.sent(f"/{number}", b"secret body")
    statements.clear()
    shown(client, inbox)
    read = [text for text in statements if "webhooks_capturedrequest" in text]
    assert len(read) == 1
    assert '"body"' not in read[0]
    assert '"webhooks_capturedrequest"."headers"' not in read[0]
    assert len([text for text in statements if text.lstrip().upper().startswith("SELECT")]) <= 4


def test_two_requests_are_compared_normalised_or_as_sent(client: Client, inbox: Inbox) -> None:
    left = inbox.sent(body=b'{"a": 1, "b": 2}', content_type="application/json")
    right = inbox.sent(body=b'{"b": 2,"a": 1}', content_type="application/json")
    assert ">the same<" in shown(client, inbox, f"/compare?left={left}&right={right}")
    page = shown(client, inbox, f"/compare?left={left}&right={right}&normalise=0")
    assert "<del>" in page
    assert f"left={left}&amp;right={right}" in shown(client, inbox, f"/compare?right={right}")
    assert pane(client, inbox, "/compare", 404)


def test_a_test_request_is_a_capture_like_any_other(client: Client, inbox: Inbox) -> None:
    answer = post(client, inbox, "/test")
    assert answer.status_code == 303
    (captured,) = inbox.items()
    assert answer["Location"] == f"/webhooks/{inbox.token}/{captured['id']}"
    assert captured["path"] == "/test"
    assert inbox.detail(captured["id"])["kind"] == "json"


def test_the_answer_is_changed_and_the_next_sender_gets_it(client: Client, inbox: Inbox) -> None:
    fields = {"status": "202", "content_type": "text/plain", "headers": "X-A: 1\r\nX-B: 2", "delay_seconds": ""}
    answer = post(client, inbox, "/settings", **fields, body="{{ request.query.x }}!", cors="on")
    assert answer["Location"] == f"/webhooks/{inbox.token}/settings?done=answer"
    sent = inbox.send("?x=7")
    assert (sent.status_code, sent.content, sent["X-B"]) == (202, b"7!", "2")
    page = shown(client, inbox, "/settings?done=answer")
    assert "Saved." in page
    assert "X-A: 1\nX-B: 2" in page
    post(client, inbox, "/settings", cors="on")
    assert inbox.send().json()["ok"] is True


def test_a_preview_shows_the_answer_and_saves_nothing(client: Client, inbox: Inbox) -> None:
    answer = post(client, inbox, "/settings", status="418", body="short & stout", cors="on", preview="1")
    assert "HTTP/1.1 418" in answer.content.decode()
    assert "short &amp; stout" in answer.content.decode()
    assert inbox.send().status_code == 200


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("status", "999", "200 to 599"),
        ("headers", "Set-Cookie: a=b", "Set-Cookie"),
        ("headers", "no colon", "a name is"),
        ("delay_seconds", "60", "0 to 10"),
        ("body", "{{ request.nothing }}", "request has method"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(client: Client, inbox: Inbox, field: str, value: str, says: str) -> None:
    answer = post(client, inbox, "/settings", **{field: value})
    page = unescape(answer.content.decode())
    assert answer.status_code == 400
    problem = re.search(r'<p class="problem" id="p-(\w+)">([^<]*)</p>', page)
    assert problem
    assert problem[1] == {"delay_seconds": "delay"}.get(field, field)
    assert says in problem[2]
    assert value in page


def test_name_expiry_and_end_are_forms(client: Client, inbox: Inbox) -> None:
    assert post(client, inbox, "/name", name="  invoices ").status_code == 303
    assert inbox.get().json()["name"] == "invoices"
    assert post(client, inbox, "/name", name="").status_code == 400
    before = inbox.get().json()["expires_at"]
    assert post(client, inbox, "/extend", ttl="1h").status_code == 303
    assert inbox.get().json()["expires_at"] > before
    assert post(client, inbox, "/extend", ttl="soon").status_code == 400
    one, two = inbox.sent(), inbox.sent()
    assert post(client, inbox, f"/{one}/delete").status_code == 303
    assert inbox.listed() == [two]
    post(client, inbox, "/clear")
    assert inbox.listed() == []
    post(client, inbox, "/delete")
    assert "expired or was deleted" in shown(client, inbox, status=410)


def test_no_form_works_without_its_token(client: Client, inbox: Inbox) -> None:
    for path in ("/test", "/settings", "/name", "/extend", "/clear", "/delete"):
        assert client.post(f"/webhooks/{inbox.token}{path}", headers=BROWSER).status_code == 403
    assert client.post("/webhooks/new", headers=BROWSER).status_code == 403
    assert inbox.get().status_code == 200


def test_an_unknown_token_and_an_expired_one_lead_to_a_new_inbox(client: Client, inbox: Inbox) -> None:
    unknown = client.get("/webhooks/webhook_nonsense", headers=BROWSER)
    assert unknown.status_code == 404
    Endpoint.objects.update(state=State.GONE)
    page = shown(client, inbox, status=410)
    assert unknown["Content-Type"].startswith("text/html")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    made = client.post("/webhooks/new", {"csrfmiddlewaretoken": token[1]}, headers=BROWSER)
    assert made.status_code == 303
    assert client.get(made["Location"], headers=BROWSER).status_code == 200
    # A script hears it in the one shape of errors, and htmx loads the page anew.
    answer = client.get(f"/webhooks/{inbox.token}", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.json()["error"], answer["HX-Refresh"]) == (410, "gone", "true")


def test_a_request_of_another_inbox_is_not_there(client: Client, inbox: Inbox) -> None:
    captured = Inbox().sent()
    for path in (f"/{captured}", f"/{captured}/picture", f"/compare?left={captured}&right={captured}"):
        shown(client, inbox, path, status=404)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[stream.Hub]:
    """One of this test's own: its connection is closed with it."""
    own = stream.Hub()
    monkeypatch.setattr(stream, "hub", own)
    yield own
    own.end()


@pytest.mark.usefixtures("hub")
def test_the_stream_sends_rows_that_match_the_search(client: Client, inbox: Inbox) -> None:
    other, wanted = inbox.sent("/other"), inbox.sent("/<b>wanted")
    answer: Any = client.get(f"/webhooks/{inbox.token}/events?path=/%3Cb&after={'0' * 8}-0000-0000-0000-{'0' * 12}")
    assert answer["Content-Type"] == "text/event-stream"
    chunks = iter(answer.streaming_content)
    text = ""
    while wanted not in text:
        text += next(chunks).decode()
    answer.close()
    assert f"id: {other}\n\n" in text
    assert f'data: <li id="r-{wanted}"' in text
    assert "r-" + other not in text
    assert "<b>wanted" not in text
