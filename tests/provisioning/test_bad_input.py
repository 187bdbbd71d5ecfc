"""Whatever is sent to /db/new, the answer is an error in the one shape that says what is wrong; no database goes."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from instantlite.errors import CODES
from provisioning.models import Database

pytestmark = pytest.mark.django_db


def assert_error(answer: Any, status: int, code: str, says: str) -> None:
    assert answer.status_code == status, answer.content
    body = answer.json()
    assert set(body) == {"ok", "error", "message", "request_id"}
    assert body["ok"] is False
    assert body["error"] == code
    assert says in body["message"]
    assert body["request_id"] == answer["X-Request-Id"]
    assert answer["Content-Type"] == "application/json"
    assert not Database.objects.exclude(created_at=None).exists()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"ttl": 59}, "ttl: must be from 60 seconds"),
        ({"ttl": "59s"}, "ttl: must be from 60 seconds"),
        ({"ttl": "25h"}, "to 86400 seconds"),
        ({"ttl": 10**30}, "ttl:"),
        ({"ttl": -5}, "ttl:"),
        ({"ttl": 90.5}, "ttl:"),
        ({"ttl": True}, "ttl:"),
        ({"ttl": "soon"}, "ttl:"),
        ({"ttl": ""}, "ttl:"),
        ({"ttl": "९०"}, "ttl:"),
        ({"ttl": "9" * 5000}, "ttl:"),
        ({"ttl": ["2h"]}, "ttl:"),
        ({"name": ""}, "name:"),
        ({"name": "   "}, "name:"),
        ({"name": "x" * 121}, "name:"),
        ({"name": "a\x00b"}, "name: must not contain control characters"),
        ({"name": "a\nb"}, "name: must not contain control characters"),
        ({"name": "\ud800"}, "name: must not contain control characters"),
        ({"name": 7}, "name: must be a string"),
        ({"name": {"a": 1}}, "name: must be a string"),
        ({"nmae": "x"}, "nmae: is not a known field"),
    ],
)
def test_a_bad_field_is_named(api: APIClient, body: dict[str, Any], says: str) -> None:
    answer = api.generic("POST", "/db/new", json.dumps(body), content_type="application/json")
    assert_error(answer, 400, "invalid_request", says)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not valid JSON"),
        (b'{"name": "x"', "line 1, column"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b'{"ttl": NaN}', "NaN is not a JSON value"),
        (b'{"ttl": 90, "ttl": 91}', "'ttl' stands twice"),
        (b'{"name": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"ttl": ' + b"9" * 10_000 + b"}", "not acceptable JSON"),
    ],
)
def test_malformed_json_is_told_where(api: Any, body: bytes, says: str) -> None:
    answer = api.generic("POST", "/db/new", body, content_type="application/json")
    assert_error(answer, 400, "malformed_body", says)


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("content_type", "body", "code", "says"),
    [
        (FORM, b"name=a&name=b", "malformed_body", "name: given 2 times"),
        (FORM, b"name=a%00b", "invalid_request", "name:"),
        (FORM, b"\xff\xfe", "malformed_body", "not URL-encoded"),
        ("multipart/form-data", b"x", "malformed_body", ""),
        ("multipart/form-data; boundary=X", b"--X", "malformed_body", "no fields"),
    ],
)
def test_malformed_forms(api: Any, content_type: str, body: bytes, code: str, says: str) -> None:
    answer = api.generic("POST", "/db/new", body, content_type=content_type)
    assert_error(answer, 400, code, says)


@pytest.mark.parametrize("content_type", ["application/xml", "text/plain", "\x01;;;"])
def test_bodies_of_other_kinds_are_refused(api: Any, content_type: str) -> None:
    answer = api.generic("POST", "/db/new", b"<a/>", content_type=content_type)
    assert_error(answer, 415, "unsupported_media_type", "Send JSON")


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "caf\u00e9", "a\tb"])
def test_a_bad_idempotency_key_is_refused(api: APIClient, key: str) -> None:
    answer = api.post("/db/new", headers={"idempotency-key": key})
    assert_error(answer, 400, "invalid_request", "Idempotency-Key: must be 1 to 255 visible")


@pytest.mark.parametrize("query", ["format=xml", "format=", "ttl=2h", "a=b&format=env"])
def test_an_unknown_query_parameter_is_named(api: APIClient, query: str) -> None:
    name = query.partition("=")[0]
    assert_error(api.post(f"/db/new?{query}"), 400, "invalid_request", f"{name}:")


def test_an_error_is_json_even_where_text_was_asked_for(api: APIClient) -> None:
    answer = api.post("/db/new", {"ttl": "x"}, format="json", headers={"accept": "text/plain"})
    assert_error(answer, 400, "invalid_request", "ttl:")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PROPFIND", "BREW"])
def test_another_method_is_told_which_there_are(api: APIClient, method: str) -> None:
    path = "/db/new" if method not in ("GET", "DELETE") else "/db/x/rotate"
    answer = api.generic(method, path)
    assert_error(answer, 405, "method_not_allowed", "")
    assert "POST" in answer["Allow"]


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    body=st.binary(max_size=200),
    content_type=st.sampled_from(
        ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/x"]
    ),
)
def test_no_bytes_are_answered_with_a_500(api: Any, body: bytes, content_type: str) -> None:
    """Prefixed so that no body is the empty one, which would be a good request."""
    answer = api.generic("POST", "/db/new", b"?" + body, content_type=content_type)
    assert answer.status_code in (400, 415)
    assert answer.json()["error"] in CODES
