"""One stream: the requests of an endpoint that follow on a cursor, in order, without gap and without duplicate."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.db.models import Exists

from instantlite import platformdb
from instantlite.logs import first_line
from webhooks import verdicts
from webhooks.feed import Entry, Feed
from webhooks.models import CapturedRequest, Endpoint

log = logging.getLogger("instantlite.streams")

# What is read and handed over at once.
PAGE = 100
# Streams that read by themselves share so many of the pool's connections, which requests need too.
_reading = threading.BoundedSemaphore(2)
# Until PostgreSQL is asked again that did not answer.
_PAUSE_SECONDS = 1.0


@contextmanager
def reading() -> Iterator[None]:
    """While a stream reads on one of the pool's connections, which it has to wait for, and gives back."""
    with _reading:
        try:
            yield
        finally:
            platformdb.let_go_of_connection()


class Subscription:
    """What comes after `cursor`, the id of a request. Used by one thread; whoever has it closes it.

    Nothing is kept for a stream that is slow: it reads its next page when it has sent the last one.
    """

    __slots__ = ("_feed", "_leave", "cursor")

    def __init__(self, feed: Feed, cursor: UUID, leave: Callable[[], None]) -> None:
        self._feed = feed
        self._leave: Callable[[], None] | None = leave
        self.cursor = cursor

    @property
    def gone(self) -> bool:
        """Whether the endpoint is no more."""
        return self._feed.gone

    @property
    def over(self) -> bool:
        """Whether nothing will come any more: the endpoint is gone, the process ends, or this was closed."""
        return self._feed.gone or self._feed.closing or self._leave is None

    def take(self, seconds: float, most: int = PAGE) -> Sequence[Entry]:
        """The requests that follow, as soon as there are any; none after so many seconds, or when it is over.

        The cursor moves behind them.
        """
        deadline = time.monotonic() + seconds
        while True:
            # Before looking: what comes from now on ends the wait.
            changed = self._feed.changed
            if self.over:
                return ()
            found = self._look(most)
            if found:
                self.cursor = found[-1].id
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                return ()
            changed.wait(left if found is not None else min(left, _PAUSE_SECONDS))

    def close(self) -> None:
        """May be called again."""
        leave, self._leave = self._leave, None
        if leave:
            leave()

    def _look(self, most: int) -> Sequence[Entry] | None:
        """What is there; None where PostgreSQL does not say."""
        tail = self._feed.tail
        found = tail.after(self.cursor)
        if found is None:
            try:
                found = self._catch_up(most)
            except (OperationalError, InterfaceError) as error:
                log.info("a stream cannot catch up, it waits: %s", first_line(error))
                return None
            if not found:
                # All up to the floor was committed before this was read.
                self.cursor = tail.floor
                found = tail.after(self.cursor) or ()
        page = found[:most]
        return page if self._verify(page) else None

    def _verify(self, page: Sequence[Entry]) -> bool:
        """Finds the verdicts of signatures that nobody has found yet; False where PostgreSQL does not say."""
        if not any(entry.captured.is_signed for entry in page):
            return True
        with self._feed.verifying, reading():
            left = [entry.captured for entry in page if entry.captured.is_signed]
            try:
                verdicts.check_live(self._feed.endpoint_id, left)
            except (OperationalError, InterfaceError) as error:
                log.info("a stream cannot verify signatures, it waits: %s", first_line(error))
                return False
        return True

    def _catch_up(self, most: int) -> list[Entry]:
        rows = CapturedRequest.objects.of(self._feed.endpoint_id).after(self.cursor).oldest_first().summaries()
        signature = Endpoint.objects.filter(pk=self._feed.endpoint_id, signature__isnull=False)
        with reading():
            return [_entry(captured) for captured in rows.annotate(signed=Exists(signature))[:most]]


def _entry(captured: CapturedRequest) -> Entry:
    captured.is_signed = getattr(captured, "signed", False)
    return Entry(captured)
