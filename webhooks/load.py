"""What one process has under way, and how much more it may take: of all, and of one inbox.

No inbox takes more than an eighth, so that a few whose destinations hang, or answer slowly, leave room for others'.
"""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

# Half an eighth may be under way as an inbox is given half an eighth more.
_SHARE = 16
_LEAST_OF_ONE, _LEAST_BUDGET_OF_ONE = 4, 2_000_000


@dataclass(frozen=True)
class Room:
    """How much may be claimed: `most` deliveries with `budget` bytes of bodies; of one endpoint `most_of_one` and
    `budget_of_one`, and nothing of those that are `full`; of one destination `concurrency`, over all processes.
    """

    most: int
    budget: int
    most_of_one: int
    budget_of_one: int
    concurrency: int
    full: frozenset[UUID]


class Load:
    """Deliveries under way and the bytes of their bodies that are still to be sent. Its user takes care of threads."""

    def __init__(self) -> None:
        self.under_way = 0
        self.bytes = 0
        self._deliveries: Counter[UUID] = Counter()
        self._bytes: Counter[UUID] = Counter()

    def add(self, endpoint_id: UUID, size: int) -> None:
        """One more."""
        self.under_way += 1
        self.bytes += size
        self._deliveries[endpoint_id] += 1
        self._bytes[endpoint_id] += size

    def free(self, endpoint_id: UUID, size: int) -> None:
        """A body has been sent."""
        self.bytes -= size
        self._bytes[endpoint_id] -= size

    def end(self, endpoint_id: UUID) -> None:
        """One less."""
        self.under_way -= 1
        self._deliveries[endpoint_id] -= 1
        if not self._deliveries[endpoint_id]:
            del self._deliveries[endpoint_id], self._bytes[endpoint_id]

    def room(self) -> Room:
        """What is left."""
        options = settings.INSTANTLITE.forwarding
        budget = options.in_flight_mb * 1_000_000
        # Where all is little, one may have all.
        most_of_one = max(options.in_flight // _SHARE, min(options.in_flight, _LEAST_OF_ONE))
        budget_of_one = max(budget // _SHARE, min(budget, _LEAST_BUDGET_OF_ONE))
        full = frozenset(
            endpoint_id
            for endpoint_id, number in self._deliveries.items()
            if number >= most_of_one or self._bytes[endpoint_id] >= budget_of_one
        )
        left = (options.in_flight - self.under_way, budget - self.bytes)
        return Room(*left, most_of_one, budget_of_one, options.concurrency, full)
