"""Pages of an inbox's deliveries, newest first."""

from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict

from instantlite.errors import INVALID_REQUEST, ApiError
from webhooks import filters
from webhooks.models import Delivery, DeliveryState, Endpoint

DEFAULT_LIMIT, LONGEST_PAGE = 50, 100
PARAMETERS = ("state", "destination_id", "before", "limit")


@dataclass(frozen=True)
class DeliveryPage:
    """`limit` of them, older than `before`, in this `state` and of this destination; None: any."""

    state: str | None = None
    destination_id: UUID | None = None
    before: UUID | None = None
    limit: int = DEFAULT_LIMIT


def page_of(query: QueryDict) -> DeliveryPage:
    """The query parameters of the list. Raises ApiError `invalid_request`, which names the parameter."""
    filters.refuse_unknown(query, (*PARAMETERS, "format"))
    state = query.get("state") or None
    if state and state not in DeliveryState.values:
        raise ApiError(INVALID_REQUEST, f"state: must be one of {', '.join(DeliveryState.values)}.")
    limit = query.get("limit") or str(DEFAULT_LIMIT)
    if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= LONGEST_PAGE):
        raise ApiError(INVALID_REQUEST, f"limit: must be a number from 1 to {LONGEST_PAGE}.")
    return DeliveryPage(
        state=state,
        destination_id=_id("destination_id", query),
        before=_id("before", query),
        limit=int(limit),
    )


def read(endpoint: Endpoint, page: DeliveryPage) -> tuple[list[Delivery], str | None]:
    """A page, and the URL of the one that follows."""
    rows = Delivery.objects.filter(endpoint_id=endpoint.pk).defer("edited_body").order_by("-id")
    if page.state:
        rows = rows.filter(state=page.state)
    if page.destination_id:
        rows = rows.filter(destination_id=page.destination_id)
    if page.before:
        rows = rows.filter(pk__lt=page.before)
    found = list(rows[: page.limit + 1])
    if len(found) <= page.limit:
        return found, None
    given = {"state": page.state, "destination_id": page.destination_id, "limit": page.limit}
    query = {name: str(value) for name, value in given.items() if value} | {"before": str(found[page.limit - 1].pk)}
    return found[: page.limit], f"{endpoint.status_url}/deliveries?{urlencode(query)}"


def _id(name: str, query: QueryDict) -> UUID | None:
    return filters.request_id(name, str(query[name])) if query.get(name) else None
