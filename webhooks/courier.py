"""The courier: a loop in each process that claims deliveries, has them sent, and records what became of them.

One thread speaks to PostgreSQL, on a connection of its own; each delivery is sent by a thread (a greenlet under
gunicorn) that touches no database. What ends while a statement runs is recorded together with the next one, so that a
busy courier needs few commits. Killed at any line it loses nothing: what it had claimed is claimed again when its lease
has run out (see put_back in deliveries.py), and an outcome that was not recorded means that the request is sent again.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import psycopg

from instantlite import platformdb, telemetry
from instantlite.logs import first_line
from webhooks import claims, forward
from webhooks.claims import Claims
from webhooks.ear import Waker
from webhooks.forward import Claimed, Outcome
from webhooks.ingest import ingest
from webhooks.load import Load
from webhooks.pace import Pace

log = logging.getLogger("instantlite.courier")

# Between two tries to reach PostgreSQL, and looks for what nobody has told of.
_PAUSE_SECONDS = 1.0
_LOOK_SECONDS = 15.0
_TURN_SECONDS = 0.001
# How many outcomes one statement takes.
_BATCH = 200
_UNSTORABLE = "What it answered could not be stored."
# For what is under way as the process ends.
_FAREWELL_SECONDS = 5.0


class Courier:
    """run() blocks until stop(); see instantlite.housekeeping.Loop."""

    lingers = True

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._waker = Waker()
        self._lock = threading.Lock()
        self._done: deque[Outcome] = deque()
        self._pace = Pace(lambda: ingest.taken)
        self._load = Load()

    def run(self) -> None:
        """Sends what is due, for ever. PostgreSQL may come and go meanwhile."""
        while not self._stopping.is_set():
            try:
                connection = platformdb.connect("instantlite courier", claims.SETTINGS)
                opened = Claims(connection, self._waker)
            except (psycopg.Error, OSError) as error:
                log.warning("nothing can be sent on: %s", first_line(error))
                self._stopping.wait(_PAUSE_SECONDS)
                continue
            try:
                self._work(opened)
            except (psycopg.Error, OSError) as error:
                log.warning("sending on is interrupted: %s", first_line(error))
                self._stopping.wait(_PAUSE_SECONDS)
            except Exception:
                # A fault of ours: it shall not end this process's sending for good.
                log.exception("sending on is interrupted")
                self._stopping.wait(_PAUSE_SECONDS)
            finally:
                opened.close()

    def stop(self) -> None:
        """Nothing more is claimed; what is under way has a few seconds to end, and run() returns."""
        self._stopping.set()
        self._waker.wake()

    def close(self) -> None:
        """Lets go of what it was woken by, once run() has returned. For tests: a process ends with it."""
        self._waker.close()

    @property
    def under_way(self) -> int:
        """How many deliveries are being sent."""
        return self._load.under_way

    def _work(self, opened: Claims) -> None:
        # What is known of what was under way while PostgreSQL was away comes before leases that ran out meanwhile.
        self._record(opened)
        opened.put_back()
        while not self._stopping.is_set():
            self._record(opened)
            self._give_way()
            if not self._start_due(opened) and not self._done:
                self._rest(opened)
        deadline = time.monotonic() + _FAREWELL_SECONDS
        while self._load.under_way and time.monotonic() < deadline:
            opened.wait(deadline - time.monotonic())
            self._record(opened)
        self._record(opened)
        # What we have made room for is for others to send, and they have not been told.
        opened.tell()

    def _start_due(self, opened: Claims) -> bool:
        """Whether anything was due. A function of its own: while we rest, nothing here holds a body."""
        claimed = self._claim(opened)
        for each in claimed:
            self._start(each)
        return bool(claimed)

    def _claim(self, opened: Claims) -> list[Claimed]:
        with self._lock:
            room = self._load.room()
        room = replace(room, most=self._pace.allowed(min(room.most, _BATCH)))
        claimed = opened.claim(room) if room.most > 0 and room.budget > 0 else []
        self._pace.started(len(claimed))
        return claimed

    def _give_way(self) -> None:
        """To whatever is ready: under gunicorn requests, of which this thread is one of many."""
        if self._pace.is_due:
            began = time.monotonic()
            # Not 0, which only lets those have a turn that no socket has to be asked about.
            time.sleep(_TURN_SECONDS)
            self._pace.look(time.monotonic() - began - _TURN_SECONDS)

    def _rest(self, opened: Claims) -> None:
        """Until there is something to do. Without a word from anybody, time alone makes a delivery due."""
        opened.wait(self._pace.wait or min(_LOOK_SECONDS, max(0.05, opened.seconds_until_due())))

    def _start(self, claimed: Claimed) -> None:
        size = len(claimed.message.body) if claimed.message else 0
        with self._lock:
            self._load.add(claimed.endpoint_id, size)
        # The list is emptied by who sends: the thread's arguments would hold the body as long as it lives.
        free = self._freeing(claimed.endpoint_id, size)
        thread = threading.Thread(target=self._send, args=([claimed], free), name="delivery", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No thread is to be had: its lease runs out, and it is tried again.
            free()
            with self._lock:
                self._load.end(claimed.endpoint_id)
            raise

    def _freeing(self, endpoint_id: UUID, size: int) -> Callable[[], None]:
        """Gives back the room that a body took; the first call counts."""
        held = [size]

        def free() -> None:
            if held:
                with self._lock:
                    self._load.free(endpoint_id, held.pop())

        return free

    def _send(self, box: list[Claimed], free: Callable[[], None]) -> None:
        endpoint_id = box[0].endpoint_id
        try:
            outcome = forward.deliver(box.pop(), datetime.now(UTC), sent=free)
            telemetry.DELIVERIES.add(outcome=outcome.state)
        except Exception:
            # Its lease runs out, and it is tried again.
            log.exception("a delivery was not sent")
            outcome = None
        free()
        with self._lock:
            self._load.end(endpoint_id)
            if outcome:
                self._done.append(outcome)
        self._waker.wake()

    def _record(self, opened: Claims) -> None:
        """What has ended until now. What could not be recorded waits for the next connection."""
        while self._done:
            with self._lock:
                batch = [self._done.popleft() for _ in range(min(len(self._done), _BATCH))]
            try:
                opened.record(batch)
            except (psycopg.DataError, psycopg.IntegrityError):
                # One of them cannot be stored: the others shall not suffer.
                self._record_each(opened, batch)
            except psycopg.Error:
                with self._lock:
                    self._done.extendleft(reversed(batch))
                raise

    def _record_each(self, opened: Claims, batch: list[Outcome]) -> None:
        for place, outcome in enumerate(batch):
            try:
                self._record_alone(opened, outcome)
            except psycopg.Error:
                with self._lock:
                    self._done.extendleft(reversed(batch[place:]))
                raise

    def _record_alone(self, opened: Claims, outcome: Outcome) -> None:
        try:
            opened.record([outcome])
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            log.warning("an answer cannot be stored: %s", first_line(error))
            # Unrecorded it would be sent again and again. What it says and where it went are not ours to choose.
            opened.record([replace(outcome, answer=None, error=_UNSTORABLE, note="", url="")])
