"""1,000 open event streams in one instance: its memory, and how long a request takes from its sender to its streams.

`python benchmarks/streams.py [streams] [seconds]`

The service runs with one worker beside a PostgreSQL of its own; the clients share the machine with both. A request's
target holds the moment at which it was sent, so that a stream's client knows how long it took. Printed for streams on
as many inboxes, where requests come at random, and for all of them on one inbox.
"""

import os
import random
import re
import selectors
import socket
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, and the project is not installed

from tests.folders import open_folder
from tests.service import Service

_SENT = re.compile(rb'"path": "/([0-9]+)"')
_POSTS_A_SECOND = 200


class Clients:
    """Streams that one thread reads; `delays` in milliseconds."""

    def __init__(self, service: Service) -> None:
        self._address = ("127.0.0.1", service.port)
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []
        self._live = 0
        self.delays: list[float] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._read)

    def open(self, token: str) -> None:
        """One more stream."""
        client = socket.create_connection(self._address)
        client.sendall(b"GET /webhook/%s/events HTTP/1.1\r\nHost: localhost\r\n\r\n" % token.encode())
        self._sockets.append(client)
        begun = b""
        while b"\nretry:" not in begun:
            received = client.recv(4096)
            begun += received
            assert received, begun
            assert begun.startswith(b"HTTP/1.1 200"), begun
        client.setblocking(False)
        self._selector.register(client, selectors.EVENT_READ)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopping = True
        self._thread.join()
        for client in self._sockets:
            client.close()

    def _read(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(0.5):
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]  # sockets
                now = time.monotonic_ns()
                assert data, "a stream has ended"
                self.delays += [(now - int(sent)) / 1e6 for sent in _SENT.findall(data)]


def pss_mb(pid: int) -> float:
    """Proportional set size of a process and its children, in MB (10^6 bytes)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    own = int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024 / 1e6  # type: ignore[index]  # it is there
    return own + sum(pss_mb(int(child)) for child in children)


def publish(receive_urls: list[str], seconds: float, rate: float) -> int:
    """So many requests a second, each to one of the inboxes; how many."""
    sent = 0
    started = time.monotonic()
    with requests.Session() as session:
        while (now := time.monotonic() - started) < seconds:
            time.sleep(max(0.0, sent / rate - now))
            url = random.choice(receive_urls)
            answer = session.post(f"{url}/{time.monotonic_ns()}", data=b'{"n": 1}')
            assert answer.status_code == 200, answer.text
            sent += 1
    return sent


def measure(service: Service, inboxes: int, streams: int, seconds: float, rate: float) -> None:
    """Prints a line."""
    made = [service.post("/webhook/new").json() for _ in range(inboxes)]
    clients = Clients(service)
    started = time.monotonic()
    for number in range(streams):
        clients.open(made[number % inboxes]["token"])
    opened = time.monotonic() - started
    clients.start()
    urls = [f"{service.url}{urlsplit(inbox['receive_url']).path}" for inbox in made]
    sent = publish(urls, seconds, rate)
    expected = sent * streams // inboxes
    deadline = time.monotonic() + 20
    while len(clients.delays) < expected and time.monotonic() < deadline:
        time.sleep(0.1)
    delays = sorted(clients.delays)
    assert service._process
    memory = pss_mb(service._process.pid)
    clients.close()
    print(
        f"{streams} streams on {inboxes} inboxes: {sent} requests, {len(delays)} of {expected} events\n"
        f"  sent to received: p50 {at(delays, 50):.1f} ms, p99 {at(delays, 99):.1f} ms, longest {delays[-1]:.1f} ms\n"
        f"  PSS {memory:.0f} MB; all were open after {opened:.1f} s"
    )


def at(ordered: list[float], percent: int) -> float:
    """A percentile."""
    return ordered[len(ordered) * percent // 100]


def main(arguments: list[str]) -> None:
    streams = int(arguments[0]) if arguments else 1000
    seconds = float(arguments[1]) if len(arguments) > 1 else 15.0
    with open_folder() as folder:
        config = folder / "config.yaml"
        config.write_text(
            f"server:\n  workers: 1\nwebhooks:\n  streams: {2 * streams + 10}\n  streams_per_inbox: {streams}\n"
        )
        settings = {"INSTANTLITE_PROFILE": "laptop", "CONFIG_PATH": str(config), "REDIS_URL": ""}
        service = Service(folder, settings).start()
        try:
            assert service._process
            print(f"no stream: PSS {pss_mb(service._process.pid):.0f} MB, {os.cpu_count()} processors")
            measure(service, streams, streams, seconds, _POSTS_A_SECOND)
            measure(service, 1, streams, seconds, 2)
        finally:
            service.close()


if __name__ == "__main__":
    main(sys.argv[1:])
