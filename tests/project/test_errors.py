"""Errors outside of any one call: unknown paths, methods, unforeseen exceptions, bodies that are too large."""

import json
import logging
import socket
from typing import Any

import pytest
from django.db import OperationalError
from rest_framework.test import APIClient

from instantlite.resource import Wish
from provisioning import pool
from tests.service import Service

# Whatever is answered has been counted against the caller's limit first.
pytestmark = pytest.mark.django_db

API_PATHS = ["/db", "/db/", "/db/x/y/z", "/webhook/x", "/cache/x", "/nothing"]


@pytest.mark.parametrize("path", API_PATHS)
def test_an_unknown_path_is_json_for_curl(api: APIClient, path: str) -> None:
    answer = api.get(path, headers={"accept": "*/*"})
    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"
    assert answer.json()["request_id"] == answer["X-Request-Id"]


@pytest.mark.parametrize("path", API_PATHS[:-1])
def test_an_api_path_is_never_a_page(api: APIClient, path: str) -> None:
    answer = api.get(path, headers={"accept": "text/html"})
    assert answer["Content-Type"] == "application/json"


def test_a_browser_on_an_unknown_path_gets_a_page(api: APIClient) -> None:
    answer = api.get("/nothing", headers={"accept": "text/html"})
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


def test_a_probe_with_the_wrong_method_is_told_in_the_one_shape(api: APIClient) -> None:
    answer = api.post("/livez")
    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
    assert "GET" in answer["Allow"]


def test_a_foreign_host_is_refused_in_the_one_shape(api: APIClient) -> None:
    answer = api.get("/admin/login/", headers={"host": "evil.example"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_an_unforeseen_exception_is_logged_once_and_tells_nothing(
    api: APIClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(wish: Wish) -> None:
        raise RuntimeError("secret details")

    monkeypatch.setattr(pool, "hand_out", breaks)
    api.raise_request_exception = False
    with caplog.at_level(logging.ERROR):
        answer = api.post("/db/new", headers={"x-request-id": "my-own-id-1"})
    assert answer.status_code == 500
    assert answer.json()["error"] == "internal_error"
    assert answer.json()["request_id"] == "my-own-id-1"
    assert b"secret details" not in answer.content
    ours = [record for record in caplog.records if record.name.startswith("instantlite")]
    assert [getattr(record, "request_id", None) for record in ours] == ["my-own-id-1"]


def test_our_own_database_away_is_a_503(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(wish: Wish) -> None:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(pool, "hand_out", away)
    answer = api.post("/db/new")
    assert (answer.status_code, answer.json()["error"]) == (503, "database_unavailable")
    assert int(answer["Retry-After"]) == answer.json()["retry_after_seconds"] == 2


@pytest.mark.parametrize("offered", ["short", "x" * 65, "with space and more", "new\nline-in-it", "ünïcödé-id"])
def test_a_request_id_that_could_forge_a_log_line_is_not_taken(api: APIClient, offered: str) -> None:
    answer = api.get("/nothing", headers={"x-request-id": offered})
    assert answer["X-Request-Id"] != offered
    assert len(answer["X-Request-Id"]) == 32


class TestBodies:
    """Through a real server: the bound on bodies sits in front of Django."""

    MEGABYTE = 1024 * 1024

    def assert_too_large(self, answer: Any) -> None:
        assert (answer.status_code, answer.json()["error"]) == (413, "payload_too_large")
        assert "1048576 bytes at most" in answer.json()["message"]

    def test_ten_megabytes_are_refused(self, service: Service) -> None:
        self.assert_too_large(service.post("/db/new", data=b"x" * (10 * self.MEGABYTE)))

    def test_ten_megabytes_in_chunks_are_refused(self, service: Service) -> None:
        chunks = (b"x" * 65536 for _ in range(160))
        self.assert_too_large(service.post("/db/new", data=chunks))

    def test_a_chunked_body_is_read(self, service: Service) -> None:
        body = (part for part in (b'{"name": ', b'"in parts"}'))
        answer = service.post("/db/new", data=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["name"]) == (201, "in parts")

    def test_a_megabyte_of_unknown_fields_is_a_400(self, service: Service) -> None:
        body = json.dumps({f"f{number}": number for number in range(50_000)})
        answer = service.post("/db/new", data=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert answer.json()["message"].startswith("f0: is not a known field")


class TestUnreadableRequests:
    """What gunicorn refuses before Django is asked."""

    @pytest.mark.parametrize(
        ("sent", "status", "code"),
        [
            (b"GET / HTTP/9.9\r\n\r\n", 400, "invalid_request"),
            (b"nonsense\r\n\r\n", 400, "invalid_request"),
            (b"GET /db/x HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", 400, "invalid_request"),
            (b"GET /db/x HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400, "invalid_request"),
            (b"POST /db/new HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nx", 400, "invalid_request"),
            (b"POST /db/new HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nx", 400, "invalid_request"),
            (b"GET /db/" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n", 414, "uri_too_long"),
            (b"GET /db/x HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 431, "headers_too_large"),
        ],
    )
    def test_they_are_answered_in_the_one_shape(self, service: Service, sent: bytes, status: int, code: str) -> None:
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as raw:
            raw.sendall(sent)
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert set(json.loads(body)) == {"ok", "error", "message", "request_id"}
        assert json.loads(body)["error"] == code
