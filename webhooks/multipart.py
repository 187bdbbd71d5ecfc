"""The parts of a multipart body, exact to the byte: RFC 2046, section 5.1, and RFC 7578.

Own code, because what is shown here may be wrong in any way. Libraries that parse uploads refuse what they should not
accept (a missing end, parts of multipart/mixed without a name, bare line feeds) and give nothing for all of it; this
gives every part that can be told apart, with its place in the body.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from webhooks import charsets, parameters

MAX_PARTS = 1_000
_MAX_HEADER_BYTES = 16_384
_MAX_HEADERS = 100
# RFC 2046 allows 70 characters.
_MAX_BOUNDARY = 200


@dataclass(frozen=True)
class Part:
    """One part. `name` and `filename` are None where not given; `headers` are text for people, in their order.

    `content` starts `offset` bytes into the body. `content_type` is the media type without parameters, in lower case;
    empty where none was sent, and then the default is text/plain (RFC 7578, section 4.4).
    """

    name: str | None
    filename: str | None
    content_type: str
    charset: str
    headers: tuple[tuple[str, str], ...]
    content: bytes
    offset: int

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return len(self.content)


@dataclass(frozen=True)
class Multipart:
    """`complete` is False where the end is missing, or where there are more than MAX_PARTS."""

    parts: tuple[Part, ...]
    complete: bool


def parse(data: bytes, boundary: str) -> Multipart | None:
    """The parts between the delimiters; None where there is not even a first one. Reads `data` once."""
    delimiter = boundary.encode("latin-1", "replace").rstrip()
    if not 0 < len(delimiter) <= _MAX_BOUNDARY or b"\n" in delimiter or b"\r" in delimiter:
        return None
    first = re.compile(rb"(?:^|(?<=\n))--" + re.escape(delimiter) + rb"[ \t]*+(\r?\n)").search(data)
    if not first:
        return None
    # The first delimiter tells how lines end. With CRLF, a bare line feed is content.
    eol = first[1]
    parts: list[Part] = []
    for start, end, last in _regions(data, delimiter, eol, first.end()):
        parts.append(_part(data, start, end, eol))
        if last or len(parts) == MAX_PARTS:
            return Multipart(tuple(parts), complete=last)
    return Multipart(tuple(parts), complete=False)


def _regions(data: bytes, delimiter: bytes, eol: bytes, start: int) -> Iterator[tuple[int, int, bool]]:
    """Where each part starts and ends, and whether the closing delimiter follows. Without one, the end of the data."""
    mark = re.compile(eol + b"--" + re.escape(delimiter) + rb"(?:(--)|[ \t]*+(?=" + eol + b"))")
    # The line end before a part may be the one that starts the next delimiter: then the part is empty.
    for match in mark.finditer(data, start - len(eol)):
        yield start, max(start, match.start()), bool(match[1])
        if match[1]:
            return
        start = match.end() + len(eol)
    yield start, len(data), False


def _part(data: bytes, start: int, end: int, eol: bytes) -> Part:
    block, offset = _head(data, start, end, eol)
    headers = _headers(block)
    first = {name.lower(): value for name, value in reversed(headers)}
    _, disposition = parameters.split(first.get("content-disposition", ""))
    content_type, options = parameters.split(first.get("content-type", ""))
    return Part(
        name=disposition.get("name"),
        filename=parameters.extended(disposition.get("filename*", "")) or disposition.get("filename"),
        content_type=content_type,
        charset=options.get("charset", ""),
        headers=headers,
        content=data[offset:end],
        offset=offset,
    )


def _head(data: bytes, start: int, end: int, eol: bytes) -> tuple[bytes, int]:
    """The header lines of a part, and where its content starts. All is content where no empty line ends them."""
    if data.startswith(eol, start, end):
        return b"", start + len(eol)
    blank = data.find(eol + eol, start, end)
    if blank >= 0:
        return data[start : min(blank, start + _MAX_HEADER_BYTES)], blank + 2 * len(eol)
    # Headers and no content at all: the line end of the last header belongs to it, the empty line to the delimiter.
    if end - start <= _MAX_HEADER_BYTES and data.endswith(eol, start, end) and _all_headers(data[start:end]):
        return data[start:end], end
    return b"", start


def _all_headers(block: bytes) -> bool:
    return all(re.match(rb"[!-9;-~]+:|[ \t]", line) for line in block.splitlines())


def _headers(block: bytes) -> tuple[tuple[str, str], ...]:
    """Name and value of each line; folded lines are one (RFC 5322, section 2.2.3)."""
    unfolded = re.sub(rb"\r?\n[ \t]+", b" ", block)
    lines = re.split(rb"\r?\n", unfolded, maxsplit=_MAX_HEADERS)[:_MAX_HEADERS]
    pairs = (charsets.wire(line.decode("latin-1")).partition(":") for line in lines if b":" in line)
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)
