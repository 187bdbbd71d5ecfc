"""The pages of what inboxes have captured: hostile bytes, shown as text and in pieces."""

from django.contrib import admin, messages
from django.db.models import BinaryField, F, Func, QuerySet, Value
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from instantlite.admin.actions import Act, ActingAdmin, Outcome, in_list, on_page, refused
from instantlite.admin.display import NOTHING, block, moment, mono, size
from instantlite.admin.lists import BoundedList, BoundedPaginator, IdFilter, id_of
from webhooks import charsets, endpoints
from webhooks.models import CapturedRequest
from webhooks.preview import PREVIEW_BYTES, preview


def _delete(captured: CapturedRequest) -> Outcome:
    # The owner's own verb: it keeps the inbox's count right.
    if not endpoints.delete_requests(captured.endpoint_id, [captured.pk]):
        return refused("It is not there any more")
    return Outcome(messages.SUCCESS, "Deleted", f"from inbox {captured.endpoint_id}")


DELETE = Act(
    name="remove",
    title="Delete",
    warning="The request is deleted from its inbox, whose owner is not told. There is no way back.",
    icon="delete",
    run=_delete,
    dangerous=True,
    removes=True,
)


class InboxFilter(IdFilter):
    """The index has the requests of an inbox side by side, in order."""

    title = "inbox"
    parameter_name = "endpoint"
    placeholder = "Id of an inbox"

    column = "endpoint_id"


class NewestPaginator(BoundedPaginator):
    """Of all inboxes together only the newest are paged through: nobody reads millions."""

    most = 1000


@admin.register(CapturedRequest)
class CapturedRequestAdmin(ActingAdmin[CapturedRequest], BoundedList[CapturedRequest]):
    """Newest first, which is by id. A list reads neither headers nor bodies, a page the start of a body."""

    paginator = NewestPaginator
    list_display = ["line", "kind", "length", "sender", "inbox", "received"]
    list_filter = [InboxFilter]
    search_fields = ["id"]  # shows the box; get_search_results() says what is searched
    search_help_text = "A request's id"
    sortable_by = ()

    actions = [in_list(DELETE)]
    remove_one = on_page(DELETE)
    actions_detail = ["remove_one"]

    fieldsets = [
        ("Request", {"fields": ["method", "below_key", "version", "id", "whole_inbox"]}),
        ("Sent", {"fields": ["sender", "received", "kind", "length"]}),
        ("Headers, in order", {"fields": ["header_lines"]}),
        ("Body", {"fields": ["body_start"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[CapturedRequest]:
        """Without what is long."""
        return super().get_queryset(request).defer("headers", "body")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> CapturedRequest | None:
        """With the headers and, as `start`, the first PREVIEW_BYTES of the body: the rest stays on the disk."""
        request_id = id_of(object_id)
        start = Func(F("body"), Value(1), Value(PREVIEW_BYTES), function="substring", output_field=BinaryField())
        rows = CapturedRequest.objects.defer("body").annotate(start=start)
        return rows.filter(pk=request_id).first() if request_id else None

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CapturedRequest], search_term: str
    ) -> tuple[QuerySet[CapturedRequest], bool]:
        """An id and nothing else: to look through the bodies of all inboxes is to read them all."""
        if not search_term.strip():
            return queryset, False
        request_id = id_of(search_term.strip())
        return (queryset.filter(pk=request_id) if request_id else queryset.none()), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Of those that a URL asks for, the filter's: no other column has an index."""
        return lookup == InboxFilter.parameter_name

    def facts(self, row: CapturedRequest) -> str:
        return f"{row.method} {charsets.wire(row.below_key)}, {size(row.size)}, inbox {row.endpoint_id}"

    @admin.display(description="request")
    def line(self, row: CapturedRequest) -> str:
        return format_html(
            '<span class="font-mono" style="overflow-wrap: anywhere">{} {}</span>',
            charsets.wire(row.method)[:40],
            charsets.wire(row.below_key)[:200],
        )

    @admin.display(description="target")
    def below_key(self, row: CapturedRequest) -> str:
        return mono(charsets.wire(row.below_key))

    @admin.display(description="content type")
    def kind(self, row: CapturedRequest) -> str:
        return charsets.wire(row.content_type)[:80] or NOTHING

    @admin.display(description="body")
    def length(self, row: CapturedRequest) -> str:
        text = f"{size(row.size)}, too large and not kept" if row.too_large else size(row.size)
        return format_html('<span class="whitespace-nowrap">{}</span>', text)

    @admin.display(description="sender")
    def sender(self, row: CapturedRequest) -> str:
        return row.client or NOTHING

    @admin.display(description="inbox")
    def inbox(self, row: CapturedRequest) -> str:
        path = reverse("admin:webhooks_endpoint_change", args=[row.endpoint_id])
        return format_html(
            '<a href="{}" class="font-mono whitespace-nowrap" title="{}">…{}</a>',
            path,
            row.endpoint_id,
            str(row.endpoint_id)[-8:],
        )

    @admin.display(description="inbox")
    def whole_inbox(self, row: CapturedRequest) -> str:
        path = reverse("admin:webhooks_endpoint_change", args=[row.endpoint_id])
        return format_html('<a href="{}" class="underline">{}</a>', path, row.endpoint_id)

    @admin.display(description="received")
    def received(self, row: CapturedRequest) -> str:
        return moment(row.received_at)

    @admin.display(description="headers")
    def header_lines(self, row: CapturedRequest) -> str:
        lines = ((charsets.wire(f"{name}: {value}"),) for name, value in row.headers)
        return block(format_html_join("\n", "{}", lines)) if row.headers else NOTHING

    @admin.display(description="start")
    def body_start(self, row: CapturedRequest) -> str:
        shown = preview(row.with_body(bytes(getattr(row, "start", b""))), row.size)
        return block(shown.text, wrap=not shown.is_hex) if shown.text else NOTHING
