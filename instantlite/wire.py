"""What a request looked like on the wire, where WSGI keeps less of it.

WSGI merges header lines of one name, loses their order and the spelling of their names, and decodes the path. gunicorn
has read the header section as bytes; worker.py keeps them, and wsgi.py hands them to Django in the environ.
"""

import socket
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

# The environ's key for the header section as bytes, field lines with CRLF between (RFC 9112, section 5).
HEAD = "instantlite.head"

# The first of the states in <linux/tcp.h>.
_TCP_ESTABLISHED = 1

# Set as a connection's greenlet has read a request, and good until it reads the next.
head: ContextVar[bytes | None] = ContextVar("head", default=None)

Pair = tuple[str, str]


def field_lines(section: bytes) -> tuple[Pair, ...]:
    """Name and value of each line, as Latin-1; the optional white space around a value is no part of it."""
    lines = (line.partition(":") for line in section.decode("latin-1").split("\r\n") if line)
    return tuple((name, value.strip(" \t")) for name, _, value in lines)


def bound_silence(environ: dict[str, Any], seconds: float) -> None:
    """Ends the connection of a request when its client has taken in nothing of what it was sent for so long (tcp(7)).

    A computer that was closed or unplugged says no goodbye, and Linux would go on sending for a quarter of an hour; one
    that is there and does not read would be waited for without an end.
    """
    client = environ.get("gunicorn.socket")
    if client is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        # A Unix socket has no such option: its other end is on this machine.
        with suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def hung_up(environ: dict[str, Any]) -> bool:
    """Whether the client of a request has closed the connection; False where that cannot be told (not on Linux).

    A client that closes only its own direction (a half-close) counts as gone too.
    """
    client = environ.get("gunicorn.socket")
    if client is None or not hasattr(socket, "TCP_INFO"):
        return False
    try:
        # The first byte of struct tcp_info is the state (tcp(7)); reading it takes nothing from the connection.
        state: int = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:
        # A Unix socket, or one that is closed by now.
        return bool(client.fileno() < 0)
    return state != _TCP_ESTABLISHED
