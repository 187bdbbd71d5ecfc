"""Server-sent events (WHATWG HTML, section 9.2): what a stream of requests looks like on the wire."""

import json
import logging
import random
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from uuid import UUID

from django.db import InterfaceError, OperationalError

from instantlite.logs import first_line
from webhooks.feed import Entry, Render
from webhooks.models import CapturedRequest
from webhooks.serializers import render_summary
from webhooks.stream import LOOK_SECONDS
from webhooks.subscription import Subscription

log = logging.getLogger("instantlite.streams")

# What a stream sends of a page of requests, in pieces of which each is sent before the next is made. May raise
# OperationalError and InterfaceError: the stream ends, and its client goes on with another behind what it has seen.
Write = Callable[[Sequence[Entry]], Iterable[bytes]]

# A line at least so often: proxies end a connection on which nothing comes, often after a minute.
HEARTBEAT_SECONDS = 15.0
# What a client waits before it comes again, in milliseconds.
_RETRY_MS = 1000
# As this process ends, all its clients go to others; not all in the same moment.
_SPREAD_MS = (200, 2000)

_LINE_END = re.compile(r"\r\n|\n|\r")


def frame(name: str, data: str, request_id: UUID | None = None) -> bytes:
    """One event. Text of several lines arrives with line feeds between them."""
    lines = [f"id: {request_id}"] if request_id else []
    lines += [f"event: {name}", *(f"data: {line}" for line in _LINE_END.split(data))]
    return ("\n".join(lines) + "\n\n").encode()


def summary(captured: CapturedRequest) -> bytes:
    """The event `request` of the API: one line of JSON."""
    return frame("request", json.dumps(render_summary(captured), ensure_ascii=False), captured.id)


def kept(render: Render) -> Write:
    """Events that are made once for all streams that send the same."""

    def write(page: Sequence[Entry]) -> Iterable[bytes]:
        return (b"".join([entry.rendered(render) for entry in page]),)

    return write


summaries = kept(summary)


class EventStream(Iterator[bytes]):
    """The body of a streaming response. close() ends the subscription, also where nothing was read of it."""

    def __init__(
        self,
        subscription: Subscription,
        write: Write = summaries,
        abandoned: Callable[[], bool] = lambda: False,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        """`write` makes whole events of requests, see frame(). `abandoned`: whether the client has hung up."""
        self._subscription = subscription
        self._write = write
        self._abandoned = abandoned
        self._heartbeat_seconds = heartbeat_seconds
        self._chunks = self._make()

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        self._chunks.close()
        self._subscription.close()

    def _make(self) -> Generator[bytes, None, None]:
        # An id without data is no event, and yet it is what the client comes back with: a connection that is lost
        # before the first request leaves no gap.
        yield f"retry: {_RETRY_MS}\nid: {self._subscription.cursor}\n\n".encode()
        said = time.monotonic()
        while not self._subscription.over:
            page = self._subscription.take(min(LOOK_SECONDS, self._heartbeat_seconds))
            if page:
                try:
                    yield from self._write(page)
                except (OperationalError, InterfaceError) as error:
                    log.info("a stream cannot read its requests, it ends: %s", first_line(error))
                    break
            elif self._abandoned():
                return
            elif time.monotonic() - said >= self._heartbeat_seconds:
                yield b":\n\n"
            else:
                continue
            said = time.monotonic()
        yield self._last()

    def _last(self) -> bytes:
        if self._subscription.gone:
            return frame("gone", json.dumps({"ok": False, "error": "gone"}))
        return f"retry: {random.randint(*_SPREAD_MS)}\n\n".encode()  # noqa: S311 — no secret
