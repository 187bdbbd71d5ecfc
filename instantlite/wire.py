"""What a request looked like on the wire, where WSGI keeps less of it.

WSGI merges header lines of one name, loses their order and the spelling of their names, and decodes the path. gunicorn
has read the header section as bytes; worker.py keeps them, and wsgi.py hands them to Django in the environ.
"""

from contextvars import ContextVar

# The environ's key for the header section as bytes, field lines with CRLF between (RFC 9112, section 5).
HEAD = "instantlite.head"

# Set as a connection's greenlet has read a request, and good until it reads the next.
head: ContextVar[bytes | None] = ContextVar("head", default=None)

Pair = tuple[str, str]


def field_lines(section: bytes) -> tuple[Pair, ...]:
    """Name and value of each line, as Latin-1; the optional white space around a value is no part of it."""
    lines = (line.partition(":") for line in section.decode("latin-1").split("\r\n") if line)
    return tuple((name, value.strip(" \t")) for name, _, value in lines)
