"""The databases' pages."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from instantlite.admin.actions import in_list, on_page
from instantlite.admin.display import moment
from instantlite.admin.lists import ExpiryFilter, OwnerFilter
from instantlite.resource import State
from provisioning import usage
from provisioning.admin_acts import acts_on
from provisioning.admin_provisioned import ProvisionedAdmin
from provisioning.models import Database

_acts = acts_on("database", Database)


@admin.register(Database)
class DatabaseAdmin(ProvisionedAdmin[Database]):
    """With the cluster that each is on."""

    name_on_server = "db_name"
    list_display = ["title", "status", "on_cluster", "owner", "created", "expires", "last_size"]
    list_filter = ["state", "cluster", ExpiryFilter, OwnerFilter]
    search_help_text = "Name, database name, id, or an owner's whole fingerprint"

    actions = [in_list(_acts.expire), in_list(_acts.extend), in_list(_acts.rotate)]
    expire_one = on_page(_acts.expire)
    extend_one = on_page(_acts.extend)
    rotate_one = on_page(_acts.rotate)

    change_form_before_template = "admin/database_now.html"
    # Named one by one: what a later migration adds is not shown by accident.
    fieldsets = [
        ("Database", {"fields": ["name", "status", "on_cluster", "db_name", "id"]}),
        ("Owner", {"fields": ["owner", "storage_limit", "connections"]}),
        ("Life", {"fields": ["built", "created", "granted_ttl", "expires", "gone"]}),
        ("Inside", {"fields": ["generation", "last_size", "lease", "tries", "last_error", "recipe"]}),
    ]

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

    @admin.display(description="cluster")
    def on_cluster(self, database: Database) -> str:
        return database.cluster_id

    @admin.display(description="built")
    def built(self, database: Database) -> str:
        return moment(database.built_at)
