"""A client of event streams, as a browser's EventSource is one (WHATWG HTML, section 9.2)."""

import http.client
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Event:
    name: str
    data: str
    id: str


class EventClient:
    """One connection. `last_id` is what it comes back with."""

    def __init__(self, base: str, path: str, last_id: str = "", timeout: float = 20) -> None:
        where = urlsplit(base)
        self.last_id = last_id
        self.retry_ms: int | None = None
        # How often it was told so.
        self.retries = 0
        self.comments = 0
        self._connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=timeout)
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        self._connection.request("GET", path, headers=headers)
        self.response = self._connection.getresponse()

    def __enter__(self) -> "EventClient":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self.response.close()
        self._connection.close()

    def begin(self) -> "EventClient":
        """Waits for the first block, with which the stream is live."""
        while self.retry_ms is None or not self.last_id:
            assert self._line(), "the stream ended before it began"
        return self

    def next(self) -> Event | None:
        """The next event; None where the stream has ended. Raises TimeoutError."""
        name, data = "message", list[str]()
        while line := self._line():
            field, _, value = line.rstrip("\n").partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif line == "\n" and data:
                return Event(name, "\n".join(data), self.last_id)
        return None

    def ids(self, count: int) -> list[str]:
        """Of the next so many events."""
        found: list[str] = []
        for _ in range(count):
            event = self.next()
            assert event, f"the stream ended after {len(found)} of {count}"
            found.append(event.id)
        return found

    def _line(self) -> str:
        try:
            line = self.response.readline().decode()
        except (http.client.HTTPException, ConnectionError):
            return ""
        field, _, value = line.rstrip("\n").partition(":")
        if field == "id":
            self.last_id = value.strip()
        elif field == "retry":
            self.retry_ms = int(value)
            self.retries += 1
        elif not field and line != "\n":
            self.comments += 1
        return line
