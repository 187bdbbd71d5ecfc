"""What the list of requests says of their deliveries: a word to each request, found by one query for all rows."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, OuterRef

from webhooks.models import Delivery, DeliveryState, Destination, Endpoint
from webhooks.models.endpoints import EndpointQuerySet

_WORDS: dict[str, str] = {
    DeliveryState.DEAD: "dead",
    DeliveryState.PENDING: "waiting",
    DeliveryState.DELIVERING: "waiting",
    DeliveryState.DELIVERED: "delivered",
}
# The one that somebody has to look at first.
_ORDER = ("dead", "waiting", "delivered")


@dataclass(frozen=True)
class Mark:
    """`dead`, `waiting` or `delivered`, and of how many deliveries that is true."""

    word: str
    count: int = 1

    @property
    def waits(self) -> bool:
        return self.word == "waiting"

    @property
    def text(self) -> str:
        return f"{self.count} {self.word}" if self.count > 1 else self.word


def knowing(rows: EndpointQuerySet) -> EndpointQuerySet:
    """Endpoints that know, as `sends_on`, whether there may be a mark: it costs one look into each of two indexes."""
    mine = {"endpoint_id": OuterRef("pk")}
    return rows.annotate(sends_on=Exists(Delivery.objects.filter(**mine)) | Exists(Destination.objects.filter(**mine)))


def may_have_any(endpoint: Endpoint) -> bool:
    """Whether there may be a mark in this inbox, by what knowing() found."""
    return bool(getattr(endpoint, "sends_on", True))


def of(endpoint: Endpoint, request_ids: Collection[UUID]) -> dict[UUID, Mark]:
    """The marks of those that have one. Of several deliveries to the same destination the last one counts."""
    if not request_ids:
        return {}
    rows = Delivery.objects.filter(request_id__in=request_ids, endpoint_id=endpoint.pk)
    latest = rows.order_by("request_id", "destination_id", "-id").distinct("request_id", "destination_id")
    counts: dict[UUID, Counter[str]] = defaultdict(Counter)
    for request_id, state in latest.values_list("request_id", "state"):
        word = _WORDS.get(state)
        if word:
            counts[request_id][word] += 1
    return {key: next(Mark(word, found[word]) for word in _ORDER if found[word]) for key, found in counts.items()}
