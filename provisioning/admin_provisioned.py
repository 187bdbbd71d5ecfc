"""What the pages of databases and of caches share."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import Q

from instantlite.admin.display import NOTHING, moment, size
from instantlite.admin.resources import ResourceAdmin
from provisioning.models.provisioned import Row


class ProvisionedAdmin(ResourceAdmin[Row]):
    """A resource with a user on a server of ours."""

    # The column with the name that the server knows, which a search finds by its start.
    name_on_server: ClassVar[str]

    # Sorting by a column without an index would sort the table; created_at has one.
    sortable_by = ["created"]
    actions_detail = ["extend_one", "rotate_one", "expire_one"]

    def known_as(self, term: str) -> Q | None:
        """Names on the server start with `il_`."""
        return Q(**{f"{self.name_on_server}__startswith": term}) if term.startswith("il_") else None

    @admin.display(description="lease until")
    def lease(self, row: Row) -> str:
        return moment(row.lease_until)

    @admin.display(description="last size")
    def last_size(self, row: Row) -> str:
        return size(row.size_bytes)

    @admin.display(description="storage limit")
    def storage_limit(self, row: Row) -> str:
        return f"{row.storage_mb} MB" if row.storage_mb else NOTHING
