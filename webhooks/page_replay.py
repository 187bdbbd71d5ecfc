"""Replay on the page of an inbox: a request as it came or edited, and all that match a search.

What is posted here makes this server send, so it is charged as a call of the API is.
"""

from dataclasses import replace
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from ratelimit import limits, throttling
from webhooks import lists, replay, replay_form
from webhooks.filters import Page
from webhooks.models import CapturedRequest, Endpoint
from webhooks.pages import back, of_inbox, page, request_of
from webhooks.replay_form import Original, ReplayForm
from webhooks.searching import Search
from webhooks.showing import Row

NO_DESTINATION = "There is no destination that is on. Add one, or give a URL."
NOT_KEPT = "was too large to be kept: give another one."
# Without a script the page that follows does not refresh by itself, so most outcomes are waited for.
_WAIT_SECONDS = 2.0


@require_http_methods(["GET", "HEAD", "POST"])
@of_inbox
def one(request: HttpRequest, endpoint: Endpoint, request_id: UUID) -> HttpResponse:
    """`/webhooks/{token}/{id}/replay`: the request in a form. A POST sends it, changed where a field is."""
    captured = request_of(endpoint, request_id)
    if request.method != "POST":
        return _form(request, endpoint, captured, replay_form.filled(captured))
    throttling.charge(request, limits.REQUESTS)
    form, asked = replay_form.read(request.POST, captured)
    if asked is None:
        return _form(request, endpoint, captured, form)
    try:
        made = replay.replay([captured], replay.targets(endpoint, **asked.target), asked.edit)
    except replay.NoDestination:
        return _form(request, endpoint, captured, replace(form, problems={"to": NO_DESTINATION}))
    except replay.NotKept:
        return _form(request, endpoint, captured, replace(form, problems={"body": NOT_KEPT}))
    except replay.TooManyWait:
        return _form(request, endpoint, captured, replace(form, problems={"to": replay.TOO_MANY_WAIT}))
    if "HX-Request" not in request.headers:
        replay.wait(made, _WAIT_SECONDS)
    return back(endpoint, f"/{captured.pk}?tab=deliveries")


@require_http_methods(["GET", "HEAD", "POST"])
@of_inbox
def many(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """`/webhooks/{token}/replay?q=…`: how many match, and where to. A POST sends those that were there by then."""
    search = Search(request.GET)
    if request.method != "POST":
        return _many(request, endpoint, search, ReplayForm({"to": "all", "url": ""}))
    throttling.charge(request, limits.REQUESTS)
    form, target = replay_form.target(request.POST)
    if target is None:
        return _many(request, endpoint, search, form)
    try:
        to = replay.targets(endpoint, **target)
        made = replay.replay(lists.matching(endpoint, _upto(search, request.POST), replay.MOST_REQUESTS)[0], to)
    except replay.NoDestination:
        return _many(request, endpoint, search, replace(form, problems={"to": NO_DESTINATION}))
    except replay.NotKept:
        problem = "The bodies of all of them were too large to be kept."
        return _many(request, endpoint, search, replace(form, problems={"to": problem}))
    except replay.TooManyWait:
        return _many(request, endpoint, search, replace(form, problems={"to": replay.TOO_MANY_WAIT}))
    told = {**search.fields, "sent": str(len({each.request_id for each in made})), "made": str(len(made))}
    return back(endpoint, f"/replay?{urlencode(told)}")


def _upto(search: Search, data: QueryDict) -> Page:
    """What the form has counted, without what came since."""
    asked = search.page(1)
    try:
        newest = UUID(data.get("upto", ""))
    except ValueError:
        return asked
    return replace(asked, before=UUID(int=min(newest.int + 1, 2**128 - 1)))


def _many(request: HttpRequest, endpoint: Endpoint, search: Search, form: ReplayForm) -> HttpResponse:
    found, complete = lists.matching(endpoint, search.page(1), replay.MOST_REQUESTS)
    sent, made = (_number(request.GET, name) for name in ("sent", "made"))
    return page(
        request,
        endpoint,
        "replay_many",
        status=400 if form.problems else 200,
        count=len(found),
        complete=complete,
        upto=found[-1].pk if found else "",
        form=form,
        targets=replay_form.places(endpoint),
        sent=sent,
        made=made,
        unkept=sum(row.too_large for row in found),
    )


def _form(request: HttpRequest, endpoint: Endpoint, captured: CapturedRequest, form: ReplayForm) -> HttpResponse:
    return page(
        request,
        endpoint,
        "replay",
        status=400 if form.problems else 200,
        row=Row(captured, timezone.now()),
        original=Original(captured),
        form=form,
        targets=replay_form.places(endpoint),
    )


def _number(query: QueryDict, name: str) -> int | None:
    given = query.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 8 else None
