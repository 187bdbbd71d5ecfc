"""What the pages of databases and of caches share: looked at, never edited."""

import uuid
from typing import ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from provisioning.admin_actions import ActingAdmin
from provisioning.admin_display import NOTHING, moment, size, state_badge
from provisioning.admin_lists import BoundedList
from provisioning.models.provisioned import Row


class ProvisionedAdmin(ActingAdmin[Row], BoundedList[Row]):
    """Newest first. Whatever can be asked of 100,000 rows here is answered by an index or stops early."""

    # The column with the name that the server knows, which a search finds by its start.
    name_on_server: ClassVar[str]

    # Sorting by a column without an index would sort the table; created_at has one.
    sortable_by = ["created"]
    search_fields = ["name"]  # shows the box; get_search_results() says what is searched
    actions_detail = ["extend_one", "rotate_one", "expire_one"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Row]:
        """Without the columns that no page shows."""
        return super().get_queryset(request).defer("idempotency_mac", "request_digest")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Row], search_term: str
    ) -> tuple[QuerySet[Row], bool]:
        """An id or a name on the server is looked up by its index; any other word is looked for in the names."""
        term = search_term.strip()
        return (queryset.filter(self._matching(term)) if term else queryset), False

    def _matching(self, term: str) -> Q:
        try:
            return Q(pk=uuid.UUID(term))
        except ValueError:
            pass
        if term.startswith("il_"):
            return Q(**{f"{self.name_on_server}__startswith": term})
        by_name = Q(name__icontains=term)
        return by_name | Q(fingerprint=term) if len(term) == 22 else by_name

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
        everything_of_theirs = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return format_html(
            '<a href="{}?owner={}" title="Everything of owner {}" class="font-mono">{}…</a>',
            everything_of_theirs,
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

    @admin.display(description="lease until")
    def lease(self, row: Row) -> str:
        return moment(row.lease_until)

    @admin.display(description="last size")
    def last_size(self, row: Row) -> str:
        return size(row.size_bytes)

    @admin.display(description="storage limit")
    def storage_limit(self, row: Row) -> str:
        return f"{row.storage_mb} MB" if row.storage_mb else NOTHING
