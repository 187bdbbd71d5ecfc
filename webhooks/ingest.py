"""Group commit: many waiting requests, one statement, one commit, then the answers.

Each process has one queue and one writer. While the writer waits for PostgreSQL, requests gather, and are the next
batch: the busier it is, the more share a commit. A sender is answered after the commit that holds its request, or told
to send it again: nothing is acknowledged before it is committed.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.conf import settings

from instantlite import telemetry
from instantlite.config import Rate
from ratelimit import limits, stores
from ratelimit.gcra import Charge
from webhooks.capture import Capture
from webhooks.writer import NotCommitted, Unacceptable, Unsure, Verdict, Writer

log = logging.getLogger("instantlite.ingest")

# What one statement takes: enough that a commit is shared by many, little enough that it is soon over.
_BATCH_REQUESTS = 256
_BATCH_BYTES = 8_000_000
# Between two tries to reach PostgreSQL.
_PAUSE_SECONDS = 0.2


class Busy(Exception):
    """As many requests wait as this process can hold; this one was not taken."""


class Away(Exception):
    """PostgreSQL has not committed the request within the sender's patience."""


@dataclass(eq=False)
class _Waiting:
    """A request whose sender waits."""

    capture: Capture
    # Released when there is an outcome: a lock is the cheapest thing that one can wait for.
    decided: threading.Lock = field(default_factory=threading.Lock)
    outcome: Verdict | Exception | None = None
    given_up: bool = False

    def decide(self, outcome: Verdict | Exception) -> None:
        self.outcome = outcome
        self.decided.release()


class Ingest:
    """The queue of one process and its writer, which the first request starts: threads do not survive a fork."""

    def __init__(self) -> None:
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._writer = Writer()
        # Requests that were ever decided.
        self.taken = 0

    def submit(self, capture: Capture) -> Verdict:
        """What became of a request: `stored` is committed. Raises Busy, Away, Unacceptable."""
        waiting = _Waiting(capture)
        waiting.decided.acquire()
        self._put(waiting)
        if not waiting.decided.acquire(timeout=settings.INSTANTLITE.webhooks.patience.total_seconds()):
            waiting.given_up = True
        outcome = waiting.outcome or Away()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def stop(self) -> None:
        """Ends the writer when all that waits has been decided. For tests: a worker ends with its last request."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread:
            self._thread.join()
        self._writer.close()

    @property
    def depth(self) -> int:
        """How many requests wait for the next batch."""
        return len(self._queue)

    def close(self) -> None:
        """Ends the connection to PostgreSQL; the next batch opens another. For tests, between batches."""
        self._writer.close()

    def _put(self, waiting: _Waiting) -> None:
        options = settings.INSTANTLITE.webhooks
        length = len(waiting.capture.message.body)
        with self._changed:
            if len(self._queue) >= options.queue or self._bytes + length > options.queue_mb * 1_000_000:
                raise Busy
            self._queue.append(waiting)
            self._bytes += length
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_for_ever, name="ingest", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _write_for_ever(self) -> None:
        while batch := self._take():
            try:
                self._write(*_charged(batch))
            except Exception as error:
                log.exception("a batch of %d requests was not stored", len(batch))
                for waiting in batch:
                    if waiting.outcome is None:
                        waiting.decide(error)

    def _take(self) -> list[_Waiting]:
        """The next batch in the order of arrival, as soon as there is one; who has given up is left out.

        Empty when there will be none any more.
        """
        batch: list[_Waiting] = []
        size = 0
        while not batch:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._stopping)
            # Whoever is about to put a request into the queue has a turn first: fewer commits, and none of them later.
            time.sleep(0)
            with self._changed:
                if not self._queue:
                    return []
                while self._queue and len(batch) < _BATCH_REQUESTS and size < _BATCH_BYTES:
                    waiting = self._queue.popleft()
                    length = len(waiting.capture.message.body)
                    self._bytes -= length
                    if not waiting.given_up:
                        batch.append(waiting)
                        size += length
        return batch

    def _write(self, batch: list[_Waiting], rate: Rate | None) -> None:
        """Decides every request of a batch. Tries again while PostgreSQL is away and somebody waits."""
        outcomes: Sequence[Verdict | Exception]
        while batch:
            try:
                outcomes = self._writer.write([waiting.capture for waiting in batch], rate)
            except NotCommitted as error:
                log.warning("requests cannot be stored, they wait: %s", error)
                time.sleep(_PAUSE_SECONDS)
                batch = [waiting for waiting in batch if not waiting.given_up]
                continue
            except Unsure as error:
                # Written again it might be there twice: that is for the sender to decide.
                log.warning("it is not known whether %d requests were stored: %s", len(batch), error)
                outcomes = [Away()] * len(batch)
            except Unacceptable as error:
                if len(batch) > 1:
                    # The others shall not suffer for one of them.
                    for waiting in batch:
                        self._write([waiting], rate)
                    return
                outcomes = [error]
            for waiting, outcome in zip(batch, outcomes, strict=True):
                waiting.decide(outcome)
            self.taken += len(batch)
            telemetry.CAPTURE_BATCHES.add()
            return


def _charged(batch: list[_Waiting]) -> tuple[list[_Waiting], Rate | None]:
    """Those whose limit allows them, the others decided; and the rate that the statement is to charge itself.

    Redis, where it keeps the limits, is asked for all endpoints of the batch in one round trip.
    """
    rate = limits.CAPTURES.rate
    if rate is None:
        return batch, None
    counts = Counter(waiting.capture.endpoint_id for waiting in batch)
    wanted = {endpoint: Charge(limits.CAPTURES.name, str(endpoint), rate) for endpoint in counts}
    taken = stores.store.take({charge: counts[endpoint] for endpoint, charge in wanted.items()})
    if taken is None:
        return batch, rate
    left = {endpoint: taken[charge].granted for endpoint, charge in wanted.items()}
    allowed = []
    for waiting in batch:
        endpoint = waiting.capture.endpoint_id
        left[endpoint] -= 1
        if left[endpoint] >= 0:
            allowed.append(waiting)
        else:
            waiting.decide(Verdict("limited", wait=taken[wanted[endpoint]].wait))
    return allowed, None


ingest = Ingest()
