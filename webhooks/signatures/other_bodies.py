"""What a body may have been when it was signed, if something wrote it anew on its way: each is a body to try.

Mostly it is the sender that signs one writing of its data and sends another, or a proxy that reads JSON and writes it.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

from webhooks import content
from webhooks.message import Message
from webhooks.signatures.diagnosis import Work

# A longer body is not written anew to find a mistake.
LONGEST = 256 * 1024
# Reading or writing JSON costs so many times what hashing it does, measured with many small values.
_WRITING_COST, _INDENTING_COST = 32, 256
# Taking a Content-Encoding off.
_INFLATING = 8 * 1024 * 1024
_MOST_FIELDS = 1000
_DEEPEST = 64

Candidate = tuple[bytes, str]


def other_bodies(message: Message, work: Work) -> Iterator[Candidate]:
    """Bodies that are not the message's, the likely ones first, each once, with what was done to it in words.

    None for a body longer than LONGEST. Ends where there is no work left.
    """
    body = message.body
    if len(body) > LONGEST:
        return
    seen = {body}
    for made, says in _bodies(message, work):
        if made not in seen and len(made) <= 2 * LONGEST:
            seen.add(made)
            yield made, says


def _bodies(message: Message, work: Work) -> Iterator[Candidate]:
    body = message.body
    yield from _line_ends(body)
    yield from _charsets(body)
    if body[:1] in (b"{", b"[", b'"') or message.content_type.endswith("json"):
        yield from _json(body, work)
    if message.content_type == "application/x-www-form-urlencoded":
        yield from _form(body, work)
    if message.first("Content-Encoding") and work.spend(_INFLATING):
        held = content.of(message).data
        if held is not body and len(held) <= LONGEST:
            yield held, "as it was before it was compressed (Content-Encoding)"
    yield b"", "as if it were empty"


def _line_ends(body: bytes) -> Iterator[Candidate]:
    yield body + b"\n", "with a line break at its end"
    yield body.rstrip(b"\r\n"), "without the line break at its end"
    yield body.replace(b"\r\n", b"\n"), "with LF line ends, where it came with CRLF"
    yield body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), "with CRLF line ends"
    yield body.strip(), "without the spaces around it"


def _charsets(body: bytes) -> Iterator[Candidate]:
    yield body.removeprefix(b"\xef\xbb\xbf"), "without its byte order mark"
    if body.isascii():
        return
    with suppress(ValueError):
        yield body.decode("utf-8").encode("latin-1"), "in Latin-1, where it came in UTF-8"
    yield body.decode("latin-1").encode("utf-8"), "in UTF-8, where it came in Latin-1 (or as UTF-8 encoded twice)"


def _json(body: bytes, work: Work) -> Iterator[Candidate]:
    """As the usual libraries write it."""
    if not work.spend(_WRITING_COST * len(body)):
        return
    try:
        read = json.loads(body)
    # Too deep, or a number of too many digits.
    except (ValueError, RecursionError):
        return
    if _is_deep(read):
        return
    for writer in _WRITERS:
        if not work.spend(writer.cost * len(body)):
            return
        try:
            yield writer.write(read).encode(), writer.says
        # A lone surrogate, which has no UTF-8.
        except (ValueError, RecursionError):
            continue


def _php(read: Any) -> str:
    return json.dumps(read, separators=(",", ":")).replace("/", "\\/")


def _go(read: Any) -> str:
    text = json.dumps(read, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _javascript(read: Any) -> str:
    return json.dumps(_whole(read), separators=(",", ":"), ensure_ascii=False)


def _whole(read: Any) -> Any:
    """JavaScript has one kind of number: 1.0 is written as 1."""
    if isinstance(read, float) and read.is_integer() and abs(read) < 2**53:
        return int(read)
    if isinstance(read, dict):
        return {name: _whole(value) for name, value in read.items()}
    return [_whole(value) for value in read] if isinstance(read, list) else read


def _is_deep(read: Any) -> bool:
    """Whether it is nested so deeply that indenting it would take a square of its length."""
    level = [read]
    for _ in range(_DEEPEST):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return True


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


class _Writer(NamedTuple):
    """A way of writing JSON. `cost`: so many times what hashing what was read costs."""

    write: Callable[[Any], str]
    says: str
    cost: int


def _writers(spacing: dict[str, Any], says: str, *, is_sorted: bool) -> Iterator[_Writer]:
    """With text as it is, and escaped."""
    # json indents without the help of C.
    cost = _INDENTING_COST if "indent" in spacing else _WRITING_COST
    options = {**spacing, "sort_keys": is_sorted}
    words = f"{says}, its keys sorted" if is_sorted else says
    yield _Writer(_dumping(**options, ensure_ascii=False), words, cost)
    yield _Writer(_dumping(**options), f"{words}, with \\u escapes beyond ASCII", cost)


def _dumping(**options: Any) -> Callable[[Any], str]:
    return lambda read: json.dumps(read, **options)


_LINES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"separators": (",", ":")}, "as compact JSON"),
    ({}, "as JSON with a space behind each comma and colon"),
)
_INDENTED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"indent": 2}, "as JSON indented by 2 spaces"),
    ({"indent": 4}, "as JSON indented by 4 spaces"),
)
# The likely and cheap ones first.
_WRITERS: tuple[_Writer, ...] = (
    *(writer for spacing, says in _LINES for writer in _writers(spacing, says, is_sorted=False)),
    _Writer(_php, "as PHP's json_encode() writes it", _WRITING_COST),
    _Writer(_go, "as Go's encoding/json writes it, its keys sorted", _WRITING_COST),
    *(writer for spacing, says in _LINES for writer in _writers(spacing, says, is_sorted=True)),
    _Writer(_javascript, "as JSON.stringify() writes it", _INDENTING_COST),
    *(writer for spacing, says in _INDENTED for writer in _writers(spacing, says, is_sorted=False)),
    *(writer for spacing, says in _INDENTED for writer in _writers(spacing, says, is_sorted=True)),
)


def _form(body: bytes, work: Work) -> Iterator[Candidate]:
    if not work.spend(_WRITING_COST * len(body)):
        return
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return
    for order, words in ((pairs, ""), (sorted(pairs), ", its fields sorted")):
        yield urlencode(order, quote_via=quote_plus).encode(), f"as a form with + for spaces{words}"
        yield urlencode(order, quote_via=quote).encode(), f"as a form with %20 for spaces{words}"
    as_object = json.dumps(dict(pairs), separators=(",", ":"), ensure_ascii=False)
    yield as_object.encode(), "as JSON of the form's fields"
