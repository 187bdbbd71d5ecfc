"""How fast a courier may go, so that requests to be taken in go first.

Both share one thread of Python in a gunicorn worker. While requests come in, and things wait for their turn, deliveries
are started at a rate that falls until nothing waits long, and rises again when there is room. It never falls to
nothing, and where no requests come in there is none.
"""

import time
from collections.abc import Callable

# What anything that is ready may wait for its turn, and how many requests a second are worth stepping back for.
_LONGEST_TURN_SECONDS = 0.004
_BUSY = 50.0
# Deliveries a second; the least is also a share of what is taken in.
_LEAST, _MOST = 10.0, 4000.0
_LEAST_SHARE = 0.08
_LOOK_SECONDS = 0.05
# So long's worth of deliveries may start at once.
_BURST_SECONDS = 0.1


class Pace:
    """`taken` counts the requests that this process has ever taken in. Used by one thread."""

    def __init__(self, taken: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._taken, self._clock = taken, clock
        self._looked_at, self._counted = clock(), taken()
        self._filled_at = clock()
        self._room = 0.0
        self._busy = False
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
        self._looked_at, self._counted = now, taken
        self._busy = incoming > _BUSY
        if self._busy and turn > _LONGEST_TURN_SECONDS:
            self.rate = max(self.rate * 0.6, _LEAST, incoming * _LEAST_SHARE)
        else:
            self.rate = min(self.rate * 1.2 + 5, _MOST)

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
