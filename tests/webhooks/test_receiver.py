"""The receive URL ahead of Django's handler: the same answers, without what Django does around each request."""

import json
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import pytest
from django.core.signals import request_started
from django.http import HttpRequest, HttpResponse

from tests.webhooks.inbox import Inbox
from webhooks import views
from webhooks.models import CapturedRequest
from webhooks.receiver import Receiver


class Caller:
    """Calls a WSGI application (PEP 3333); keeps what it answered."""

    status = ""
    headers: dict[str, str]

    def call(self, path: str, method: str = "POST", body: bytes = b"", **environ: str) -> Any:
        """The body of the answer, read as JSON."""
        given: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "REMOTE_ADDR": "192.0.2.1",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
            "wsgi.url_scheme": "http",
            **environ,
        }
        answer = b"".join(Receiver(elsewhere)(given, self.start))
        return json.loads(answer)

    def start(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.status, self.headers = status, dict(headers)


def elsewhere(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """What stands behind the receiver."""
    start_response("200 OK", [])
    return [b'"elsewhere"']


@pytest.mark.django_db(transaction=True)
def test_a_request_is_stored_and_answered() -> None:
    inbox, caller = Inbox(), Caller()

    said = caller.call(inbox.receive_path, body=b"sent", HTTP_X_REQUEST_ID="one-of-the-senders")

    assert caller.status == "200 OK"
    assert bytes(CapturedRequest.objects.get(pk=said["id"]).body) == b"sent"
    assert caller.headers["X-Request-Id"] == "one-of-the-senders"
    assert int(caller.headers["Content-Length"]) == len(json.dumps(said))


def test_every_other_path_goes_on() -> None:
    assert Caller().call("/webhook/new") == "elsewhere"


def test_a_refusal_has_the_shape_of_every_error() -> None:
    caller = Caller()

    said = caller.call("/webhook/receive/nobodys-key")

    assert caller.status.startswith("404 ")
    assert said["error"] == "not_found"
    assert said["request_id"] == caller.headers["X-Request-Id"]


def test_what_nobody_foresaw_is_a_500_that_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(request: HttpRequest, key: str) -> HttpResponse:
        raise RuntimeError("a secret")

    monkeypatch.setattr(views, "receive", breaks)
    caller = Caller()

    said = caller.call("/webhook/receive/key")

    assert caller.status.startswith("500 ")
    assert said["error"] == "internal_error"
    assert "a secret" not in json.dumps(said)
    assert "a secret" in caplog.text
    assert said["request_id"] == caller.headers["X-Request-Id"]


def test_nothing_looks_after_database_connections_that_a_sender_has_not() -> None:
    heard: list[str] = []

    def hear(**given: Any) -> None:
        heard.append("request_started")

    request_started.connect(hear)
    try:
        Caller().call("/webhook/receive/key")
    finally:
        request_started.disconnect(hear)
    assert heard == []
