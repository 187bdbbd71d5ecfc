"""The archive follows HAR 1.2: its required fields, their types, and nothing that it does not know."""

import json
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types of its own

from tests.webhooks.messages import anything, message
from webhooks import har
from webhooks.message import Message

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def strict(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """An object with these fields and no others but those with an underscore, which HAR leaves to everybody."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {}), "comment": {"type": "string"}},
        "patternProperties": {"^_": True},
        "additionalProperties": False,
    }


TEXT = {"type": "string"}
NUMBER = {"type": "number"}
SIZE = {"type": "integer", "minimum": -1}
PAIRS = {"type": "array", "items": strict({"name": TEXT, "value": TEXT})}
REQUEST = strict(
    {
        "method": TEXT,
        "url": TEXT,
        "httpVersion": TEXT,
        "cookies": PAIRS,
        "headers": PAIRS,
        "queryString": PAIRS,
        "headersSize": SIZE,
        "bodySize": SIZE,
    },
    {"postData": strict({"mimeType": TEXT, "params": PAIRS, "text": TEXT})},
)
RESPONSE = strict(
    {
        "status": {"type": "integer"},
        "statusText": TEXT,
        "httpVersion": TEXT,
        "cookies": PAIRS,
        "headers": PAIRS,
        "content": strict({"size": SIZE, "mimeType": TEXT}, {"text": TEXT, "encoding": TEXT}),
        "redirectURL": TEXT,
        "headersSize": SIZE,
        "bodySize": SIZE,
    }
)
DATE = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)$"}
ENTRY = strict(
    {
        "startedDateTime": DATE,
        "time": {"type": "number", "minimum": 0},
        "request": REQUEST,
        "response": RESPONSE,
        "cache": {"type": "object"},
        "timings": strict({"send": NUMBER, "wait": NUMBER, "receive": NUMBER}),
    }
)
LOG = strict({"version": {"const": "1.2"}, "creator": strict({"name": TEXT, "version": TEXT})}) | {}
LOG["properties"]["entries"] = {"type": "array", "items": ENTRY}
LOG["required"].append("entries")
HAR = Draft202012Validator(strict({"log": LOG}))


def archived(*messages: Message, **known: Any) -> list[dict[str, Any]]:
    log = har.log([har.Entry(each, "https://example.com", NOW, **known) for each in messages], "1")
    HAR.validate(log)
    json.dumps(log, ensure_ascii=False).encode("utf-8")
    entries: list[dict[str, Any]] = log["log"]["entries"]
    return entries


@given(anything)
def test_every_request_makes_a_valid_archive_with_its_exact_body(any_message: Message) -> None:
    (entry,) = archived(any_message)
    data = entry["request"].get("postData")
    assert bool(data) == bool(any_message.body)
    if data and data.get("_encoding") == "base64":
        assert b64decode(data["text"]) == any_message.body
    assert entry["request"]["bodySize"] == len(any_message.body)


def test_the_schema_refuses_what_the_format_does() -> None:
    log = har.log([har.Entry(message(), "https://example.com", NOW)], "1")
    del log["log"]["entries"][0]["request"]["cookies"]
    assert not HAR.is_valid(log)


def test_a_request_is_told_whole() -> None:
    sent = message(
        "é=1".encode(),
        "application/x-www-form-urlencoded",
        ("X-B", "1"),
        ("x-a", "é".encode().decode("latin-1")),
        ("X-B", "2"),
        ("Cookie", "a=1; b=x=y;; c"),
        target="/webhook/receive/key/a%2Fb?x=1&x=%C3%83%C2%A9+&y",
        version="1.0",
    )
    request = archived(sent)[0]["request"]
    assert request["url"] == "https://example.com/webhook/receive/key/a%2Fb?x=1&x=%C3%83%C2%A9+&y"
    assert request["httpVersion"] == "HTTP/1.0"
    assert [(pair["name"], pair["value"]) for pair in request["headers"]][1:4] == [
        ("X-B", "1"), ("x-a", "é"), ("X-B", "2"),
    ]  # fmt: skip
    assert [tuple(pair.values()) for pair in request["queryString"]] == [("x", "1"), ("x", "Ã© "), ("y", "")]
    assert [tuple(pair.values()) for pair in request["cookies"]] == [("a", "1"), ("b", "x=y"), ("c", "")]
    assert request["postData"] == {
        "mimeType": "application/x-www-form-urlencoded", "params": [], "text": "é=1",
    }  # fmt: skip


def test_a_binary_body_is_base64_and_says_so() -> None:
    data = archived(message(b"\0\xff"))[0]["request"]["postData"]
    assert (data["text"], data["_encoding"]) == ("AP8=", "base64")


@pytest.mark.parametrize(("status", "phrase"), [(204, "No Content"), (299, ""), (599, "")])
def test_the_answer_is_told(status: int, phrase: str) -> None:
    (entry,) = archived(
        message(), status=status, response_headers=(("Content-Type", "a/b"),), response_body="é", milliseconds=1.5
    )
    response = entry["response"]
    assert (response["status"], response["statusText"], entry["time"]) == (status, phrase, 1.5)
    assert response["content"] == {"size": 2, "mimeType": "a/b", "text": "é"}


def test_entries_keep_their_order_and_start_with_milliseconds() -> None:
    entries = archived(message(b"1"), message(b"2"))
    assert [entry["request"]["postData"]["text"] for entry in entries] == ["1", "2"]
    assert entries[0]["startedDateTime"] == "2026-03-01T12:30:15.123+00:00"
