"""The live list: each new request as the row that the page shows."""

from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.template.loader import get_template
from django.utils import timezone
from django.views.decorators.http import require_safe

from instantlite import platformdb
from webhooks import events, filters, lists, stream, streaming
from webhooks.feed import Render
from webhooks.filters import Filter
from webhooks.models import CapturedRequest, Endpoint
from webhooks.pages import of_inbox
from webhooks.searching import Search
from webhooks.showing import Row


@require_safe
@of_inbox
def live(request: HttpRequest, endpoint: Endpoint) -> HttpResponseBase:
    """`GET /webhooks/{token}/events`: an event `request` for each that comes and matches the search, `gone` at the end.

    It goes on after `Last-Event-ID`, or `after` of the URL.
    """
    after, search = _last_seen(request), Search(request.GET)
    write = events.kept(searched(endpoint, search) if search.fields else row)
    try:
        return streaming.answer(request, endpoint, after, write)
    except stream.Full as full:
        raise streaming.unavailable(full) or full from full


def row(captured: CapturedRequest) -> bytes:
    """The event of a request: made once for all pages that show it."""
    return _event(Row(captured, timezone.now()))


def searched(endpoint: Endpoint, search: Search) -> Render:
    """What makes events of a search. PostgreSQL is asked of each request whether it matches, as the list does.

    The event of one that does not has an id alone: a browser that comes again goes on behind it. Raises ApiError.
    """
    only = search.page(1).only

    def render(captured: CapturedRequest) -> bytes:
        if not _matches(endpoint, only, captured):
            return f"id: {captured.id}\n\n".encode()
        return _event(Row(captured, timezone.now(), search.link))

    return render


def _matches(endpoint: Endpoint, only: Filter, captured: CapturedRequest) -> bool:
    try:
        return only.apply(lists.requests_of(endpoint).filter(pk=captured.pk)).exists()
    finally:
        platformdb.let_go_of_connection()


def _event(shown: Row) -> bytes:
    html = get_template("webhooks/_row.html").render({"row": shown, "fresh": True})
    return events.frame("request", html.strip(), shown.id)


def _last_seen(request: HttpRequest) -> UUID | None:
    given = request.headers.get("Last-Event-ID") or request.GET.get("after")
    return filters.request_id("after", given) if given else None
