"""What an owner may set: every field's limits, the headers that are refused, and how changes are merged."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from instantlite.errors import first_problem
from webhooks.answer_fields import AnswerSettings, merged


def accepted(change: Any) -> dict[str, Any]:
    fields = AnswerSettings(data=change)
    fields.is_valid(raise_exception=True)
    valid: dict[str, Any] = fields.validated_data
    return valid


def problem(change: Any, current: dict[str, Any] | None = None) -> str:
    with pytest.raises(ValidationError) as caught:
        merged(current, accepted(change))
    return first_problem(caught.value.detail)


@pytest.mark.parametrize(
    ("change", "stored"),
    [
        ({}, {}),
        ({"status": 200}, {"status": 200}),
        ({"status": 599}, {"status": 599}),
        ({"status": "404"}, {"status": 404}),
        ({"content_type": " text/plain "}, {"content_type": "text/plain"}),
        (
            {"content_type": 'application/Problem+json; charset="UTF-8"; p="a\\"b"'},
            {"content_type": 'application/Problem+json; charset="UTF-8"; p="a\\"b"'},
        ),
        ({"content_type": "text/html;charset=utf-8"}, {"content_type": "text/html;charset=utf-8"}),
        ({"headers": {"X-A": "b"}}, {"headers": [["X-A", "b"]]}),
        ({"headers": [["X-B", " b\tc "], ["x-a", ""]]}, {"headers": [["X-B", "b\tc"], ["x-a", ""]]}),
        ({"headers": {"Location": "https://a.example"}}, {"headers": [["Location", "https://a.example"]]}),
        ({"body": ""}, {"body": ""}),
        ({"body": " \t\r\nü\x07"}, {"body": " \t\r\nü\x07"}),
        ({"body": "x" * 65_536}, {"body": "x" * 65_536}),
        ({"delay_seconds": 10}, {"delay_seconds": 10.0}),
        ({"delay_seconds": 0.25}, {"delay_seconds": 0.25}),
        ({"cors": False}, {"cors": False}),
        ({"status": None, "headers": None}, {"status": None, "headers": None}),
    ],
)
def test_what_is_good_is_kept(change: dict[str, Any], stored: dict[str, Any]) -> None:
    assert accepted(change) == stored
    assert json.loads(json.dumps(accepted(change), allow_nan=False)) == stored


STATUS = "status: must be a number from 200 to 599"
TYPE = "content_type: must be a media type"
POWERFUL = "content_type: must not be one that browsers run"
DELAY = "delay_seconds: must be a number of seconds from 0 to 10"
PAIRS = "headers: must be a list of pairs"
LOCATION = "headers: Location must begin with http:// or https://"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        *(({"status": status}, STATUS) for status in (199, 600, 101, -1, True, "ok", 200.5, [200], 10**5000)),
        *(({"status": status}, STATUS) for status in (float("nan"), float("inf"))),
        *(({"content_type": kind}, TYPE) for kind in ("", "text", "text/", "text/plain\r\nX: y", "text/plain; x", 5)),
        *(({"content_type": kind}, TYPE) for kind in ("text/" + "x" * 200, "text/plain\n", "text/{{ request.id }}")),
        *(({"content_type": kind}, TYPE) for kind in ("text/plain, text/html", "text/ü", "*/* ; q", 'a/b; c="\x00"')),
        *(({"content_type": kind}, POWERFUL) for kind in ("text/javascript", "Text/JavaScript ; charset=utf-8")),
        *(({"content_type": kind}, POWERFUL) for kind in ("text/css", "multipart/x-mixed-replace;boundary=x")),
        ({"content_type": "text/html; charset=utf-7"}, "content_type: must not name another charset"),
        ({"content_type": 'text/html; charset="utf-16"'}, "content_type: must not name another charset"),
        ({"body": "x" * 65_537}, "body: must be at most 65536 bytes"),
        ({"body": "ü" * 32_769}, "body: must be at most 65536 bytes"),
        ({"body": "a\x00"}, "body: must not contain U+0000"),
        ({"body": "\ud800"}, "body: must not contain U+0000 or half"),
        ({"body": {"ok": True}}, "body: must be text"),
        ({"body": 5}, "body: must be text"),
        ({"body": "ab {{ request.nope }}"}, "body: line 1, column 7: request has method"),
        ({"body": '{"a": "\\{{ request.id }}"}'}, "body: line 1, column 8: a placeholder cannot follow a backslash"),
        *(({"delay_seconds": delay}, DELAY) for delay in (-0.1, 10.1, True, "soon", "nan")),
        *(({"delay_seconds": delay}, DELAY) for delay in (float("nan"), float("inf"))),
        ({"delay_seconds": 10**400}, DELAY),
        ({"delay_seconds": []}, DELAY),
        ({"cors": "perhaps"}, "cors: "),
        ({"statsu": 200}, "statsu: is not a known field"),
        *(({"headers": headers}, PAIRS) for headers in ("X-A: b", 5, ["X-A"], [["X-A"]], [["X-A", "b", "c"]], ["ab"])),
        ({"headers": [[f"X-{place}", ""] for place in range(31)]}, "headers: must be at most 30; leave out 1"),
        ({"headers": {"": "x"}}, "headers: a name is"),
        ({"headers": {"X A": "x"}}, "headers: a name is"),
        ({"headers": {"X-A\r\n": "x"}}, "headers: a name is"),
        ({"headers": {"X-Ü": "x"}}, "headers: a name is"),
        ({"headers": {"X" * 101: "x"}}, "headers: a name is"),
        ({"headers": [[5, "x"]]}, "headers: a name is"),
        ({"headers": {"X-A": "b\r\nSet-Cookie: c=d"}}, "headers: the value of X-A must be text"),
        ({"headers": {"X-A": "\n"}}, "headers: the value of X-A must be text"),
        ({"headers": {"X-A": "ü"}}, "headers: the value of X-A must be text"),
        ({"headers": {"X-A": "x" * 1001}}, "headers: the value of X-A must be text"),
        ({"headers": {"X-A": 5}}, "headers: the value of X-A must be text"),
        ({"headers": {"X-A": "{{ x }}"}}, "headers: the value of X-A, line 1, column 4: an expression begins"),
        ({"headers": [["X-A", "b"], ["x-a", "c"]]}, "headers: x-a stands twice"),
    ],
)
def test_what_is_not_good_is_named(change: dict[str, Any], says: str) -> None:
    assert problem(change).startswith(says)


@pytest.mark.parametrize("change", [[], "x", 5])
def test_an_answer_is_an_object(change: Any) -> None:
    assert "Invalid data" in problem(change)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Content-Type", "is set by content_type"),
        *((name, "is set by the server") for name in ("Content-Length", "transfer-encoding", "CONNECTION", "Upgrade")),
        *((name, "is set by the server") for name in ("Server", "Date", "Keep-Alive", "TE", "Trailer", "RateLimit")),
        *((name, "could change what browsers do") for name in ("Set-Cookie", "set_cookie", "Content-Security-Policy")),
        *(
            (name, "could change what browsers do")
            for name in ("Content-Security-Policy-Report-Only", "NEL", "Refresh")
        ),
        *((name, "could change what browsers do") for name in ("Strict-Transport-Security", "Clear-Site-Data")),
        *((name, "could change what browsers do") for name in ("Service-Worker-Allowed", "Alt-Svc", "Report-To")),
        *((name, "could change what browsers do") for name in ("WWW-Authenticate", "Proxy-Authenticate", "SourceMap")),
        *((name, "could change what browsers do") for name in ("Cross-Origin-Opener-Policy", "X-Frame-Options")),
        *((name, "could change what browsers do") for name in ("X-Content-Type-Options", "Sec-Session-Registration")),
        *((name, "is an order to a proxy") for name in ("X-Accel-Redirect", "X_Accel_Redirect", "X-Sendfile")),
        *((name, "is set by the server; set") for name in ("Access-Control-Allow-Origin", "access_control_max_age")),
    ],
)
def test_a_header_that_acts_beyond_the_answer_is_refused(name: str, says: str) -> None:
    assert problem({"headers": {name: "x"}}).startswith(f"headers: {name} {says}")


@pytest.mark.parametrize(
    "location",
    [
        "",
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "/admin",
        "https:evil.example",
        "https://",
        "https:///x",
        "https://user@evil.example/",
        "https://a.example\\@evil.example/",
        "https://a.example:port/",
        "https://a.example/a b",
        "{{ request.query.url }}",
        "https://{{ request.query.host }}/",
        "https://a.example{{ request.query.rest }}",
        "https://a.example:80{{ request.query.port }}/",
        "ftp://a.example/",
    ],
)
def test_a_redirect_that_a_sender_could_steer_is_refused(location: str) -> None:
    assert problem({"headers": {"Location": location}}).startswith(LOCATION)


@pytest.mark.parametrize(
    "location",
    [
        "http://10.0.0.1:8080/x",
        "https://a.example?state={{ request.query.state }}",
        "https://a.example/{{ request.id }}#{{ request.method }}",
        "HTTPS://[2001:db8::1]/",
    ],
)
def test_a_redirect_to_a_host_of_the_owners_choice_is_good(location: str) -> None:
    assert accepted({"headers": {"location": location}}) == {"headers": [["location", location]]}


def test_given_fields_replace_and_others_stay() -> None:
    current = {"status": 500, "body": "x", "headers": [["X-A", "b"]]}
    kept = dict(current)
    assert merged(current, {"status": 201}) == {**kept, "status": 201}
    assert merged(current, {"headers": []}) == {**kept, "headers": []}
    assert merged(current, {"body": None}) == {"status": 500, "headers": [["X-A", "b"]]}
    assert merged(current, {}) == kept
    assert merged(None, {"cors": False}) == {"cors": False}
    assert current == kept


def test_null_brings_the_default_back() -> None:
    assert merged({"status": 500}, None) is None
    assert merged({"status": 500}, {"status": None}) is None
    assert merged(None, {}) is None
    assert merged(None, None) is None


def test_fields_are_checked_together() -> None:
    own = {"headers": [["Access-Control-Allow-Origin", "https://a.example"]]}
    assert merged({"cors": False}, own) == {"cors": False, **own}
    assert problem({"cors": True}, {"cors": False, **own}).startswith("headers: Access-Control-Allow-Origin is set by")
    assert problem({"cors": None}, {"cors": False, **own}).startswith("headers: Access-Control-Allow-Origin is set by")
    half_escape = {"content_type": "text/plain", "body": '"\\{{ request.id }}"'}
    assert merged(None, accepted(half_escape)) == half_escape
    assert problem({"content_type": None}, half_escape).startswith("body: line 1, column 2: a placeholder")


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(list(AnswerSettings().fields)), _anything))
def test_whatever_is_sent_is_refused_or_fits_jsonb(change: dict[str, Any]) -> None:
    try:
        stored = merged(None, accepted(change))
    except ValidationError as error:
        assert first_problem(error.detail).partition(":")[0] in change  # noqa: PT017  # either outcome is allowed
        return
    text = json.dumps(stored, allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode()
