"""The arithmetic of the generic cell rate algorithm (ITU-T I.371, annex A; its virtual scheduling form).

A bucket is one number, its theoretical arrival time (TAT). A charge moves it on by the emission interval, from now or
from where it is, whichever is later; it conforms while the TAT stays within the tolerance of now. So a resting bucket
fills up by the clock, with no process to fill it, and one that is missing is a full one.

Times are whole microseconds by the store's clock, since the Unix epoch. Both stores compute with them exactly:
PostgreSQL in bigint, Redis in doubles, which are exact to 2^53.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from instantlite.config import Rate

MICROSECONDS = 1_000_000

# Tuples and not frozen dataclasses, which take longer to make, and these are made on every request.


class Charge(NamedTuple):
    """One unit of one limit, asked of one partition (a client, an endpoint)."""

    limit: str
    partition: str
    rate: Rate

    @property
    def key(self) -> str:
        """Under which a store keeps the bucket. Letters, digits, `-`, `_` and one colon."""
        return f"{self.limit}:{self.partition}"

    @property
    def interval(self) -> int:
        """The emission interval, rounded up: never more than the rate says."""
        return _interval(self.rate)

    @property
    def tolerance(self) -> int:
        """How far ahead of now the TAT may be after a charge: `capacity` charges at once."""
        return _interval(self.rate) * self.rate.capacity


class Outcome(NamedTuple):
    """What a bucket holds after the decision. `level`: microseconds from now to its TAT, 0 for a full bucket."""

    charge: Charge
    level: int

    @property
    def remaining(self) -> int:
        """Charges that would still be taken now."""
        return max(0, (self.charge.tolerance - self.level) // self.charge.interval)

    @property
    def reset_seconds(self) -> int:
        """Until the bucket is full again."""
        return _seconds(self.level)

    @property
    def wait(self) -> int:
        """Microseconds until one more charge is taken; 0 where it would be now."""
        return max(0, self.level + self.charge.interval - self.charge.tolerance)


class Decision(NamedTuple):
    """What a store decided on all charges of one request together: a denial by one has charged none."""

    allowed: bool
    at: int
    outcomes: tuple[Outcome, ...]
    store: str

    @property
    def denied_by(self) -> Outcome | None:
        """The outcome that has to be waited for longest; None when all charges were taken."""
        return None if self.allowed else max(self.outcomes, key=lambda outcome: outcome.wait)

    @property
    def retry_after_seconds(self) -> int:
        """Until the same request would be allowed, at least 1; 0 when it was."""
        denied = self.denied_by
        return max(1, _seconds(denied.wait)) if denied else 0

    def only(self, limits: Sequence[str]) -> "Decision":
        """The part of it that is about these limits."""
        return self._replace(outcomes=tuple(outcome for outcome in self.outcomes if outcome.charge.limit in limits))

    def without(self, limits: Sequence[str]) -> "Decision":
        """The part of it that is left when what these limits charged has been given back."""
        return self._replace(outcomes=tuple(outcome for outcome in self.outcomes if outcome.charge.limit not in limits))


@cache
def _interval(rate: Rate) -> int:
    period = round(rate.period.total_seconds() * MICROSECONDS)
    return -(-period // rate.count)


def _seconds(microseconds: int) -> int:
    """Rounded up, so that whoever waits for it has waited long enough."""
    return -(-microseconds // MICROSECONDS)
