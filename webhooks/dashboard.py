"""On admin's first page: how many inboxes there are, and what they hold by their own counts."""

from dataclasses import dataclass

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce, Now

from instantlite.admin.dashboard import Section
from instantlite.resource import State
from webhooks.models import Endpoint


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


SECTION = Section("inboxes", "webhooks.view_endpoint", InboxesNow, look)
