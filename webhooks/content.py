"""What a body holds once its Content-Encoding is taken off: RFC 9110, section 8.4. The body itself stays as it came."""

import zlib
from dataclasses import dataclass

from webhooks.message import Message

# A MiB of gzip may hold a GiB of zeros.
MAX_BYTES = 8 * 1024 * 1024
# Every coding is one more pass, and every member of a gzip body one more copy of what follows it.
_MAX_CODINGS = 3
_MAX_MEMBERS = 64
_NAMES = {"x-gzip": "gzip", "x-deflate": "deflate"}


@dataclass(frozen=True)
class Content:
    """`data` after `codings` (as sent, in the order they were applied) were taken off.

    `problem` is a sentence where that was not possible, or not to the end; then `data` is what there is: the body
    as it came, or the first part of what it holds.
    """

    data: bytes
    codings: tuple[str, ...] = ()
    problem: str = ""


def of(message: Message) -> Content:
    """The content of a message's body."""
    words = ",".join(message.all("Content-Encoding")).lower().split(",", 64)
    codings = tuple(_NAMES.get(word.strip(), word.strip()) for word in words if word.strip() not in ("", "identity"))
    if not codings or not message.body:
        return Content(message.body)
    if len(codings) > _MAX_CODINGS or not set(codings) <= {"gzip", "deflate"}:
        return Content(message.body, codings, f"Content-Encoding {', '.join(codings)[:80]} is not decoded here.")
    data, problem = message.body, ""
    for coding in reversed(codings):
        # What comes after a part that was cut off, or broke off, is still worth seeing.
        decoded, found = _gunzip(data) if coding == "gzip" else _inflate(data)
        if not decoded and found:
            return Content(message.body, codings, f"The body is not {coding}, though Content-Encoding says so.")
        data, problem = decoded, problem or found
    return Content(data, codings, problem)


def _gunzip(data: bytes) -> tuple[bytes, str]:
    """All members one after the other (RFC 1952, section 2.2), and what was wrong."""
    pieces: list[bytes] = []
    room = MAX_BYTES
    for _ in range(_MAX_MEMBERS):
        piece, rest, problem = _stream(data, 31, room)
        pieces.append(piece)
        room -= len(piece)
        # Zeros after the last member are padding; anything else that is no member is left alone, as gzip(1) does.
        if problem or not rest.startswith(b"\x1f\x8b"):
            return b"".join(pieces), problem
        data = rest
    return b"".join(pieces), f"Only the first {_MAX_MEMBERS} gzip members are shown."


def _inflate(data: bytes) -> tuple[bytes, str]:
    """With the zlib wrapper that RFC 9110, section 8.4.1.2 asks for, or without, as many send it."""
    wrapped = _stream(data, 15, MAX_BYTES)
    found = wrapped if wrapped[0] or not wrapped[2] else _stream(data, -15, MAX_BYTES)
    return found[0], found[2]


def _stream(data: bytes, window: int, room: int) -> tuple[bytes, bytes, str]:
    """What one stream holds (up to `room` bytes), what follows it, and what was wrong."""
    decoder = zlib.decompressobj(window)
    try:
        piece = decoder.decompress(data, max(room, 1))
    except zlib.error:
        return _until_error(data, window, room), b"", "The compressed body is damaged; this is what comes before."
    if decoder.eof:
        return piece, decoder.unused_data, ""
    if len(piece) >= room:
        return piece[:room], b"", f"Only the first {MAX_BYTES // 1024 // 1024} MiB are shown."
    return piece, b"", "The compressed body ends too early."


def _until_error(data: bytes, window: int, room: int) -> bytes:
    """What can be read in small steps before the damage."""
    decoder = zlib.decompressobj(window)
    pieces: list[bytes] = []
    try:
        for start in range(0, len(data), 1024):
            piece = decoder.decompress(data[start : start + 1024], max(room, 1))
            pieces.append(piece)
            room -= len(piece)
            if room <= 0 or decoder.unconsumed_tail:
                break
    except zlib.error:
        pass
    return b"".join(pieces)
