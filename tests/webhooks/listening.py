"""listen.py as a process of its own, run as people run it; and a server of the test's own that it forwards to."""

import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
import requests
from psycopg.rows import namedtuple_row

from tests.service import Service, wait_for


class Received(NamedTuple):
    """What came over one connection: lines of the head, and the body's bytes."""

    lines: list[str]
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of header lines of this name, as spelled."""
        pairs = (line.partition(": ") for line in self.lines[1:])
        return [value for given, _, value in pairs if given == name]

    @property
    def id(self) -> str:
        return self.all("Instantlite-Request-Id")[0]


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Answer: yes\r\n\r\nok"
Answer = Callable[[socket.socket, Received], None]


def _accept(connection: socket.socket, _: Received) -> None:
    connection.sendall(OK)


@dataclass
class Receiver:
    """An HTTP server that keeps exactly what came. `answer` may be set to anything that a server does."""

    answer: Answer = _accept
    received: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        receiver = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                receiver._handle(self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            block_on_close = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def port(self) -> int:
        port: int = self._server.server_address[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ids(self) -> list[str]:
        """Of the requests in the order in which they came."""
        return [received.id for received in list(self.received)]

    def _handle(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            lines = []
            while (line := stream.readline()) not in (b"\r\n", b""):
                lines.append(line.removesuffix(b"\r\n").decode("latin-1"))
            length = next((int(line[16:]) for line in lines if line.lower().startswith("content-length: ")), 0)
            received = Received(lines, stream.read(length))
            if len(received.body) == length:
                self.received.append(received)
            try:
                self.answer(connection, received)
            except OSError:
                return

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Inbox:
    """An inbox of a running service, made by its API."""

    service: Service

    def __post_init__(self) -> None:
        made = self.service.post("/webhook/new").json()
        self.id: str = made["id"]
        self.token: str = made["token"]
        self.page: str = made["inbox_url"]
        self.status_url: str = made["status_url"]
        self.receive_url: str = made["receive_url"]

    def send(self, path: str = "", body: bytes | str = b"", method: str = "POST", **headers: str) -> str:
        """The id of a request that was taken."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = requests.request(method, f"{self.receive_url}{path}", data=body, headers=named, timeout=10)
        assert answer.status_code == 200, answer.text
        request_id: str = answer.json()["id"]
        return request_id

    def attempts(self) -> list[Any]:
        """What was reported of its requests, by request and time."""
        with psycopg.connect(self.service.urls.platform, row_factory=namedtuple_row) as platform:
            return platform.execute(
                "SELECT d.request_id::text, d.url, d.state, d.origin, a.status, a.error, a.duration_ms,"
                " a.answer_headers, a.answer_body, a.answer_truncated"
                " FROM webhooks_delivery d JOIN webhooks_attempt a ON a.delivery_id = d.id"
                " WHERE d.endpoint_id = %s ORDER BY d.request_id, d.id",
                [self.id],
            ).fetchall()


class Listener:
    """The process; what it printed, line by line, and its remarks."""

    def __init__(
        self, program: bytes, arguments: list[str], home: Path, python: str | Path = sys.executable, **environ: str
    ) -> None:
        given = {"HOME": str(home), "XDG_CACHE_HOME": "", "NO_COLOR": "1", "PYTHONUTF8": "1", **environ}
        self.process = subprocess.Popen(
            [python, "-", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], **given},
            cwd=home,
        )
        self.lines: list[str] = []
        self.remarks: list[str] = []
        self._threads = [
            threading.Thread(target=_read, args=(self.process.stdout, self.lines)),
            threading.Thread(target=_read, args=(self.process.stderr, self.remarks)),
        ]
        for thread in self._threads:
            thread.start()
        assert self.process.stdin
        with self.process.stdin as script:
            script.write(program)

    def connected(self) -> "Listener":
        """Waits until it follows the inbox."""
        self.says("connected")
        return self

    def says(self, text: str, count: int = 1) -> None:
        """Waits for a line or a remark, so many of them."""
        wait_for(
            lambda: sum(text in line for line in self.lines + self.remarks) >= count,
            what=f"{text!r} among {self.lines + self.remarks}",
        )

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status, after a signal."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Its exit status, when it has ended."""
        status = self.process.wait(15)
        for thread in self._threads:
            thread.join()
        return status


def _read(stream: Any, lines: list[str]) -> None:
    with stream:
        for line in stream:
            lines.append(line.decode().rstrip("\n"))


class Cutter:
    """A proxy of bytes to a port, whose connections can be cut, or go quiet, in the middle of anything."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pairs: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.quiet = threading.Event()
        self.accepted = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.accepted += 1
            server = socket.create_connection(("127.0.0.1", self._port))
            self._pairs += [client, server]
            for one, other in ((client, server), (server, client)):
                thread = threading.Thread(target=self._pass, args=(one, other))
                self._threads.append(thread)
                thread.start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while chunk := one.recv(1000):
                if not self.quiet.is_set():
                    other.sendall(chunk)
        except OSError:
            pass
        for end in (one, other):
            _shut(end)

    def cut(self) -> None:
        """All connections that there are."""
        for end in list(self._pairs):
            _shut(end)

    def close(self) -> None:
        _shut(self._listening)
        self._listening.close()
        self._threads[0].join()
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in self._pairs:
            end.close()


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def pause(seconds: float) -> Answer:
    """Accepts after a while, so that one is under way at any moment."""

    def answer(connection: socket.socket, _: Received) -> None:
        time.sleep(seconds)
        connection.sendall(OK)

    return answer


Listen = Callable[..., Listener]


@pytest.fixture
def program(service: Service) -> bytes:
    return service.get("/listen.py").content


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def inbox(service: Service) -> Inbox:
    return Inbox(service)


@pytest.fixture
def listen(program: bytes, tmp_path: Path) -> Iterator[Listen]:
    """Starts listen.py with arguments, and ends it with the test."""
    started: list[Listener] = []

    def start(*arguments: str, **environ: str) -> Listener:
        started.append(Listener(program, list(arguments), tmp_path, **environ))
        return started[-1]

    yield start
    for listener in started:
        if listener.process.poll() is None:
            listener.process.kill()
        listener.wait()
