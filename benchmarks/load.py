"""A load generator that costs little beside what it measures: raw sockets, kept open, one thread to a client.

Threads of one process are enough: a request costs the generator some 50 µs of Python, the service some
milliseconds. The share of a core that it took is in the result, so that this can be checked and not believed.
"""

import json
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

# Longer than the service waits for a build: a request that takes this long is a failure of the service.
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """One request: when it was begun (Unix time), how long it took, what came back. `status` 0: no answer at all."""

    begun: float
    seconds: float
    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as an object; empty for anything else."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


@dataclass
class Load:
    """All answers of one phase, its length and the generator's own share of it."""

    answers: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def good(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status // 100 == 2]

    @property
    def milliseconds(self) -> list[float]:
        """Of the requests that got what they asked for."""
        return [answer.seconds * 1000 for answer in self.good]

    @property
    def rate(self) -> float:
        """Good answers in a second."""
        return len(self.good) / self.seconds if self.seconds else 0.0


class Client:
    """One caller with one connection. Makes no other request while one is under way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def send(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Sends one request, its body as JSON if it has one, and reads the answer to its end. Never raises."""
        kind = "Content-Type: application/json\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n{kind}Content-Length: {len(body)}\r\n\r\n"
        begun, started = time.time(), time.perf_counter()
        try:
            status, body = self._exchange(head.encode() + body)
        except (OSError, ValueError) as error:
            self.close()
            status, body = 0, str(error).encode()
        return Answer(begun, time.perf_counter() - started, status, body)

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def _exchange(self, message: bytes) -> tuple[int, bytes]:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(message)
        head, _, body = self._read_until(b"\r\n\r\n").partition(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        length = int(fields.get("content-length", "not said"))
        while len(body) < length:
            body += self._receive()
        if fields.get("connection") == "close":
            self.close()
        return int(lines[0].split(" ")[1]), body

    def _read_until(self, mark: bytes) -> bytes:
        read = self._receive()
        while mark not in read:
            read += self._receive()
        return read

    def _receive(self) -> bytes:
        assert self._socket
        part = self._socket.recv(65536)
        if not part:
            self.close()
            raise OSError("the service closed the connection")
        return part


def run(  # noqa: PLR0913 — each of them is one knob of the phase
    port: int,
    clients: int,
    *,
    method: str = "POST",
    paths: Iterable[str] = ("/db/new",),
    body: bytes = b"",
    requests: int | None = None,
    seconds: float | None = None,
    pause: float = 0.0,
) -> Load:
    """Lets `clients` callers send until so many requests were sent, or so many seconds have passed.

    Connections are open before the clock starts. `paths` are used in turn; `pause` is what a client waits, in
    seconds, between an answer and its next request.
    """
    load, turn, lock = Load(), iter(range(requests if requests is not None else 10**9)), threading.Lock()
    wanted = list(paths)
    ready = threading.Barrier(clients + 1)
    stop_at = [float("inf")]

    def work() -> None:
        client = Client(port)
        client.send("GET", "/livez")
        ready.wait()
        while time.perf_counter() < stop_at[0]:
            with lock:
                number = next(turn, None)
            if number is None:
                break
            load.answers.append(client.send(method, wanted[number % len(wanted)], body))
            if pause:
                time.sleep(pause)
        client.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    stop_at[0] = time.perf_counter() + seconds if seconds else float("inf")
    ready.wait()
    started, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.join()
    load.seconds, load.cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    return load
