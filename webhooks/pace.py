"""How fast a courier may go, so that requests to be taken in go first.

Both share one thread of Python in a gunicorn worker. While requests come in, and things wait for their turn, deliveries
are started at a rate that falls until nothing waits long, and rises again when there is room. It never falls to
nothing, and where no requests come in there is none.
"""

import time
from collections.abc import Callable
from pathlib import Path

# What anything that is ready may wait for its turn in this process, of late. A worker that only takes requests
# in, as fast as it can, has turns of some 2.5 ms.
_LONGEST_TURN_SECONDS = 0.0012
# Of its time, what this thread may have waited for a processor: then other processes have much to do, and in one of
# them requests may be waiting for their turn. And how many requests a second are worth stepping back for.
_MOST_WAITING = 0.08
_BUSY = 50.0
_NEWEST_COUNTS = 0.3
_SCHEDSTAT = Path("/proc/thread-self/schedstat")
# Deliveries a second; the least is also a share of what is taken in.
_LEAST, _MOST = 10.0, 4000.0
_LEAST_SHARE = 0.05
_LOOK_SECONDS = 0.05
# So long's worth of deliveries may start at once.
_BURST_SECONDS = 0.1


def waited_for_processor() -> float:
    """Seconds that the calling thread has been ready to run and had no processor; 0 where the kernel does not say.

    The second field of schedstat (Linux, Documentation/scheduler/sched-stats.rst), in nanoseconds.
    """
    try:
        return int(_SCHEDSTAT.read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


class Pace:
    """`taken` counts the requests that this process has ever taken in, `waited` the seconds that this thread has ever
    been ready and had no processor. Used by one thread.
    """

    def __init__(
        self,
        taken: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        waited: Callable[[], float] = waited_for_processor,
    ) -> None:
        self._taken, self._clock, self._waited = taken, clock, waited
        self._looked_at, self._counted, self._had_waited = clock(), taken(), waited()
        self._filled_at = clock()
        self._room = 0.0
        self._busy = False
        self._turn = self._waiting = 0.0
        # Deliveries a second.
        self.rate = _MOST

    @property
    def is_due(self) -> bool:
        """Whether it is time to look again."""
        return self._clock() - self._looked_at >= _LOOK_SECONDS

    def look(self, turn: float) -> None:
        """`turn`: how many seconds something that was ready has just waited for its turn."""
        now = self._clock()
        length = now - self._looked_at
        taken = self._taken()
        incoming = (taken - self._counted) / length
        waited = self._waited()
        self._waiting += ((waited - self._had_waited) / length - self._waiting) * _NEWEST_COUNTS
        self._looked_at, self._counted, self._had_waited = now, taken, waited
        self._busy = incoming > _BUSY
        self._turn += (turn - self._turn) * _NEWEST_COUNTS
        if self._busy and (self._turn > _LONGEST_TURN_SECONDS or self._waiting > _MOST_WAITING):
            self.rate = max(self.rate * 0.6, _LEAST, incoming * _LEAST_SHARE)
        else:
            self.rate = min(self.rate * 1.2 + 5, _MOST)

    @property
    def holds_back(self) -> bool:
        """Whether requests come in and wait for their turn."""
        return self._busy and self.rate < _MOST

    def allowed(self, most: int) -> int:
        """How many may start now, `most` at most."""
        now = self._clock()
        self._room = min(self._room + (now - self._filled_at) * self.rate, max(1.0, self.rate * _BURST_SECONDS))
        self._filled_at = now
        return min(most, int(self._room)) if self._busy else most

    def started(self, number: int) -> None:
        """So many were started."""
        self._room -= number

    @property
    def wait(self) -> float:
        """Seconds until one more may start."""
        return max(0.0, (1 - self._room) / self.rate) if self._busy else 0.0
