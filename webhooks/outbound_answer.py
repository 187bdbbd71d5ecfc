"""Reading what a destination answers, from bytes as they come; whatever it sends, it costs a bounded amount."""

import re
from time import monotonic

import h11

from webhooks.message import Pair
from webhooks.outbound_errors import Failed

KEPT_BYTES = 64 * 1024
# Of all heads of the answer together, those of 1xx included.
HEAD_BYTES = 64 * 1024
HEAD_LINES = 200
_INTERIM = 10
# A body may come as chunks of one byte, which cost far more than they hold: after so many pieces or bytes of the wire
# the rest is left.
_MOST_PIECES = 4096
_MOST_BODY_BYTES = 2 * 1024 * 1024

_BLANK_LINE = re.compile(rb"\n\r?\n")
_START = b"HTTP/1."


class AnswerReader:
    """The answer to one request of this method; `take()` gets the bytes, h11 says what they mean.

    `status` is None until the head is there. `began`: something has come; `done`: nothing more is needed; `truncated`:
    the body went on, or broke off. `last_read` is the monotonic time at which the last bytes came.
    """

    def __init__(self, method: str, keep: int = KEPT_BYTES) -> None:
        self._keep = keep
        self.status: int | None = None
        self.headers: tuple[Pair, ...] = ()
        self.began = False
        self.done = False
        self.truncated = False
        self.last_read = monotonic()
        self._body = bytearray()
        self._head = bytearray()
        self._head_bytes = self._interim = self._pieces = self._body_bytes = 0
        self._wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        # Told only because the framing of an answer hangs on the method (RFC 9112, section 6.3).
        self._wire.send(h11.Request(method=method, target="/", headers=[("Host", "")]))
        self._wire.send(h11.EndOfMessage())

    @property
    def body(self) -> bytes:
        """What was kept of it."""
        return bytes(self._body[: self._keep])

    @property
    def rejects(self) -> bool:
        """Whether the receiver has said that it does not want the request, so the rest need not be sent."""
        return self.status is not None and self.status >= 400

    def take(self, received: bytes) -> None:
        """What came next, at least a byte. Raises Failed for what is no HTTP, and where it is too much."""
        self.last_read = monotonic()
        if self.done:
            return
        if self.status is None:
            self._take_head(received)
        else:
            self._take_body(received)

    def end(self, words: str) -> bytes:
        """Nothing more will come; `words` say what the receiver did. Raises Failed where that leaves no answer."""
        if self.status is None:
            raise Failed(f"it {words} {'before its headers were complete' if self.began else 'without an answer'}")
        if not self.done:
            self._take_body(b"")
        return b""

    def break_off(self) -> None:
        """Nothing more will be read: the status counts, the body is what has come of it."""
        self.truncated = self.done = True

    def _take_head(self, received: bytes) -> None:
        """Wait for the end of a head, and hand h11 whole ones: those of 1xx answers and of the final one."""
        self.began = True
        searched = max(0, len(self._head) - 2)
        self._head += received
        while self.status is None:
            if not self._head.startswith(_START[: len(self._head)]):
                raise Failed(f"it sent {len(self._head)} bytes that are no HTTP/1.1: {_shown(self._head)}")
            blank = _BLANK_LINE.search(self._head, searched)
            end = blank.end() if blank else len(self._head)
            # Less the status line and the empty one at the end.
            if self._head_bytes + end > HEAD_BYTES or self._head.count(b"\n", 0, end) - 2 > HEAD_LINES:
                raise Failed(f"its answer has more than {HEAD_LINES} header lines, or {HEAD_BYTES} bytes of them")
            if blank is None:
                return
            head = bytes(self._head[:end])
            del self._head[:end]
            self._head_bytes += end
            searched = 0
            self._parse_head(head)
        body, self._head = bytes(self._head), bytearray()
        if body:
            self._take_body(body)
        else:
            self._events()

    def _parse_head(self, head: bytes) -> None:
        self._wire.receive_data(head)
        try:
            event = self._wire.next_event()
        except h11.RemoteProtocolError as error:
            # h11 quotes the line at its full length.
            reason = str(error).partition(": bytearray(")[0].partition(" bytearray(")[0]
            raise Failed(f"its answer is no proper HTTP ({reason}): {_shown(head)}") from None
        if isinstance(event, h11.Response):
            self.status = event.status_code
            pairs = event.headers.raw_items()
            self.headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs)
            return
        self._interim += 1
        if self._interim > _INTERIM:
            raise Failed(f"it sent more than {_INTERIM} interim answers (1xx) and no final one")

    def _take_body(self, received: bytes) -> None:
        """`b""` where the connection has ended."""
        self._body_bytes += len(received)
        self._wire.receive_data(received)
        self._events()

    def _events(self) -> None:
        """Take what h11 has made of the bytes so far. A body that breaks its framing is kept as far as it went."""
        while not self.done:
            try:
                event = self._wire.next_event()
            except h11.RemoteProtocolError:
                return self.break_off()
            if event is h11.NEED_DATA:
                if self._body_bytes > _MOST_BODY_BYTES:
                    self.break_off()
                return None
            if not isinstance(event, h11.Data):
                # The end of the message or the connection, or a tunnel that a CONNECT has opened.
                self.done = True
                return None
            self._body += event.data
            self._pieces += 1
            if len(self._body) > self._keep or self._pieces > _MOST_PIECES:
                return self.break_off()
        return None


def _shown(sent: bytes | bytearray) -> str:
    """How it begins, on one line of ASCII."""
    return ascii(bytes(sent[:40]))[2:-1]
