"""Captured requests as an HTTP Archive, HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec/)."""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from webhooks import charsets, raw
from webhooks.bodies import Body, form_fields
from webhooks.message import Message, Pair

_NOT_KNOWN = -1


@dataclass(frozen=True)
class Entry:
    """A request, where and when it came in, and how it was answered.

    `origin` is scheme and authority (`https://example.com`), `started` has a time zone, `milliseconds` is the time
    until the answer. `response_headers` and `response_body` are text for people.
    """

    message: Message
    origin: str
    started: datetime
    status: int = 200
    response_headers: tuple[Pair, ...] = ()
    response_body: str = ""
    milliseconds: float = 0


def log(entries: Iterable[Entry], version: str) -> dict[str, Any]:
    """The archive of these entries, in their order, ready for JSON. `version` is our own."""
    creator = {"name": "instantlite", "version": version}
    return {"log": {"version": "1.2", "creator": creator, "entries": [_entry(entry) for entry in entries]}}


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "startedDateTime": entry.started.isoformat(timespec="milliseconds"),
        "time": entry.milliseconds,
        "request": _request(entry.message, entry.origin),
        "response": _response(entry),
        "cache": {},
        "timings": {"send": 0, "wait": entry.milliseconds, "receive": 0},
    }


def _request(message: Message, origin: str) -> dict[str, Any]:
    target = charsets.wire(message.target)
    query = form_fields(message.query.encode("latin-1", "replace"))
    request = {
        "method": charsets.wire(message.method),
        # An absolute target is a URL already (RFC 9112, section 3.2.2).
        "url": origin + target if target.startswith("/") else target,
        "httpVersion": f"HTTP/{message.version}",
        "cookies": [_cookie(piece) for line in message.all("Cookie") for piece in line.split(";") if piece.strip()],
        "headers": _pairs((charsets.wire(name), charsets.wire(value)) for name, value in message.headers),
        "queryString": _pairs(query.fields),
        "headersSize": len(raw.raw_head(message)),
        "bodySize": len(message.body),
    }
    return {**request, "postData": _post_data(message)} if message.body else request


def _post_data(message: Message) -> dict[str, Any]:
    """The body as it came. HAR has base64 in responses only; `_encoding` is the field of our own that it allows."""
    data: dict[str, Any] = {"mimeType": charsets.wire(message.first("Content-Type")), "params": []}
    text = Body(message).exact
    if text:
        return {**data, "text": text.text}
    encoded = b64encode(message.body).decode("ascii")
    return {**data, "text": encoded, "_encoding": "base64", "comment": "The text is the body in base64."}


def _response(entry: Entry) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in entry.response_headers}
    size = len(entry.response_body.encode("utf-8", "replace"))
    return {
        "status": entry.status,
        "statusText": HTTPStatus(entry.status).phrase if entry.status in set(HTTPStatus) else "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(entry.response_headers),
        "content": {"size": size, "mimeType": headers.get("content-type", ""), "text": entry.response_body},
        "redirectURL": headers.get("location", ""),
        "headersSize": _NOT_KNOWN,
        "bodySize": size,
    }


def _pairs(pairs: Iterable[Pair]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _cookie(piece: str) -> dict[str, str]:
    name, _, value = charsets.wire(piece).strip().partition("=")
    return {"name": name, "value": value}
