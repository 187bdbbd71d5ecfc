"""Servers for what is sent on: each connection is handled by a function of the test's, on loopback, on a free port."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

LONG = 5.0


class Connection:
    """A connection that a receiver was given, with what it has read of it."""

    def __init__(self, taken: socket.socket) -> None:
        self.socket = taken
        self.read = b""

    def request(self) -> bytes:
        """The whole of one, by its Content-Length."""
        while b"\r\n\r\n" not in self.read:
            self._more()
        head, _, body = self.read.partition(b"\r\n\r\n")
        length = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        while len(body) < int(length[0] if length else 0):
            body += self._more()
        return self.read

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def reset(self) -> None:
        """Close so that the other end gets a RST (socket(7), SO_LINGER)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def until_closed(self) -> None:
        """Say nothing, and read nothing, until the other end or the test closes."""
        self.closed.wait(LONG)

    def _more(self) -> bytes:
        piece = self.socket.recv(65536)
        if not piece:
            raise EOFError
        self.read += piece
        return piece

    def __enter__(self) -> "Connection":
        self.closed = threading.Event()
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.set()
        self.socket.close()


Handler = Callable[[Connection], None]


class Receiver:
    """A listening socket, and a thread to each connection."""

    def __init__(self, handle: Handler, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=family)
        self.host, self.port = host, self.listener.getsockname()[1]
        self.requests: list[bytes] = []
        self.accepted = 0
        self._handle, self._context = handle, context
        self._open: list[Connection] = []
        self._ending = False
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._context else 'http'}://{host}:{self.port}"

    def close(self) -> None:
        self._ending = True
        # What wakes accept() on every platform is a connection.
        with suppress(OSError):
            socket.create_connection((self.host, self.port), LONG).close()
        self._threads[0].join(LONG)
        for connection in self._open:
            connection.closed.set()
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LONG)
        self.listener.close()

    def _accept(self) -> None:
        while True:
            taken, _ = self.listener.accept()
            if self._ending:
                taken.close()
                return
            self.accepted += 1
            thread = threading.Thread(target=self._serve, args=[taken])
            self._threads.append(thread)
            thread.start()

    def _serve(self, taken: socket.socket) -> None:
        try:
            taken = self._context.wrap_socket(taken, server_side=True) if self._context else taken
        except OSError:
            # A client that finds fault with the certificate goes away in the middle.
            taken.close()
            return
        with Connection(taken) as connection, suppress(OSError, EOFError):
            self._open.append(connection)
            try:
                self._handle(connection)
            finally:
                self.requests.append(connection.read)


@contextmanager
def receiver(handle: Handler | bytes, **options: Any) -> Iterator[Receiver]:
    """One for the time of a test; bytes are what it answers to each request before it closes."""
    made = Receiver(answering(handle) if isinstance(handle, bytes) else handle, **options)
    try:
        yield made
    finally:
        made.close()


def answering(*pieces: bytes) -> Handler:
    """Read the request, then send these."""

    def handle(connection: Connection) -> None:
        connection.request()
        connection.send(*pieces)

    return handle


def ok(body: bytes = b"taken") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def forwarding(settings: Any, *networks: str, app_url: str = "https://instant.example", **options: Any) -> None:
    """Set options of the section `forwarding`, of which `allow_networks` are `networks`, for one test.

    Where the test brings no DNS server there is none.
    """
    options = {"nameservers": ("127.0.0.1@9",), **options}
    config = settings.INSTANTLITE
    opened = tuple(ip_network(network) for network in networks)
    settings.INSTANTLITE = replace(
        config,
        server=replace(config.server, app_url=app_url),
        forwarding=replace(config.forwarding, allow_networks=opened, **options),
    )
