"""The databases' pages: looked at, never edited."""

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from instantlite.resource import State
from provisioning import admin_database_acts as acts
from provisioning import usage
from provisioning.admin_actions import ActingAdmin, in_list, on_page
from provisioning.admin_display import NOTHING, moment, size, state_badge
from provisioning.admin_lists import BoundedList, ExpiryFilter, OwnerFilter
from provisioning.models import Database


@admin.register(Database)
class DatabaseAdmin(ActingAdmin[Database], BoundedList):
    """Newest first. Whatever can be asked of 100,000 rows here is answered by an index or stops early."""

    list_display = ["title", "status", "on_cluster", "owner", "created", "expires", "last_size"]
    list_filter = ["state", "cluster", ExpiryFilter, OwnerFilter]
    # Sorting by a column without an index would sort the table; created_at has one.
    sortable_by = ["created"]
    search_fields = ["name"]  # shows the box; get_search_results() says what is searched
    search_help_text = "Name, database name, id, or an owner's whole fingerprint"

    actions = [in_list(acts.EXPIRE), in_list(acts.EXTEND), in_list(acts.ROTATE)]
    expire_one = on_page(acts.EXPIRE)
    extend_one = on_page(acts.EXTEND)
    rotate_one = on_page(acts.ROTATE)
    actions_detail = ["extend_one", "rotate_one", "expire_one"]

    change_form_before_template = "admin/database_now.html"
    # Named one by one: what a later migration adds is not shown by accident.
    fieldsets = [
        ("Database", {"fields": ["name", "status", "on_cluster", "db_name", "id"]}),
        ("Owner", {"fields": ["owner", "storage_limit", "connections"]}),
        ("Life", {"fields": ["built", "created", "granted_ttl", "expires", "gone"]}),
        ("Inside", {"fields": ["generation", "last_size", "lease", "tries", "last_error", "recipe"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Database]:
        """Without the columns that no page shows."""
        return super().get_queryset(request).defer("idempotency_mac", "request_digest")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Database], search_term: str
    ) -> tuple[QuerySet[Database], bool]:
        """An id or a database's name is looked up by its index; any other word is looked for in the names."""
        term = search_term.strip()
        return (queryset.filter(_matching(term)) if term else queryset), False

    def facts(self, row: Database) -> str:
        return f"{row.db_name} on {row.cluster_id}, {row.state}"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Asks the cluster, there and then, what the database uses."""
        database: Database = kwargs["obj"]
        if database.state in (State.ACTIVE, State.READY):
            context |= {"asked": True, "usage": usage.measure(database)}
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="name", empty_value=NOTHING)
    def title(self, database: Database) -> str:
        return database.name or "not handed out"

    @admin.display(description="status")
    def status(self, database: Database) -> str:
        return state_badge(database.state)

    @admin.display(description="cluster")
    def on_cluster(self, database: Database) -> str:
        return database.cluster_id

    @admin.display(description="owner")
    def owner(self, database: Database) -> str:
        if not database.fingerprint:
            return NOTHING
        everything_of_theirs = reverse("admin:provisioning_database_changelist")
        return format_html(
            '<a href="{}?owner={}" title="Everything of owner {}" class="font-mono">{}…</a>',
            everything_of_theirs,
            database.fingerprint,
            database.fingerprint,
            database.fingerprint[:8],
        )

    @admin.display(description="created", ordering="created_at")
    def created(self, database: Database) -> str:
        return moment(database.created_at)

    @admin.display(description="expires")
    def expires(self, database: Database) -> str:
        return moment(database.expires_at)

    @admin.display(description="built")
    def built(self, database: Database) -> str:
        return moment(database.built_at)

    @admin.display(description="gone")
    def gone(self, database: Database) -> str:
        return moment(database.gone_at)

    @admin.display(description="lease until")
    def lease(self, database: Database) -> str:
        return moment(database.lease_until)

    @admin.display(description="last size")
    def last_size(self, database: Database) -> str:
        return size(database.size_bytes)

    @admin.display(description="storage limit")
    def storage_limit(self, database: Database) -> str:
        return f"{database.storage_mb} MB" if database.storage_mb else NOTHING


def _matching(term: str) -> Q:
    try:
        return Q(pk=uuid.UUID(term))
    except ValueError:
        pass
    if term.startswith("il_"):
        return Q(db_name__startswith=term)
    by_name = Q(name__icontains=term)
    return by_name | Q(fingerprint=term) if len(term) == 22 else by_name
