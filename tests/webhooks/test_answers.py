"""What senders are answered: the default, handshakes, CORS, and that no answer acts as a page of our origin."""

import base64
import hmac
import json
import re
import uuid
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webhooks.captured import CAPTURE, messages, sent, sent_json
from webhooks import answers
from webhooks.answer_fields import AnswerSettings, merged
from webhooks.answers import Answer
from webhooks.message import Message


def checked(**change: Any) -> dict[str, Any] | None:
    """Settings as the API stores them."""
    fields = AnswerSettings(data=change)
    fields.is_valid(raise_exception=True)
    return merged(None, fields.validated_data)


def answer_to(message: Message, **change: Any) -> Answer:
    return answers.make(checked(**change), message, CAPTURE)


def header(answer: Answer, name: str) -> str | None:
    return dict(answer.headers).get(name)


def test_the_default_says_which_capture_it_was() -> None:
    answer = answers.make(None, sent(), CAPTURE)
    assert (answer.status, answer.delay) == (200, 0)
    assert answer.body == f'{{"ok": true, "id": "{CAPTURE}"}}'.encode()
    assert header(answer, "Content-Type") == "application/json"
    assert header(answer, "Cache-Control") == "no-store"


def test_empty_settings_are_the_default() -> None:
    assert answers.make({}, sent(), CAPTURE) == answers.make(None, sent(), CAPTURE)
    assert answer_to(sent(), status=None, body=None, cors=None) == answers.make(None, sent(), CAPTURE)
    with_default_written_out = answer_to(sent(), status=200, content_type="application/json", cors=True)
    assert dict(with_default_written_out.headers) == dict(answers.make(None, sent(), CAPTURE).headers)
    assert with_default_written_out.body == answers.make(None, sent(), CAPTURE).body


def test_a_failure_without_a_body_of_its_own_is_not_ok() -> None:
    assert json.loads(answer_to(sent(), status=503).body) == {"ok": False, "id": str(CAPTURE)}


def test_the_owner_chooses() -> None:
    answer = answer_to(
        sent("PUT"),
        status=418,
        content_type="text/plain",
        headers=[["X-Method", "{{ request.method }}"], ["Retry-After", "7"]],
        body="{{ request.id }} ü",
        delay_seconds=2.5,
    )
    assert (answer.status, answer.body.decode(), answer.delay) == (418, f"{CAPTURE} ü", 2.5)
    assert header(answer, "Content-Type") == "text/plain; charset=utf-8"
    assert (header(answer, "X-Method"), header(answer, "Retry-After")) == ("PUT", "7")


def test_slack_verifies_a_url() -> None:
    """https://docs.slack.dev/reference/events/url_verification"""
    asked = {"token": "Jhj5", "challenge": '3eZbrw"}\\', "type": "url_verification"}
    answer = answer_to(sent_json(asked), body='{"challenge": "{{ request.json.challenge }}"}')
    assert json.loads(answer.body) == {"challenge": '3eZbrw"}\\'}
    plain = answer_to(sent_json(asked), content_type="text/plain", body="{{ request.json.challenge }}")
    assert plain.body == b'3eZbrw"}\\'


@pytest.mark.parametrize("place", ['request.query["hub.challenge"]', "request.query.hub.challenge"])
def test_meta_verifies_a_url(place: str) -> None:
    """https://developers.facebook.com/docs/graph-api/webhooks/getting-started"""
    target = "/webhook/receive/key?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock"
    answer = answer_to(sent("GET", target), content_type="text/plain", body=f"{{{{ {place} }}}}")
    assert (answer.status, answer.body) == (200, b"1158201444")


def test_microsoft_graph_verifies_a_url() -> None:
    """https://learn.microsoft.com/graph/change-notifications-delivery-webhooks: plain text, URL-decoded."""
    target = "/webhook/receive/key?validationToken=Validation%3a+Testing%20client+%3ctoken%3e"
    answer = answer_to(sent("POST", target), content_type="text/plain", body="{{ request.query.validationToken }}")
    assert answer.body == b"Validation: Testing client <token>"
    assert header(answer, "Content-Type") == "text/plain; charset=utf-8"


def test_x_checks_a_signature() -> None:
    """https://docs.x.com/x-api/webhooks/introduction: the challenge-response check."""
    body = '{"response_token": "sha256={{ request.query.crc_token | hmac_sha256:\'secret\' | base64 }}"}'
    answer = answer_to(sent("GET", "/webhook/receive/key?crc_token=abc"), body=body)
    expected = base64.b64encode(hmac.digest(b"secret", b"abc", "sha256")).decode()
    assert json.loads(answer.body) == {"response_token": f"sha256={expected}"}


def test_zoom_validates_a_url() -> None:
    """https://developers.zoom.us/docs/api/webhooks/: endpoint.url_validation."""
    body = (
        '{"plainToken": "{{ request.json.payload.plainToken }}",'
        ' "encryptedToken": "{{ request.json.payload.plainToken | hmac_sha256:\'secret\' }}"}'
    )
    asked = {"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}}
    expected = hmac.digest(b"secret", b"qgg8vlvZRS6UYooatFL8Aw", "sha256").hex()
    answered = json.loads(answer_to(sent_json(asked), body=body).body)
    assert answered == {"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": expected}


def test_cloud_events_have_an_origin_allowed() -> None:
    """CloudEvents, HTTP 1.1 Web Hooks for Event Delivery, section 4: what Azure Event Grid asks."""
    answer = answer_to(
        sent("OPTIONS", WebHook_Request_Origin="eventgrid.azure.net"),
        headers={"WebHook-Allowed-Origin": "{{ request.header.WebHook-Request-Origin }}"},
    )
    assert header(answer, "WebHook-Allowed-Origin") == "eventgrid.azure.net"


@pytest.mark.parametrize("settings", [{}, {"status": 500, "body": "x"}, {"cors": False}, {"content_type": "text/html"}])
@pytest.mark.parametrize(
    "message", [sent(), sent("HEAD"), sent("OPTIONS", Access_Control_Request_Method="PUT")], ids=lambda m: m.method
)
def test_no_answer_acts_as_a_page_of_our_origin(settings: dict[str, Any], message: Message) -> None:
    answer = answer_to(message, **settings)
    policy = header(answer, "Content-Security-Policy") or ""
    assert {"sandbox", "default-src 'none'", "frame-ancestors 'none'"} <= {part.strip() for part in policy.split(";")}
    assert header(answer, "X-Content-Type-Options") == "nosniff"
    assert header(answer, "Content-Type")
    assert header(answer, "Access-Control-Allow-Credentials") is None


def test_html_shows_what_was_sent_as_text() -> None:
    hostile = sent(body=b"<script>alert(1)</script>")
    answer = answer_to(hostile, content_type="text/html", body="<p>{{ request.body }}</p>")
    assert answer.body == b"<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"
    assert header(answer, "Content-Type") == "text/html; charset=utf-8"


@pytest.mark.parametrize("settings", [{}, {"status": 404, "headers": {"X-A": "b"}}])
def test_any_page_may_read_the_answer(settings: dict[str, Any]) -> None:
    answer = answer_to(sent(Origin="https://page.example"), **settings)
    assert header(answer, "Access-Control-Allow-Origin") == "*"
    assert header(answer, "Access-Control-Expose-Headers") == "*"


PREFLIGHT = sent(
    "OPTIONS",
    Origin="https://page.example",
    Access_Control_Request_Method="PATCH",
    Access_Control_Request_Headers="authorization,content-type, x-b",
)


@pytest.mark.parametrize("settings", [{}, {"status": 500, "body": "x", "delay_seconds": 9}])
def test_a_preflight_is_allowed_at_once(settings: dict[str, Any]) -> None:
    answer = answer_to(PREFLIGHT, **settings)
    assert (answer.status, answer.body, answer.delay) == (204, b"", 0)
    assert header(answer, "Access-Control-Allow-Origin") == "*"
    assert "PATCH" in (header(answer, "Access-Control-Allow-Methods") or "").split(", ")
    assert header(answer, "Access-Control-Allow-Headers") == "authorization, content-type, x-b"
    assert header(answer, "Access-Control-Max-Age") == "600"


def test_a_preflight_may_ask_for_a_method_of_its_own() -> None:
    answer = answer_to(sent("OPTIONS", Access_Control_Request_Method="PROPFIND"))
    assert (header(answer, "Access-Control-Allow-Methods") or "").endswith(", PROPFIND")


def test_a_preflight_has_nothing_but_tokens_echoed() -> None:
    hostile = sent(
        "OPTIONS",
        Access_Control_Request_Method="PUT\r\nSet-Cookie: a=b",
        Access_Control_Request_Headers="x-a\r\nSet-Cookie: a=b, x y, , x-ü, x-good" + ", x-more" * 500,
    )
    answer = answer_to(hostile)
    assert header(answer, "Access-Control-Allow-Methods") == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    assert set((header(answer, "Access-Control-Allow-Headers") or "").split(", ")) == {"x-good", "x-more"}
    assert len((header(answer, "Access-Control-Allow-Headers") or "").split(", ")) <= 100


def test_options_without_a_preflights_header_is_like_any_other_method() -> None:
    assert answer_to(sent("OPTIONS"), status=201).status == 201
    assert answer_to(sent(Access_Control_Request_Method="PUT"), status=201).status == 201


def test_an_owner_can_turn_cors_off_and_write_it_alone() -> None:
    off = answer_to(PREFLIGHT, cors=False)
    assert off.status == 200
    assert not [name for name, _ in off.headers if name.lower().startswith("access-control-")]
    own = answer_to(PREFLIGHT, cors=False, headers={"Access-Control-Allow-Origin": "https://page.example"})
    assert header(own, "Access-Control-Allow-Origin") == "https://page.example"


@pytest.mark.parametrize(
    ("method", "status", "length"),
    [
        ("HEAD", 200, "4"),
        ("HEAD", 404, "4"),
        ("GET", 304, "4"),
        ("GET", 204, None),
        ("HEAD", 204, None),
        ("GET", 205, None),
    ],
)
def test_where_http_knows_no_body_there_is_none(method: str, status: int, length: str | None) -> None:
    """RFC 9110, sections 8.6 and 9.3.2: a length without a body is that of the body a GET would have had."""
    answer = answer_to(sent(method), status=status, body="four")
    assert (answer.body, header(answer, "Content-Length")) == (b"", length)


def test_head_has_the_length_of_the_default() -> None:
    answer = answers.make(None, sent("HEAD"), CAPTURE)
    length = len(answers.make(None, sent("GET"), CAPTURE).body)
    assert (answer.body, header(answer, "Content-Length")) == (b"", str(length))


def test_a_header_is_echoed_to_the_byte_without_control_characters() -> None:
    hostile = sent(body=b'"a\\r\\nSet-Cookie: b=c\\u0000\\ud800"', X_Bytes="\xff\xfe\x80\r\n\tend ")
    answer = answer_to(hostile, headers={"X-A": "<{{ request.json }}>", "X-B": "{{ request.header.X-Bytes }}"})
    assert header(answer, "X-A") == "<aSet-Cookie: b=c\xef\xbf\xbd>"
    assert header(answer, "X-B") == "\xff\xfe\x80end"


def test_a_header_value_has_a_limit_of_its_own() -> None:
    text = "{{ request.body }}<{{ request.id }}>"
    assert header(answer_to(sent(body=b"x" * 5000), headers={"X-A": text}), "X-A") == f"<{CAPTURE}>"


def test_a_redirect_goes_to_the_owners_host_whatever_is_sent() -> None:
    location = "https://good.example/{{ request.query.a }}?b={{ request.query.a }}"
    target = "/webhook/receive/key?a=//evil.example/%0d%0a@%5c%23%3Fx"
    answer = answer_to(sent("GET", target), status=307, headers={"Location": location})
    parts = urlsplit(header(answer, "Location") or "")
    assert (answer.status, parts.netloc) == (307, "good.example")
    assert parts.query == "b=%2F%2Fevil.example%2F%0D%0A%40%5C%23%3Fx"


def test_an_owner_may_have_the_answer_cached() -> None:
    answer = answer_to(sent(), headers={"cache-control": "max-age=60"})
    assert [value for name, value in answer.headers if name.lower() == "cache-control"] == ["max-age=60"]


def test_a_template_that_is_no_longer_read_is_sent_as_it_stands() -> None:
    answer = answers.make({"body": "{{ once | fine }}", "headers": [["X-A", "{{ too }}"]]}, sent(), CAPTURE)
    assert (answer.body, header(answer, "X-A")) == (b"{{ once | fine }}", "{{ too }}")


_PLACES = st.sampled_from(
    [
        "{{ request.body }}",
        "{{ request.query.a }}",
        "{{ request.header.A }}",
        "{{ request.json.a }}",
        "{{ request.path }}",
        '{{ request.form.a | default:"x" }}',
        "text",
        '"',
        " ",
    ]
)
_CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "status": st.integers(200, 599),
        "content_type": st.sampled_from(["application/json", "text/html", "text/plain", "image/svg+xml"]),
        "headers": st.dictionaries(
            st.sampled_from(["X-A", "X-B", "Cache-Control", "ETag"]), st.lists(_PLACES, max_size=3).map("".join)
        ),
        "body": st.lists(_PLACES, max_size=4).map("".join),
        "delay_seconds": st.floats(0, 10),
        "cors": st.booleans(),
    },
)


@given(_CHANGES, messages, st.uuids())
def test_any_request_gets_an_answer_that_can_be_sent(
    change: dict[str, Any], message: Message, capture_id: uuid.UUID
) -> None:
    answer = answers.make(checked(**change), message, capture_id)
    assert 200 <= answer.status <= 599
    assert 0 <= answer.delay <= 10
    assert len(answer.body) <= 64 * 1024
    names = [name.lower() for name, _ in answer.headers]
    assert len(names) == len(set(names))
    for name, value in answer.headers:
        assert re.fullmatch(r"[A-Za-z-]+", name)
        assert re.fullmatch(r"[\t -~\x80-\xff]*", value)
        assert value == value.strip(" \t")
    assert not (answer.body and (message.method == "HEAD" or answer.status in {204, 205, 304}))
