"""A destination that costs little: run as a process of its own, it answers each request and says when they came.

`python -m benchmarks.sink PORT`. A path that begins with /hang is never answered. `GET /seen` gives, of all requests
since the last time, how many came and how many milliseconds each was on its way (by the body's `sent_ns`), as JSON.
"""

import asyncio
import json
import re
import sys
import time

_SENT = re.compile(rb'"sent_ns": ?(\d+)')
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)", re.IGNORECASE)
_TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Sink(asyncio.Protocol):
    """One connection."""

    milliseconds: list[float] = []
    count = 0

    def __init__(self) -> None:
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, mark, body = self._read.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not mark or len(body) < (int(length[1]) if length else 0):
            return
        if head.startswith(b"GET /seen "):
            self._tell()
        elif b" /hang" not in head.partition(b"\r\n")[0]:
            Sink.count += 1
            sent = _SENT.search(body)
            if sent:
                Sink.milliseconds.append((time.monotonic_ns() - int(sent[1])) / 1e6)
            self._transport.write(_TAKEN)
            self._transport.close()

    def _tell(self) -> None:
        said = json.dumps({"count": Sink.count, "milliseconds": Sink.milliseconds}).encode()
        Sink.count, Sink.milliseconds = 0, []
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(said), said)
        )
        self._transport.close()


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
