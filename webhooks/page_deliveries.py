"""Deliveries on the page of an inbox: those of one request as they go on, marks in the list, one tried again."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from instantlite import errors
from instantlite.errors import ApiError
from webhooks import deliveries, delivery_marks, delivery_showing
from webhooks.models import Delivery, Endpoint
from webhooks.pages import back, of_inbox

# How many rows of the list are looked at in one go.
_MOST_MARKS = 100


@require_safe
@of_inbox
def panel(request: HttpRequest, endpoint: Endpoint, request_id: UUID) -> HttpResponse:
    """`GET /webhooks/{token}/{id}/deliveries?seen=…`: what the tab holds; 204 where it is what is seen already."""
    now = timezone.now()
    if delivery_showing.state_of(endpoint, request_id, now) == request.GET.get("seen"):
        return HttpResponse(status=204)
    shown = delivery_showing.of(endpoint, request_id, now)
    context = {"endpoint": endpoint, "request_id": request_id, "deliveries": shown}
    return render(request, "webhooks/_deliveries.html", context)


@require_safe
@of_inbox
def marks(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """`GET /webhooks/{token}/marks?ids=…`: the marks of these rows, each to be put in its place."""
    try:
        ids = [UUID(given) for given in request.GET.get("ids", "").split(",")[:_MOST_MARKS] if given]
    except ValueError:
        raise ApiError(errors.NOT_FOUND, "ids: these are not ids of requests.") from None
    found = delivery_marks.of(endpoint, ids)
    return render(request, "webhooks/_marks.html", {"marks": [(key, found.get(key)) for key in ids]})


@require_POST
@of_inbox
def again(request: HttpRequest, endpoint: Endpoint, delivery_id: UUID) -> HttpResponse:
    """`POST /webhooks/{token}/deliveries/{id}/retry`: now, and with all its tries anew."""
    delivery = Delivery.objects.filter(pk=delivery_id, endpoint_id=endpoint.pk).first()
    if delivery is None:
        raise ApiError(errors.NOT_FOUND, "This delivery is not here any more: it went with its request.")
    if not deliveries.again(delivery):
        raise ApiError(
            errors.NOT_RETRYABLE,
            "Only a delivery that is dead, skipped or waiting, and whose destination is still there, can be tried "
            "again. Replay its request instead.",
        )
    return back(endpoint, f"/{delivery.request_id}?tab=deliveries")
