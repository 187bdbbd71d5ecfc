"""What the pages of every kind of resource share: looked at, never edited."""

import uuid
from typing import TypeVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from instantlite.admin.actions import ActingAdmin
from instantlite.admin.display import NOTHING, moment, state_badge
from instantlite.admin.lists import FINGERPRINT_LENGTH, BoundedList
from instantlite.resource import EphemeralResource

Row = TypeVar("Row", bound=EphemeralResource)


class ResourceAdmin(ActingAdmin[Row], BoundedList[Row]):
    """Newest first. Whatever can be asked of 100,000 rows here is answered by an index or stops early."""

    search_fields = ["name"]  # shows the box; get_search_results() says what is searched

    def get_queryset(self, request: HttpRequest) -> QuerySet[Row]:
        """Without the columns that no page shows."""
        return super().get_queryset(request).defer("idempotency_mac", "request_digest")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Row], search_term: str
    ) -> tuple[QuerySet[Row], bool]:
        """What names a single object is looked up by its index; any other word is looked for in the names."""
        term = search_term.strip()
        return (queryset.filter(self._matching(term)) if term else queryset), False

    def _matching(self, term: str) -> Q:
        try:
            return Q(pk=uuid.UUID(term))
        except ValueError:
            pass
        known = self.known_as(term)
        if known is not None:
            return known
        by_name = Q(name__icontains=term)
        return by_name | Q(fingerprint=term) if len(term) == FINGERPRINT_LENGTH else by_name

    def known_as(self, term: str) -> Q | None:
        """The condition for a word that names objects of this kind in a way of its own; None for any other word."""
        raise NotImplementedError

    @admin.display(description="name", empty_value=NOTHING)
    def title(self, row: Row) -> str:
        return row.name or "not handed out"

    @admin.display(description="status")
    def status(self, row: Row) -> str:
        return state_badge(row.state)

    @admin.display(description="owner")
    def owner(self, row: Row) -> str:
        if not row.fingerprint:
            return NOTHING
        return format_html(
            '<a href="{}?owner={}" title="Everything of owner {}" class="font-mono">{}…</a>',
            self.path("changelist"),
            row.fingerprint,
            row.fingerprint,
            row.fingerprint[:8],
        )

    @admin.display(description="created", ordering="created_at")
    def created(self, row: Row) -> str:
        return moment(row.created_at)

    @admin.display(description="expires")
    def expires(self, row: Row) -> str:
        return moment(row.expires_at)

    @admin.display(description="gone")
    def gone(self, row: Row) -> str:
        return moment(row.gone_at)
