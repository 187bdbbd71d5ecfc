"""What a placeholder can find in a captured request: values, looked up when asked for and never trusted.

A value is None (missing, or JSON's null), a str, a Number, a bool, bytes (a digest, shown in hexadecimal) or JsonText
(a list or an object). Nothing here raises for any request: what cannot be read is missing. Bytes that are not UTF-8 are
kept in text as lone surrogates (`surrogateescape`, PEP 383), so that a header is echoed and a body signed to the byte;
`clean()` takes them out of what must be UTF-8.

What a hostile request can cost is bounded: a value longer than MAX_VALUE counts as missing, before and after every
filter; so does everything in a body longer than MAX_BODY; a query or form is read up to MAX_FIELDS; each is parsed
once, and only for a placeholder that points into it; what is written again of JSON has a limit for all placeholders.
"""

import base64
import hmac
import json
import re
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from webhooks.expressions import PLAIN, Expression, Filter, Number, Step
from webhooks.message import Message

# Characters, of text or of JSON: as many as an answer's body may have bytes.
MAX_VALUE = 64 * 1024
MAX_FIELDS = 1000
# Of nesting, in what is written again.
MAX_DEPTH = 100
# Bytes. JSON takes up to 50 ms to parse at this size, a form 30 ms, in which a gevent worker does nothing else; and a
# longer text in UTF-8 has more than MAX_VALUE characters anyway.
MAX_BODY = 256 * 1024
# Characters that lists and objects are written into, those that turned out too long included.
MAX_WRITTEN = 2 * MAX_VALUE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INDEX = re.compile("[0-9]{1,9}")
_SURROGATE = re.compile("[\ud800-\udfff]")


class JsonText(str):
    """Text that is JSON already."""

    __slots__ = ()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON (RFC 8259, section 6)")


_DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_refuse)


class Facts:
    """One captured request, as templates see it. Each part is parsed at most once."""

    def __init__(self, message: Message, capture_id: uuid.UUID) -> None:
        self.message = message
        self.capture_id = capture_id
        self._room = MAX_WRITTEN

    def value(self, expression: Expression) -> object:
        """What the expression points at, through its filters."""
        value = _fitting(self._source(expression.root, expression.steps))
        for step in expression.filters:
            value = _fitting(_filtered(value, step))
        return value

    def _source(self, root: str, steps: tuple[Step, ...]) -> object:
        if root == "":
            return steps[0]
        if root == "json":
            return self._as_text_where_nested(_walk(self._json, steps))
        if root in PLAIN:
            return self._plain(root)
        return self._named(root, str(steps[0]), int(steps[1]))

    def _as_text_where_nested(self, value: object) -> object:
        if not isinstance(value, list | dict):
            return value
        writer = _Writer(min(MAX_VALUE, self._room))
        text = writer.text(value)
        self._room -= writer.written
        return None if text is None else JsonText(text)

    def _plain(self, root: str) -> str | None:
        match root:
            case "method":
                return text_of_wire(self.message.method)
            case "path":
                return text_of_wire(self.message.path)
            case "body":
                return self._body.decode("utf-8", "surrogateescape") if self._body is not None else None
            case "id":
                return str(self.capture_id)
        return received_at(self.capture_id)

    def _named(self, root: str, name: str, index: int) -> str | None:
        if root == "header":
            found = [text_of_wire(value) for value in self.message.all(name)]
        else:
            pairs = self._query if root == "query" else self._form
            found = [value for given, value in pairs if given == name]
        return found[index] if index < len(found) else None

    @property
    def _body(self) -> bytes | None:
        return self.message.body if len(self.message.body) <= MAX_BODY else None

    @cached_property
    def _query(self) -> list[tuple[str, str]]:
        return _fields(self.message.query.encode("latin-1", "replace"))

    @cached_property
    def _form(self) -> list[tuple[str, str]]:
        is_form = self.message.content_type == "application/x-www-form-urlencoded"
        return _fields(self._body) if is_form and self._body else []

    @cached_property
    def _json(self) -> object:
        """Whatever Content-Type says: many senders (Amazon SNS among them) label their JSON as text."""
        if self._body is None:
            return None
        try:
            return _DECODER.decode(self._body.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            # Not UTF-8, not JSON, or nested so deeply that only an attacker would.
            return None


def text_of_wire(wire: str) -> str:
    """Text of a Message (bytes as Latin-1) read as UTF-8; other bytes are kept as lone surrogates."""
    return wire.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


def clean(text: str) -> str:
    """The text with U+FFFD for each lone surrogate: what is left can be encoded."""
    return _SURROGATE.sub("\ufffd", text)


def to_bytes(text: str) -> bytes:
    """The bytes that the request had."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # A surrogate that JSON's escapes wrote ("\ud800") stands for no byte.
        return clean(text).encode()


def received_at(capture_id: uuid.UUID) -> str | None:
    """`2026-01-31T12:00:00.123Z`: the time in a UUIDv7 (RFC 9562, section 5.7); None for any other kind."""
    if capture_id.version != 7:
        return None
    try:
        moment = _EPOCH + timedelta(milliseconds=capture_id.int >> 80)
    except OverflowError:
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def as_text(value: object) -> str:
    """The value as it stands in plain text: empty for None, hexadecimal for bytes."""
    if value is None:
        return ""
    if isinstance(value, str):
        return str(value)
    return value.hex() if isinstance(value, bytes) else as_json(value)


def as_json(value: object) -> str:
    """The value as JSON."""
    if isinstance(value, Number | JsonText):
        return str(value)
    if isinstance(value, str | bytes):
        return quoted(as_text(value))
    return json.dumps(value)


class _TooLargeError(Exception):
    pass


class _Writer:
    """Compact JSON that stops as soon as it is too long. json.dumps() would convert numbers, and finish first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.written = 0
        self._parts: list[str] = []

    def text(self, value: object) -> str | None:
        """The value as JSON; None for one of more than `most` characters, or nested deeper than MAX_DEPTH."""
        try:
            self._write(value, MAX_DEPTH)
        except _TooLargeError:
            return None
        return "".join(self._parts)

    def _write(self, value: object, depth: int) -> None:
        if isinstance(value, dict):
            self._members("{}", ((f"{quoted(name)}:", inner) for name, inner in value.items()), depth)
        elif isinstance(value, list):
            self._members("[]", (("", inner) for inner in value), depth)
        else:
            self._add(as_json(value))

    def _members(self, brackets: str, members: Iterable[tuple[str, object]], depth: int) -> None:
        if not depth:
            raise _TooLargeError
        self._add(brackets[0])
        for place, (label, inner) in enumerate(members):
            self._add(f",{label}" if place else label)
            self._write(inner, depth - 1)
        self._add(brackets[1])

    def _add(self, part: str) -> None:
        self.written += len(part)
        if self.written > self.most:
            raise _TooLargeError
        self._parts.append(part)


def quoted(text: str) -> str:
    """A JSON string, quotes included (RFC 8259, section 7)."""
    return json.dumps(clean(text), ensure_ascii=False)


def _fitting(value: object) -> object:
    return None if isinstance(value, str | bytes) and len(value) > MAX_VALUE else value


def _walk(value: object, steps: tuple[Step, ...]) -> object:
    """The value below: a name opens an object, a number a list (`items[0]` and `items.0` alike); None for no such."""
    for step in steps:
        match value, step:
            case dict(), _:
                value = value.get(str(step))
            case list(), int():
                value = value[step] if step < len(value) else None
            case list(), str() if _INDEX.fullmatch(step):
                value = value[int(step)] if int(step) < len(value) else None
            case _:
                return None
    return value


def _fields(encoded: bytes) -> list[tuple[str, str]]:
    """The pairs of a query or a form in their order (URL standard, application/x-www-form-urlencoded parsing)."""
    pairs = (part.partition(b"=") for part in encoded.split(b"&", MAX_FIELDS)[:MAX_FIELDS] if part)
    return [(_percent_decoded(name), _percent_decoded(value)) for name, _, value in pairs]


def _percent_decoded(encoded: bytes) -> str:
    return unquote_to_bytes(encoded.replace(b"+", b" ")).decode("utf-8", "surrogateescape")


def _filtered(value: object, step: Filter) -> object:
    """One filter's result. All but default and json leave a missing value missing."""
    if step.name == "default":
        return step.argument if value is None or value == "" else value
    if step.name == "json":
        return JsonText(as_json(value))
    return None if value is None else _FILTERS[step.name](value, step.argument or "")


def _base64(value: object, _: str) -> str:
    return base64.b64encode(value if isinstance(value, bytes) else to_bytes(as_text(value))).decode()


def _hmac_sha256(value: object, secret: str) -> bytes:
    """Shown in hexadecimal as it stands (Zoom's endpoint.url_validation), in base64 through that filter (X's CRC)."""
    return hmac.digest(to_bytes(secret), to_bytes(as_text(value)), "sha256")


_FILTERS: dict[str, Callable[[object, str], object]] = {
    "upper": lambda value, _: as_text(value).upper(),
    "lower": lambda value, _: as_text(value).lower(),
    "base64": _base64,
    "hmac_sha256": _hmac_sha256,
}
