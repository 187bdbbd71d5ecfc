"""The HTTP client that sends captured requests to destinations, and may not reach private addresses.

One request is one connection, over HTTP/1.1. Nothing is followed and nothing is remembered: no redirects, no cookies,
no connection kept open; proxies of the environment are passed by. What may be reached is decided in reachable.py.
"""

import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from webhooks.message import Pair
from webhooks.outbound_answer import KEPT_BYTES, AnswerReader
from webhooks.outbound_errors import Deadline, Failed, Refused
from webhooks.outbound_socket import PIECE, Wire, connected
from webhooks.outbound_url import Target, read
from webhooks.reachable import check_known

__all__ = ["KEPT_BYTES", "Answer", "Failed", "Outgoing", "Refused", "check_url", "send"]

LONGEST_URL = 2000
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BREAKS_A_LINE = re.compile(r"[\r\n\0]")
# What says where a message ends, or belongs to one connection (RFC 9110, section 7.6.1): this client says that itself.
_OURS = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
# Methods that usually have a body say that there is none (RFC 9110, section 8.6).
_WITH_A_BODY = frozenset(("POST", "PUT", "PATCH"))


@dataclass(frozen=True)
class Outgoing:
    """A request to send. Text is the bytes of the wire as Latin-1, as in message.py.

    `url` is what check_url() gave, and may go on with the path and query of a captured target, whose bytes beyond ASCII
    are percent-encoded as such. `headers` keep order, spelling and repetition; Host, Content-Length and those of the
    connection are left out where they are among them, and written anew.
    """

    method: str
    url: str
    headers: Sequence[Pair]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What a destination answered; a redirect is an answer like any other.

    `body` is its first KEPT_BYTES (or as many as send() was told), chunked framing undone and content encodings left;
    `truncated` where it went on, or broke off. `duration_ms`: milliseconds from the start, name resolution included, to
    the last byte that was read.
    """

    status: int
    headers: tuple[Pair, ...]
    body: bytes
    truncated: bool
    duration_ms: float


def check_url(url: str) -> str:
    """The URL in the form that is stored; raises Refused for what can never be sent to, with a sentence that says why.

    The host comes in ASCII and lower case, an address in its usual spelling, without the scheme's own port and without
    fragment. Path and query stay as they are, and what may not stand in a URL is percent-encoded as UTF-8. Names are
    not resolved: what they lead to is looked at each time a request is sent.
    """
    if len(url) > LONGEST_URL:
        raise Refused(f"the URL is longer than {LONGEST_URL} characters")
    target = read(url.strip(" "), "utf-8")
    if len(target.url) > LONGEST_URL:
        raise Refused(f"the URL is longer than {LONGEST_URL} characters with what has to be percent-encoded")
    check_known(target)
    return target.url


def send(
    outgoing: Outgoing, timeout: float, sent: Callable[[], None] | None = None, *, keep: int = KEPT_BYTES
) -> Answer:
    """Send a request and return the answer, all within `timeout` seconds. Raises Refused and Failed.

    `keep`: how many bytes of the answer's body are read.

    `sent` is called once, when nothing more of the request will be written: it is all written, or the receiver has
    answered or gone before that. The client holds no reference to the body then. Where it is not called, Refused or
    Failed comes.
    """
    started = monotonic()
    deadline = Deadline(timeout)
    target = read(outgoing.url, "latin-1")
    request = _Request(_head(outgoing, target), outgoing.body)
    reader = AnswerReader(outgoing.method, keep)
    del outgoing
    try:
        with connected(target, deadline) as wire:
            _exchange(wire, request, reader, sent)
    except Failed as error:
        error.duration_ms = (monotonic() - started) * 1000
        raise
    finally:
        # The traceback of a failure leads here, for as long as somebody holds it.
        request.give_up()
    assert reader.status is not None  # noqa: S101 - for mypy: a reader that is done has one
    duration_ms = (reader.last_read - started) * 1000
    return Answer(reader.status, reader.headers, reader.body, reader.truncated, duration_ms)


class _Request:
    """Bytes of a request that are yet to be written: `left` of `size`, `broken` once the connection takes none."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.size = len(head) + len(body)
        self.left = self.size
        self.broken = False
        # A small body goes out together with the head, in one packet.
        pieces = [head + body] if len(body) < PIECE else [head, body]
        self._views = [memoryview(piece) for piece in pieces]

    def write_to(self, wire: Wire) -> int:
        """Write what the connection takes, at most PIECE, and return how much that was."""
        if not self.left:
            return 0
        try:
            wrote = wire.write(self._views[0][:PIECE])
        except OSError:
            self.broken = True
            self.give_up()
            return 0
        self.left -= wrote
        self._views[0] = self._views[0][wrote:]
        if not self._views[0]:
            del self._views[0]
        return wrote

    def give_up(self) -> None:
        """Let go of what is left."""
        self.left = 0
        self._views.clear()


def _head(outgoing: Outgoing, target: Target) -> bytes:
    """The request line and the header lines (RFC 9112, section 3). Raises Refused for what cannot stand there."""
    if not _TOKEN.fullmatch(outgoing.method):
        raise Refused("the request's method is none that HTTP can send")
    lines = [f"{outgoing.method} {target.origin_form} HTTP/1.1", f"Host: {target.authority}", "Connection: close"]
    if outgoing.body or outgoing.method in _WITH_A_BODY:
        lines.append(f"Content-Length: {len(outgoing.body)}")
    for name, value in outgoing.headers:
        if not _TOKEN.fullmatch(name) or _BREAKS_A_LINE.search(value):
            raise Refused("a header of the request has a name or a value that HTTP cannot send")
        if name.lower() not in _OURS:
            lines.append(f"{name}: {value}")
    try:
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
    except UnicodeEncodeError:
        raise Refused("a header of the request has characters beyond Latin-1, which HTTP cannot send") from None


def _exchange(wire: Wire, request: _Request, reader: AnswerReader, sent: Callable[[], None] | None) -> None:
    """Write and read at the same time until the answer is read. Raises Failed.

    A receiver may answer before it has read everything, and then close (RFC 9112, section 9.6). Its answer counts, so
    what has come is read before each piece that is written, and after one that could not be.
    """
    # What may be read and thrown away for a receiver that answers early: it may send the whole request back. To close
    # with some of it unread would be a reset, which takes the end of the request with it (RFC 9293, section 3.6.1).
    spare = request.size + KEPT_BYTES
    early = False
    try:
        while request.left or not reader.done or (early and reader.truncated and spare > 0):
            wire.deadline.check()
            received = _receive(wire, reader, request.broken)
            early = early or bool(received and request.left)
            spare -= len(received or b"")
            if received == b"" or reader.rejects or spare <= 0:
                request.give_up()
                early = False
            wrote = request.write_to(wire)
            if sent and not request.left:
                sent()
                sent = None
            if received is None and not wrote and not request.broken:
                wire.wait(writing=request.left > 0)
    except TimeoutError:
        if reader.status is None:
            raise Failed(_late(request, reader, wire.deadline)) from None
        reader.break_off()


def _receive(wire: Wire, reader: AnswerReader, broken: bool) -> bytes | None:
    """Hand the reader what has come: see Wire.receive(). On a `broken` connection nothing more is waited for."""
    try:
        received = wire.receive()
    except ssl.SSLError:
        received = reader.end("broke off TLS")
    except OSError:
        received = reader.end("reset the connection")
    else:
        if received:
            reader.take(received)
        elif received is not None or broken:
            received = reader.end("reset the connection" if broken else "closed the connection")
    return received


def _late(request: _Request, reader: AnswerReader, deadline: Deadline) -> str:
    if request.left:
        return (
            f"only {request.size - request.left} of {request.size} bytes of the request could be sent within {deadline}"
        )
    if reader.began:
        return f"the headers of its answer were not complete within {deadline}"
    return f"no answer within {deadline}"
