"""Destinations on the page of an inbox: listed, added, changed, deleted, tried again; and proxy mode."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from instantlite import errors
from instantlite.errors import ApiError
from webhooks import deliveries, destination_form, destination_words, destinations, endpoints, form_lines, signatures
from webhooks.destination_fields import DEFAULT_TIMEOUT, ProxySettings
from webhooks.destination_form import DestinationForm
from webhooks.models import Destination, Endpoint
from webhooks.pages import back, of_inbox, page

# What the page says after a form: the value of `?done=`.
DONE = {
    "added": "Added. Requests that arrive from now on are sent there.",
    "saved": "Saved.",
    "deleted": "The destination is deleted. What it got stays on record.",
    "on": "It is on. What waited for it is being sent.",
    "off": "It is off. What comes in meanwhile waits, and is sent when it is on again.",
    "retried": "All that was dead is being tried again.",
    "proxy": "Proxy mode is on: senders get the first destination's answer.",
    "unproxied": "Proxy mode is off: senders get this inbox's own answer at once.",
}
NEEDED = "is needed, since none is kept for this way of signing."


@require_http_methods(["GET", "HEAD", "POST"])
@of_inbox
def listed(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """`/webhooks/{token}/destinations`: how each is doing. A POST adds one."""
    if request.method != "POST":
        return _list(request, endpoint)
    form, wanted = destination_form.read(request.POST)
    if wanted is None:
        return _list(request, endpoint, form)
    try:
        destinations.add(endpoint, wanted)
    except destinations.TooMany:
        most = settings.INSTANTLITE.forwarding.destinations
        problem = f"This inbox has {most} destinations, as many as one may have. Delete one first."
        return _list(request, endpoint, destination_form.refused(form, "url", problem))
    except signatures.SecretNeeded:
        return _list(request, endpoint, destination_form.refused(form, "secret", NEEDED))
    return back(endpoint, "/destinations?done=added")


@require_http_methods(["GET", "HEAD", "POST"])
@of_inbox
def edited(request: HttpRequest, endpoint: Endpoint, destination_id: UUID) -> HttpResponse:
    """`/webhooks/{token}/destinations/{id}`: its settings. A POST sets all of them."""
    row = _one(endpoint, destination_id)
    if request.method != "POST":
        return _edit(request, endpoint, row, destination_form.filled(row))
    form, wanted = destination_form.read(request.POST, row)
    if wanted is None:
        return _edit(request, endpoint, row, form)
    try:
        if destinations.change(row, wanted) is None:
            raise _absent()
    except signatures.SecretNeeded:
        return _edit(request, endpoint, row, destination_form.refused(form, "secret", NEEDED))
    return back(endpoint, "/destinations?done=saved")


@require_POST
@of_inbox
def switch(request: HttpRequest, endpoint: Endpoint, destination_id: UUID) -> HttpResponse:
    """`POST …/destinations/{id}/switch`: on with `on`, else off."""
    on = "on" in request.POST
    if destinations.change(_one(endpoint, destination_id), {"enabled": on}) is None:
        raise _absent()
    return back(endpoint, f"/destinations?done={'on' if on else 'off'}")


@require_POST
@of_inbox
def delete(request: HttpRequest, endpoint: Endpoint, destination_id: UUID) -> HttpResponse:
    """`POST …/destinations/{id}/delete`."""
    destinations.remove(_one(endpoint, destination_id))
    return back(endpoint, "/destinations?done=deleted")


@require_POST
@of_inbox
def retry(request: HttpRequest, endpoint: Endpoint, destination_id: UUID | None = None) -> HttpResponse:
    """`POST …/destinations/retry`, and that of one: what is dead is tried again."""
    row = _one(endpoint, destination_id) if destination_id else None
    deliveries.all_again(endpoint.pk, row.pk if row else None)
    return back(endpoint, "/destinations?done=retried")


@require_POST
@of_inbox
def proxy(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """`POST …/proxy`: the seconds that a sender waits, or with `off` that none does."""
    if "off" in request.POST:
        endpoints.change(endpoint, {"proxy": None})
        return back(endpoint, "/destinations?done=unproxied")
    given = request.POST.get("timeout_seconds", "").strip()
    asked = ProxySettings(data={"timeout_seconds": given.replace(",", ".") or DEFAULT_TIMEOUT})
    if not asked.is_valid():
        problem = next(iter(form_lines.problems_of(asked.errors).values()))
        return _list(request, endpoint, proxied={"value": given, "problem": problem})
    endpoints.change(endpoint, {"proxy": asked.validated_data})
    return back(endpoint, "/destinations?done=proxy")


def _one(endpoint: Endpoint, destination_id: UUID) -> Destination:
    found = Destination.objects.of(endpoint.pk).filter(pk=destination_id).first()
    if found is None:
        raise _absent()
    return found


def _absent() -> ApiError:
    return ApiError(errors.NOT_FOUND, "This destination is not here any more: it was deleted.")


def _list(
    request: HttpRequest, endpoint: Endpoint, form: DestinationForm | None = None, *, proxied: Any = None
) -> HttpResponse:
    rows = destination_words.shown(list(Destination.objects.of(endpoint.pk)), timezone.now())
    dead = [row.counts["dead"] for row in rows if row.counts["dead"]]
    seconds = f"{endpoint.proxy_seconds:g}" if endpoint.proxy_seconds else ""
    return page(
        request,
        endpoint,
        "destinations",
        status=400 if form or proxied else 200,
        destinations=rows,
        # Where only one has any, its own button is enough.
        dead=sum(dead) if len(dead) > 1 else 0,
        form=form or destination_form.EMPTY,
        adding=bool(form),
        proxy=proxied or {"value": seconds, "problem": ""},
        done=DONE.get(request.GET.get("done", ""), ""),
    )


def _edit(request: HttpRequest, endpoint: Endpoint, row: Destination, form: DestinationForm) -> HttpResponse:
    (shown,) = destination_words.shown([row], timezone.now())
    status = 400 if form.problems else 200
    return page(request, endpoint, "destination", status=status, destination=shown, form=form)
