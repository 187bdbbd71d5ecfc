"""Holds event streams open, and says when each heard what. Run by watching.py, which speaks to it in lines of JSON.

It only keeps what arrived and when; what it means is looked at in the end. So a thousand streams cost it little.
"""

import json
import re
import selectors
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, and the project is not installed

from benchmarks.report import percentile

# An event's fields: the WHATWG's HTML standard, section 9.2.6. A chunk of HTTP begins where an event does.
_ID = re.compile(rb"^id: ?([0-9a-f-]{36})\r?$", re.MULTILINE)


class Streams:
    """`arrived`: place of the stream, moment, bytes."""

    def __init__(self, port: int, paths: list[str]) -> None:
        self.selector = selectors.DefaultSelector()
        self.arrived: list[tuple[int, float, bytes]] = []
        self.heads: dict[int, bytes] = {}
        self.broken: set[int] = set()
        for place, path in enumerate(paths):
            connection = socket.create_connection(("127.0.0.1", port), timeout=30)
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n".encode()
            )
            connection.setblocking(False)
            self.selector.register(connection, selectors.EVENT_READ, place)
            self.heads[place] = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and any(b"\r\n\r\n" not in head for head in self.heads.values()):
            self.read(1.0, opening=True)

    @property
    def opened(self) -> int:
        return sum(head.startswith(b"HTTP/1.1 200 ") and b"event-stream" in head for head in self.heads.values())

    def read(self, seconds: float, *, opening: bool = False) -> bool:
        """What has arrived, once; whether the parent has said something."""
        told = False
        for key, _ in self.selector.select(seconds):
            if key.data is None:
                told = True
                continue
            try:
                part = key.fileobj.recv(65536)  # type: ignore[union-attr]  # a socket
            except OSError:
                part = b""
            if not part:
                self.broken.add(key.data)
                self.selector.unregister(key.fileobj)
            elif opening:
                self.heads[key.data] += part
            else:
                self.arrived.append((key.data, time.monotonic(), part))
        return told

    def events(self) -> dict[tuple[int, str], list[float]]:
        """When each stream heard of each request."""
        found: dict[tuple[int, str], list[float]] = {}
        for place, moment, part in self.arrived:
            for match in _ID.finditer(part):
                found.setdefault((place, match[1].decode()), []).append(moment)
        return found


def main() -> None:
    wanted = json.loads(sys.stdin.readline())
    streams = Streams(wanted["port"], wanted["paths"])
    failed = len(wanted["paths"]) - streams.opened
    print(json.dumps({"opened": streams.opened}), flush=True)
    streams.selector.register(sys.stdin, selectors.EVENT_READ, None)
    cpu = time.process_time()
    while not streams.read(5.0):
        pass
    cpu = time.process_time() - cpu
    sent = json.loads(sys.stdin.readline())["sent"]
    events = streams.events()
    taken, missing = [], 0
    for one in sent:
        for place in one["places"]:
            moments = events.get((place, one["id"]), [])
            missing += not moments
            taken += [1000 * (moment - one["at"]) for moment in moments[:1]]
    said = {
        "p50": percentile(taken, 50),
        "p99": percentile(taken, 99),
        "longest": max(taken, default=0.0),
        "received": len(taken),
        "missing": missing,
        "repeated": sum(len(moments) - 1 for moments in events.values()),
        "broken": failed + len(streams.broken),
        "cpu_seconds": cpu,
    }
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
