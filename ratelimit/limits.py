"""Every limit by name, said in words. Their rates are in the configuration, section `limits`."""

from dataclasses import dataclass

from django.conf import settings

from instantlite.config import Rate
from ratelimit.gcra import Charge


@dataclass(frozen=True)
class Limit:
    """What is limited, and for whom. `given_back`: whether a charge is returned when the service could not deliver."""

    name: str
    says: str
    per: str
    given_back: bool = False

    @property
    def rate(self) -> Rate | None:
        """As it is configured; None when this limit is lifted."""
        rate: Rate | None = getattr(settings.INSTANTLITE.limits, self.name)
        return rate

    def charge(self, partition: str) -> Charge | None:
        """One unit, asked of a partition; None when this limit is lifted."""
        rate = self.rate
        return Charge(self.name, partition, rate) if rate else None


REQUESTS = Limit("requests", "requests of any kind", "client network")
PROVISIONS = Limit(
    "provisions", "databases, caches and webhook inboxes, taken together", "client network", given_back=True
)
CAPTURES = Limit("captures", "requests that one webhook inbox takes in", "endpoint")

LIMITS = {limit.name: limit for limit in (REQUESTS, PROVISIONS, CAPTURES)}
