"""Live streams of captured requests: one LISTEN in a process, fanned out to all that wait.

The rule by which nothing is missed and nothing comes twice: LISTEN is active first, then rows after the last id are
read, then a notification is waited for, which says no more than "look again". The hub's thread reads what is new for
all streams in one statement; a stream that is further behind reads pages of its own until it has caught up.
"""

import logging
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from uuid import UUID

import psycopg
from django.conf import settings

from instantlite import telemetry
from instantlite.logs import first_line
from instantlite.resource import Gone
from webhooks.ear import Waker
from webhooks.feed import Entry, Feed
from webhooks.listener import Listener, listening
from webhooks.models import CapturedRequest, Endpoint
from webhooks.models.captures import last_id
from webhooks.models.endpoints import ENDED
from webhooks.subscription import PAGE, Subscription

log = logging.getLogger("instantlite.streams")

# Requests that all feeds of a process remember together, some 10 MB: a stream that falls behind them reads them again.
_REMEMBERED = 5000
# Between two looks at which endpoints have expired; a deletion is announced.
_CHECK_SECONDS = 5.0
# How often a stream looks whether its client is still there.
LOOK_SECONDS = 5.0
# Between two tries to reach PostgreSQL.
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 2.0


class Full(Exception):
    """As many streams are open as this process (`of_inbox` False) or one inbox may have."""

    def __init__(self, most: int, *, of_inbox: bool) -> None:
        super().__init__(most)
        self.most = most
        self.of_inbox = of_inbox


class Ending(Exception):
    """The process is about to end; another one goes on."""


class Hub:
    """All streams of one process. Its thread starts with the first of them, and ends when there were none for a while:
    neither threads nor connections survive a fork, and a small PostgreSQL has few connections.
    """

    def __init__(self, idle_seconds: float = 60.0) -> None:
        self._ending = False
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._feeds: dict[UUID, Feed] = {}
        self._open = 0
        self._thread: threading.Thread | None = None
        self._waker: Waker | None = None
        self._idle_since: float | None = None
        # Feeds that have not been looked at since they began.
        self._fresh: deque[Feed] = deque()
        # One element for each remembered request, oldest first.
        self._remembered: deque[Feed] = deque()

    def subscribe(self, endpoint: Endpoint, after: UUID | None = None, kind: str = "events") -> Subscription:
        """A stream of what `endpoint` captures after a request; None: after `endpoint` was read. Raises Full.

        That it goes on from the row as it was read leaves no gap, whatever was committed since.
        """
        options = settings.INSTANTLITE.webhooks
        start = last_id(endpoint.newest_us)
        with self._lock:
            feed = self._feeds.get(endpoint.pk)
            if feed and feed.streams >= options.streams_per_inbox:
                raise Full(options.streams_per_inbox, of_inbox=True)
            if self._open >= options.streams:
                raise Full(options.streams, of_inbox=False)
            if feed is None:
                feed = self._feeds[endpoint.pk] = Feed(endpoint.pk, start)
                feed.closing = self._ending
                self._fresh.append(feed)
                self._wake()
            feed.streams += 1
            self._open += 1
        telemetry.STREAMS.add(1, kind=kind)
        return Subscription(feed, after or start, partial(self._left, feed, kind))

    def _left(self, feed: Feed, kind: str) -> None:
        """By a subscription, once."""
        with self._lock:
            feed.streams -= 1
            self._open -= 1
            if not feed.streams:
                del self._feeds[feed.endpoint_id]
            if not self._feeds:
                self._idle_since = time.monotonic()
        telemetry.STREAMS.add(-1, kind=kind)

    @property
    def open(self) -> int:
        """How many streams there are."""
        return self._open

    def end(self) -> None:
        """Ends all streams, and those that are still to come: the process ends."""
        with self._lock:
            self._ending = True
            for feed in self._feeds.values():
                feed.close()
            thread = self._thread
            if self._waker:
                self._waker.wake()
        if thread:
            thread.join(5)

    def _wake(self) -> None:
        """With the lock held."""
        self._idle_since = None
        if self._thread is None:
            self._waker = Waker()
            self._thread = threading.Thread(target=self._run, args=(self._waker,), name="streams", daemon=True)
            self._thread.start()
        elif self._waker:
            self._waker.wake()

    def _finished(self) -> bool:
        """Whether the thread is not needed any more; it is not used again then."""
        with self._lock:
            idle = self._idle_since is not None and time.monotonic() - self._idle_since >= self._idle_seconds
            if idle or self._ending:
                self._thread = None
            return idle or self._ending

    def _watched(self) -> list[Feed]:
        with self._lock:
            return [feed for feed in self._feeds.values() if not feed.gone]

    def _run(self, waker: Waker) -> None:
        pause = _PAUSE_SECONDS
        while not self._finished():
            try:
                with listening(waker) as listener:
                    pause = _PAUSE_SECONDS
                    self._follow(listener)
            except (psycopg.Error, OSError) as error:
                log.warning("streams hear nothing for now: %s", first_line(error))
            except Exception:
                log.exception("streams hear nothing for now")
            else:
                break
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        waker.close()

    def _follow(self, listener: Listener) -> None:
        """Until nobody needs it."""
        # What was notified while nobody listened was lost.
        stale = set(self._watched())
        next_check = time.monotonic()
        while not self._finished():
            stale = self._read(listener, stale)
            if time.monotonic() >= next_check:
                self._end_those_gone(listener)
                next_check = time.monotonic() + _CHECK_SECONDS
            told = listener.wait(0 if stale else 1.0)
            stale.update(self._named(told))
            while self._fresh:
                stale.add(self._fresh.popleft())
            if any(payload.endswith(ENDED) for payload in told):
                next_check = time.monotonic()

    def _named(self, payloads: Iterable[str]) -> Iterable[Feed]:
        """The feeds that notifications tell news of."""
        for payload in payloads:
            endpoint, _, newest = payload.partition(" ")
            feed = self._feeds.get(UUID(endpoint))
            if feed and newest != ENDED and UUID(newest) > feed.tail.upto:
                yield feed

    def _read(self, listener: Listener, stale: Iterable[Feed]) -> set[Feed]:
        """Reads what is new in these feeds; gives those that may have more."""
        feeds = {feed.endpoint_id: feed for feed in stale if feed.streams}
        if not feeds:
            return set()
        found: defaultdict[UUID, list[Entry]] = defaultdict(list)
        for captured in listener.newer({key: feed.tail.upto for key, feed in feeds.items()}, PAGE):
            found[captured.endpoint_id].append(Entry(captured))
        for key, entries in found.items():
            feeds[key].extend(entries)
            self._remembered.extend([feeds[key]] * len(entries))
        self._forget()
        return {feeds[key] for key, entries in found.items() if len(entries) == PAGE}

    def _forget(self) -> None:
        surplus = max(0, len(self._remembered) - _REMEMBERED)
        for feed, count in Counter(self._remembered.popleft() for _ in range(surplus)).items():
            feed.forget(count)

    def _end_those_gone(self, listener: Listener) -> None:
        watched = {feed.endpoint_id: feed for feed in self._watched()}
        for key in listener.ended(watched) if watched else ():
            watched[key].end()


def wait(
    endpoint: Endpoint, after: UUID | None, seconds: float, abandoned: Callable[[], bool] = lambda: False
) -> CapturedRequest | None:
    """The next request after `after`, as soon as it is there, without headers and body.

    `after` None: after `endpoint` was read. None after so many seconds, or when nobody waits for it any
    more. Raises Full, Gone, Ending.
    """
    deadline = time.monotonic() + seconds
    with closing(hub.subscribe(endpoint, after, "wait")) as subscription:
        while True:
            left = deadline - time.monotonic()
            found = subscription.take(min(left, LOOK_SECONDS), most=1)
            if found:
                return found[0].captured
            if subscription.gone:
                raise Gone
            if subscription.over:
                raise Ending
            if left <= LOOK_SECONDS or abandoned():
                return None


hub = Hub()
