"""On admin's first page: how many inboxes there are, what they hold by their own counts, and what is being sent on."""

from dataclasses import dataclass

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce, Now

from instantlite.admin.dashboard import Section
from instantlite.resource import State
from webhooks.models import Delivery, Destination, Endpoint
from webhooks.models.deliveries import OPEN


@dataclass(frozen=True)
class InboxesNow:
    """All inboxes in somebody's hands. `stored`: the requests in them; `late`: expired and not taken away yet."""

    active: int
    stored: int
    late: int


def look() -> InboxesNow:
    """One statement over the rows that are alive; the table of requests is not asked."""
    counted = (
        Endpoint.objects.filter(state=State.ACTIVE)
        .order_by()
        .aggregate(
            active=Count("pk"),
            stored=Coalesce(Sum("stored"), 0),
            late=Count("pk", filter=Q(expires_at__lte=Now())),
        )
    )
    # Sum() of bigint is numeric in PostgreSQL; and a count may be off by a little, never below nothing on the page.
    return InboxesNow(counted["active"], max(0, int(counted["stored"])), counted["late"])


# An index has those that wait, and beyond so many nobody wants to know how many more.
MOST_WAITING = 10_000


@dataclass(frozen=True)
class ForwardingNow:
    """`waiting`: deliveries that are not done, up to MOST_WAITING; the others are destinations that owners have on."""

    waiting: int
    resting: int
    stopped: int

    @property
    def more(self) -> bool:
        return self.waiting >= MOST_WAITING


def look_at_forwarding() -> ForwardingNow:
    """Two statements: how many are dead is not asked, since no index has them."""
    counted = Destination.objects.filter(listed=True).aggregate(
        resting=Count("pk", filter=Q(enabled=True, rests_until__gt=Now())),
        stopped=Count("pk", filter=Q(enabled=False) & ~Q(stopped="")),
    )
    waiting = Delivery.objects.filter(OPEN).order_by()[:MOST_WAITING].count()
    return ForwardingNow(waiting, counted["resting"], counted["stopped"])


FORWARDING = Section("forwarding", "webhooks.view_delivery", ForwardingNow, look_at_forwarding)
SECTION = Section("inboxes", "webhooks.view_endpoint", InboxesNow, look)
