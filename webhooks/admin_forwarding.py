"""The pages of where inboxes send on to, and of what became of it: read only, changed by acts alone.

A signing secret is sealed and is not shown, nor is what seals it. What a destination answered is hostile text.
"""

import json
import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.db.models import BinaryField, F, Func, QuerySet, Value
from django.db.models.functions import Length
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from instantlite.admin.actions import Act, ActingAdmin, Outcome, in_list, on_page, refused
from instantlite.admin.display import NOTHING, badge, block, moment, mono
from instantlite.admin.lists import BoundedList, IdFilter, id_of
from webhooks import charsets, deliveries, destinations
from webhooks.admin_captures import InboxFilter, NewestPaginator
from webhooks.forwarding_shapes import filter_shown
from webhooks.message import Message
from webhooks.models import Attempt, Delivery, DeliveryState, Destination
from webhooks.preview import PREVIEW_BYTES, preview

_COLOURS = {
    DeliveryState.DELIVERED: "success",
    DeliveryState.DEAD: "danger",
    DeliveryState.PENDING: "warning",
    DeliveryState.DELIVERING: "info",
}
# The newest that a page shows.
_MOST_ATTEMPTS = 20


def _switch(*, on: bool) -> Any:
    def run(destination: Destination) -> Outcome:
        if destination.enabled == on:
            return refused(f"Left alone, it is {'on' if on else 'off'} already")
        if destinations.change(destination, {"enabled": on}) is None:
            return refused("It is not there any more")
        return Outcome(messages.SUCCESS, "Turned on" if on else "Turned off", f"of inbox {destination.endpoint_id}")

    return run


def _retry(delivery: Delivery) -> Outcome:
    if not deliveries.again(delivery):
        return refused("Left alone, it is delivered, under way, or its destination was deleted")
    return Outcome(messages.SUCCESS, "Tried again", f"request {delivery.request_id}")


TURN_OFF = Act(
    name="off",
    title="Turn off",
    warning="Nothing more is sent there. What comes in meanwhile waits, until its owner or an operator turns it on.",
    icon="pause",
    run=_switch(on=False),
    dangerous=True,
)
TURN_ON = Act(
    name="on",
    title="Turn on",
    warning="What waited for it is sent at once, and what comes in from now on.",
    icon="play_arrow",
    run=_switch(on=True),
)
RETRY = Act(
    name="retry",
    title="Try again",
    warning="Each is sent now, and with all its tries anew. The destination may get a request that it has already.",
    icon="replay",
    run=_retry,
)


class DestinationFilter(IdFilter):
    """The whole id of one."""

    title = "destination"
    parameter_name = "destination"
    placeholder = "Id of a destination"

    column = "destination_id"


class ById(BoundedList[Any]):
    """Found by an id, its own or one that `searched` names. No other column is searched, nor filtered by a URL."""

    paginator = NewestPaginator
    search_fields = ("id",)  # shows the box; get_search_results() says what is searched
    sortable_by = ()
    searched: tuple[str, ...] = ("pk",)
    asked_by: tuple[str, ...] = ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By each column in turn: one condition with OR would be answered by no index."""
        if not search_term.strip():
            return queryset, False
        key = id_of(search_term.strip())
        for column in self.searched if key else ():
            found = queryset.filter(**{column: key})
            if found.exists():
                return found, False
        return queryset.none(), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in self.asked_by

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        key = id_of(object_id)
        return self.get_queryset(request).filter(pk=key).first() if key else None


@admin.register(Destination)
class DestinationAdmin(ActingAdmin[Destination], ById):
    """Newest first."""

    list_display = ["to", "mood", "inbox", "listed", "made"]
    list_filter = ["enabled", InboxFilter]
    asked_by = ("enabled__exact", "endpoint")
    searched = ("pk", "endpoint_id")
    search_help_text = "A destination's or an inbox's id"
    ordering = ("-id",)

    actions = [in_list(TURN_OFF), in_list(TURN_ON)]
    off_one = on_page(TURN_OFF)
    on_one = on_page(TURN_ON)
    actions_detail = ["on_one", "off_one"]

    fieldsets = [
        ("Destination", {"fields": ["to", "mood", "id", "inbox", "made", "sent"]}),
        ("Settings", {"fields": ["only", "timeout_seconds", "ordered", "signs", "listed"]}),
        ("How it fares", {"fields": ["failures", "rests", "lost", "room"]}),
    ]

    def facts(self, row: Destination) -> str:
        return f"{row.url}, inbox {row.endpoint_id}"

    @admin.display(description="URL")
    def to(self, row: Destination) -> str:
        return mono(row.url)

    @admin.display(description="state")
    def mood(self, row: Destination) -> str:
        if not row.enabled:
            return badge("stopped" if row.stopped else "off", "danger" if row.stopped else "", hover=row.stopped)
        return badge("fails", "warning", hover=f"{row.failures} in a row") if row.failures else badge("on", "success")

    @admin.display(description="inbox")
    def inbox(self, row: Destination) -> str:
        return _link("endpoint", row.endpoint_id)

    @admin.display(description="made")
    def made(self, row: Destination) -> str:
        return moment(row.created_at)

    @admin.display(description="what was sent")
    def sent(self, row: Destination) -> str:
        path = reverse("admin:webhooks_delivery_changelist")
        return format_html('<a href="{}?destination={}" class="underline">Browse</a>', path, row.pk)

    @admin.display(description="only requests with")
    def only(self, row: Destination) -> str:
        return block(json.dumps(filter_shown(row.filter), indent=2, ensure_ascii=False)) if row.filter else NOTHING

    @admin.display(description="signed anew")
    def signs(self, row: Destination) -> str:
        return f"as {row.signing['provider']}" if row.signing else NOTHING

    @admin.display(description="rests until")
    def rests(self, row: Destination) -> str:
        return moment(row.rests_until)


@admin.register(Delivery)
class DeliveryAdmin(ActingAdmin[Delivery], ById):
    """Newest first. A list reads no body, a page the start of each answer."""

    list_display = ["to", "status", "origin", "attempts", "inbox", "made"]
    list_filter = ["state", "origin", InboxFilter, DestinationFilter]
    asked_by = ("state__exact", "origin__exact", "endpoint", "destination")
    searched = ("pk", "request_id", "destination_id", "endpoint_id")
    search_help_text = "The id of a delivery, a request, a destination or an inbox"
    ordering = ("-id",)

    actions = [in_list(RETRY)]
    retry_one = on_page(RETRY)
    actions_detail = ["retry_one"]

    fieldsets = [
        ("Delivery", {"fields": ["to", "status", "note", "origin", "id", "destination", "request_sent", "inbox"]}),
        ("Times", {"fields": ["made", "next_try", "last_try", "finished"]}),
        ("Attempts, the newest first", {"fields": ["tries_made"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return super().get_queryset(request).defer("edited", "edited_body")

    def facts(self, row: Delivery) -> str:
        return f"{row.url or 'not sent yet'}, {row.state}, request {row.request_id}"

    @admin.display(description="URL")
    def to(self, row: Delivery) -> str:
        return mono(row.url) if row.url else NOTHING

    @admin.display(description="state")
    def status(self, row: Delivery) -> str:
        return badge(row.state, _COLOURS.get(DeliveryState(row.state), ""), hover=row.note)

    @admin.display(description="inbox")
    def inbox(self, row: Delivery) -> str:
        return _link("endpoint", row.endpoint_id)

    @admin.display(description="destination")
    def destination(self, row: Delivery) -> str:
        return _link("destination", row.destination_id) if row.destination_id else NOTHING

    @admin.display(description="request")
    def request_sent(self, row: Delivery) -> str:
        return _link("capturedrequest", row.request_id)

    @admin.display(description="made")
    def made(self, row: Delivery) -> str:
        return moment(row.created_at)

    @admin.display(description="next try")
    def next_try(self, row: Delivery) -> str:
        return moment(row.next_at)

    @admin.display(description="no try after")
    def last_try(self, row: Delivery) -> str:
        return moment(row.until)

    @admin.display(description="finished")
    def finished(self, row: Delivery) -> str:
        return moment(row.finished_at)

    @admin.display(description="attempts")
    def tries_made(self, row: Delivery) -> str:
        shown = list(_attempts(row))
        return format_html_join("", "{}", ((each,) for each in shown)) if shown else NOTHING


def _attempts(row: Delivery) -> Iterator[SafeString]:
    start: Any = Func(
        F("answer_body"), Value(1), Value(PREVIEW_BYTES), function="substring", output_field=BinaryField()
    )
    rows = Attempt.objects.filter(delivery_id=row.pk).defer("answer_body").order_by("-number", "-id")
    for attempt in rows.annotate(start=start, length=Length("answer_body"))[:_MOST_ATTEMPTS]:
        status = "no answer" if attempt.status is None else attempt.status
        line = f"{attempt.number}. {status}, {attempt.duration_ms:.0f} ms, {attempt.started_at:%Y-%m-%d %H:%M:%S} UTC"
        pairs = tuple((name, value) for name, value in attempt.answer_headers)
        body = preview(Message("", "", "", pairs, bytes(attempt.start)), attempt.length)
        head = "\n".join(charsets.wire(f"{name}: {value}") for name, value in pairs)
        text = "\n".join(part for part in (line, attempt.error, head) if part)
        yield block(f"{text}\n\n{body.text}\n" if body.text else f"{text}\n", wrap=not (body.text and body.is_hex))


def _link(model: str, key: uuid.UUID) -> SafeString:
    path = reverse(f"admin:webhooks_{model}_change", args=[key])
    return format_html('<a href="{}" class="font-mono whitespace-nowrap" title="{}">…{}</a>', path, key, str(key)[-8:])
