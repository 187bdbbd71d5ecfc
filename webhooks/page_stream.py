"""The live list: each new request as the row that the page shows."""

import time
from collections.abc import Iterator
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_safe

from instantlite import platformdb
from webhooks import lists, searching
from webhooks.models import CapturedRequest, Endpoint
from webhooks.pages import endpoint_of
from webhooks.showing import Row


@require_safe
def events(request: HttpRequest, token: str) -> HttpResponseBase:
    """`GET /webhooks/{token}/events`: server-sent events `request`, with the search's fields and `after`."""
    endpoint = endpoint_of(token)
    after = UUID(request.headers.get("Last-Event-ID") or request.GET.get("after") or str(UUID(int=0)))
    search = searching.Search(request.GET)
    answer = StreamingHttpResponse(_poll(endpoint, search, after), content_type="text/event-stream")
    answer["Cache-Control"] = "no-store"
    return answer


def row_html(endpoint: Endpoint, captured: CapturedRequest, search: searching.Search) -> str:
    row = Row(captured, timezone.now())
    return render_to_string("webhooks/_row.html", {"endpoint": endpoint, "row": row, "search": search, "fresh": True})


def _poll(endpoint: Endpoint, search: searching.Search, after: UUID) -> Iterator[str]:
    yield "retry: 1000\n\n"
    while True:
        rows = search.page(50).only.apply(lists.requests_of(endpoint).after(after)).oldest_first()
        for captured in rows:
            after = captured.id
            html = " ".join(row_html(endpoint, captured, search).split("\n"))
            yield f"id: {captured.id}\nevent: request\ndata: {html}\n\n"
        platformdb.let_go_of_connection()
        time.sleep(0.1)
