"""The loop that keeps the house: steps that each app hands in, run when they are due or when somebody wakes it.

A step does one unit of work and says what it did; it is called again until it has nothing left to do. Steps are safe
in any number of processes at once, so each web worker runs this loop (`housekeeping.mode: web`), or a process of its
own does (`worker`, with `manage.py housekeeping`).
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import psycopg
from django.conf import settings
from django.db import Error as DatabaseError

from instantlite import platformdb
from instantlite.logs import first_line

log = logging.getLogger("instantlite.housekeeping")

# NOTIFY on this channel (any payload) runs the steps that are marked `on_wake` at once, in every process.
WAKE_CHANNEL = "instantlite_wake"

# Requests go first: the work that they wake us for shares the processors with them. It begins when no further wake-up
# has come for so long, or after the longest delay that a busy service can put it off by.
_QUIET_SECONDS = 0.05
_LONGEST_DELAY_SECONDS = 1.0

# A step that always finds more to do lets the others have a turn after so many units.
_UNITS_A_TURN = 20


@dataclass(frozen=True)
class Step:
    """One kind of work. `run` does one unit and says what it did, or returns None: nothing (more) to do.

    Steps of one `lane` take turns in one thread. Work that may wait long for a server has a lane of its own, so that it
    holds up no other.
    """

    name: str
    every: Callable[[], timedelta]
    run: Callable[[], str | None]
    on_wake: bool = False
    lane: str = "main"


def interval() -> timedelta:
    """How often most steps look for work."""
    configured: timedelta = settings.INSTANTLITE.housekeeping.interval
    return configured


def repair_interval() -> timedelta:
    """How often those do that cost more than a look at rows that are due."""
    configured: timedelta = settings.INSTANTLITE.housekeeping.repair_interval
    return configured


class Loop(Protocol):
    """Work of another kind that runs where housekeeping does: run() blocks until stop(), and soon returns then."""

    # Whether what is under way is worth waiting for as the process ends.
    lingers: bool

    def run(self) -> None: ...

    def stop(self) -> None: ...


_steps: list[Step] = []
_loops: list[Callable[[], Loop]] = []


def register(*steps: Step) -> None:
    """Called by each app as it becomes ready; once for each step."""
    _steps.extend(step for step in steps if step not in _steps)


def register_loop(make: Callable[[], Loop]) -> None:
    """Called by each app as it becomes ready; once for each. `make` is called after the fork."""
    if make not in _loops:
        _loops.append(make)


class Housekeeper:
    """One loop. run() blocks until stop(); between turns it waits in LISTEN, so that a claim wakes it at once."""

    # What waits for a slow server is safe to kill.
    lingers = False

    def __init__(self, steps: list[Step] | None = None) -> None:
        self.steps = list(_steps if steps is None else steps)
        self._due = dict.fromkeys((step.name for step in self.steps), 0.0)
        self._stopping = threading.Event()
        self._listener: psycopg.Connection[tuple[object, ...]] | None = None

    def run(self) -> None:
        """Turns until stop(). The platform database may come and go meanwhile."""
        while not self._stopping.is_set():
            self.turn()
            self.wait()
        self._hang_up()

    def stop(self) -> None:
        """Ends the loop after the step that is running; noticed within a second."""
        self._stopping.set()

    def turn(self) -> None:
        """Runs what is due now."""
        for step in self.steps:
            if self._stopping.is_set():
                return
            if self._due[step.name] <= time.monotonic():
                more = self._run(step)
                self._due[step.name] = time.monotonic() + (0 if more else step.every().total_seconds())
        platformdb.let_go_of_connection()

    def _run(self, step: Step) -> bool:
        """Whether the step may have more to do than one turn allows."""
        try:
            for _ in range(_UNITS_A_TURN):
                done = step.run()
                if done is None:
                    return False
                log.debug("%s: %s", step.name, done)
        except DatabaseError as error:
            log.warning("%s stopped: %s", step.name, first_line(error))
            return False
        except Exception:
            log.exception("%s failed", step.name)
            return False
        return True

    def wait(self) -> None:
        """Until a step is due, or somebody wakes us."""
        left = min(self._due.values(), default=0.0) - time.monotonic()
        while left > 0 and not self._stopping.is_set():
            # A second at most, so that stop() is noticed; a wake-up ends the wait at once.
            if self._woken(min(left, 1.0)):
                self._let_requests_go_first()
                self._due.update((step.name, 0.0) for step in self.steps if step.on_wake)
                return
            left = min(self._due.values()) - time.monotonic()

    def _let_requests_go_first(self) -> None:
        deadline = time.monotonic() + _LONGEST_DELAY_SECONDS
        while time.monotonic() < deadline and self._woken(_QUIET_SECONDS):
            pass

    def _woken(self, seconds: float) -> bool:
        if not any(step.on_wake for step in self.steps):
            self._stopping.wait(seconds)
            return False
        try:
            listener = self._listener or self._listen()
            return any(True for _ in listener.notifies(timeout=seconds, stop_after=1))
        except (psycopg.Error, OSError) as error:
            log.debug("not listening: %s", error)
            self._hang_up()
            self._stopping.wait(seconds)
            return False

    def _listen(self) -> psycopg.Connection[tuple[object, ...]]:
        self._listener = platformdb.connect()
        self._listener.execute(f"LISTEN {WAKE_CHANNEL}")
        # What was notified before we listened is not told again: look once.
        self._due.update((step.name, 0.0) for step in self.steps if step.on_wake)
        return self._listener

    def _hang_up(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None


def lanes() -> list[Housekeeper]:
    """A loop for each lane of steps."""
    names = dict.fromkeys(step.lane for step in _steps)
    return [Housekeeper([step for step in _steps if step.lane == name]) for name in names]


class Running:
    """All loops of this process, each in a thread of its own. Made after the fork: threads do not survive one."""

    def __init__(self) -> None:
        loops: list[Loop] = [*lanes(), *(make() for make in _loops)]
        self._threads = {loop: threading.Thread(target=loop.run, name="housekeeping", daemon=True) for loop in loops}
        for thread in self._threads.values():
            thread.start()

    def stop(self) -> None:
        """No new work is begun. May be called again."""
        for loop in self._threads:
            loop.stop()

    def join(self, seconds: float, *, everything: bool = False) -> None:
        """Stops, and waits for what is worth waiting for (or `everything`), so long at most."""
        self.stop()
        deadline = time.monotonic() + seconds
        for loop, thread in self._threads.items():
            if loop.lingers or everything:
                thread.join(max(0, deadline - time.monotonic()))


def start() -> Running | None:
    """The loops of a web worker; None where the configuration puts them elsewhere."""
    return Running() if settings.INSTANTLITE.housekeeping.mode == "web" else None
