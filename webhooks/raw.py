"""The whole HTTP message (RFC 9112, section 2), as bytes and as text for people."""

from webhooks import charsets, hexdump
from webhooks.bodies import Body
from webhooks.message import Message


def raw_head(message: Message) -> str:
    """Request line, field lines and the empty line, as Latin-1 text with CRLF.

    With the body behind it this is the message, but for spaces around field values and a chunked Transfer-Encoding,
    which were taken off when it was read.
    """
    lines = [f"{message.method} {message.target} HTTP/{message.version}"]
    lines.extend(f"{name}: {value}" for name, value in message.headers)
    return "\r\n".join([*lines, "", ""])


def raw_text(message: Message) -> str:
    """The message to look at: the head with bare line feeds, and the body as text or as a hex dump of its start."""
    head = charsets.wire(raw_head(message)).replace("\r\n", "\n")
    body = Body(message).exact
    return head + (body.shown if body else hex_text(message.body))


def hex_text(data: bytes, limit: int = hexdump.MAX_BYTES) -> str:
    """A hex dump as text, with a last line that says how much is not shown."""
    rows, left_out = hexdump.dump(data, limit)
    note = [f"… and {left_out:,} bytes more"] if left_out else []
    return "\n".join([*map(str, rows), *note])
