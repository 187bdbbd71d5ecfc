"""Header sections as the server's own parser reads them, one request after the other on one connection."""

from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from instantlite import wire, worker


def heads(connection: bytes) -> list[list[tuple[str, str]]]:
    """The field lines of each request on a connection."""
    assert RequestParser.mesg_class is worker.ExactRequest
    parser = RequestParser(Config(), iter([connection]), ("192.0.2.1", 4711))
    return [list(wire.field_lines(wire.head.get() or b"")) for _ in parser]


def test_each_request_has_its_own_lines() -> None:
    first = b"GET /a HTTP/1.1\r\nHost: one\r\nX-A: 1\r\nx-a:2 \r\n\r\n"
    second = b"GET /b HTTP/1.1\r\nHost: two\r\nConnection: close\r\n\r\n"

    assert heads(first + second) == [
        [("Host", "one"), ("X-A", "1"), ("x-a", "2")],
        [("Host", "two"), ("Connection", "close")],
    ]


def test_a_request_without_any_line_has_none_of_the_last_one() -> None:
    first = b"GET /a HTTP/1.1\r\nHost: one\r\nAuthorization: secret\r\n\r\n"

    assert heads(first + b"GET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.0\r\n\r\n")[1:] == [[], []]
