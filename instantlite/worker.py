"""gunicorn's gevent worker: keeps header lines as they came, and answers what is no HTTP at all in our one error shape.

gunicorn would do the latter with a page of HTML, before any of our code is asked; and it would log the caller's
address, which we never do.
"""

import errno
import json
import socket
import uuid
from typing import Any

import gevent
from gunicorn.http import errors as http
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.util import write_nonblock
from gunicorn.workers.ggevent import GeventWorker

from instantlite import shutdown, wire


class ExactRequest(Request):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's request, which also keeps the bytes of its header section: it makes all names upper case itself."""

    def parse(self, unreader: Any) -> Any:
        """Reads the next request of a connection. One without any header line has no section to parse."""
        wire.head.set(b"")
        return super().parse(unreader)

    def parse_headers(self, data: bytes, from_trailer: bool = False) -> Any:
        """`data`: the section, or that of a chunked body's trailer."""
        if not from_trailer:
            wire.head.set(bytes(data))
        return super().parse_headers(data, from_trailer=from_trailer)


# gunicorn has no setting for it.
RequestParser.mesg_class = ExactRequest


# For a request that is on its way already.
_LAST_REST_SECONDS = 0.1


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """`worker_class` in gunicorn.conf.py."""

    def timeout_ctx(self) -> Any:
        """How long a connection may rest between two requests: as this worker ends, not at all.

        A client whose stream has ended would come again to the same worker, and hold it up.
        """
        return gevent.Timeout(self.cfg.keepalive if self.alive else _LAST_REST_SECONDS, False)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """A client that takes in nothing any more (wire.bound_silence) has gone, which is nothing to log."""
        try:
            return super().handle_request(listener_name, req, sock, addr)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the client has vanished") from error

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: long answers end, so that nobody waits for them."""
        super().handle_exit(sig, frame)
        # Not here: a signal handler may run where nothing may wait for a lock.
        gevent.spawn(shutdown.begin)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """SIGINT and SIGQUIT."""
        gevent.spawn(shutdown.begin)
        super().handle_quit(sig, frame)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answers a request that could not be read (RFC 9112), and closes the connection."""
        # gunicorn loads this class before Django is set up, and calls it long after.
        from instantlite import errors  # noqa: PLC0415

        request_id = uuid.uuid4().hex
        match exc:
            case http.LimitRequestLine():
                code, message = errors.URI_TOO_LONG, "The path and query are too long; put the fields into the body."
            case http.LimitRequestHeaders():
                code, message = errors.HEADERS_TOO_LARGE, "The headers are too many or too long."
            case http.ParseException() | http.InvalidRequestLine() | http.InvalidHeader():
                code, message = errors.INVALID_REQUEST, f"This is not a valid HTTP request: {type(exc).__name__}."
            case _:
                code, message = errors.INTERNAL_ERROR, f"Something broke on our side. Report request {request_id}."
                self.log.exception("error outside of the application, request %s", request_id)
        self.log.debug("unreadable request %s: %s", request_id, exc)
        body = json.dumps({"ok": False, "error": code.name, "message": message, "request_id": request_id}).encode()
        head = (
            f"HTTP/1.1 {code.status} {code.name}\r\nConnection: close\r\nContent-Type: application/json\r\n"
            f"X-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            write_nonblock(client, head.encode() + body)
            _let_read(client)
        except OSError:
            self.log.debug("nobody is there to read the answer to %s", request_id)


def _let_read(client: Any) -> None:
    """Takes in some of what the caller still sends: closing over unread bytes is a reset, which destroys the answer.

    A megabyte and a second at most, so that nobody can hold us up (RFC 9112, section 9.6).
    """
    client.shutdown(socket.SHUT_WR)
    client.settimeout(1)
    for _ in range(16):
        if not client.recv(65536):
            return
