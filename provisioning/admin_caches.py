"""The caches' pages."""

from django.contrib import admin

from instantlite.admin.actions import in_list, on_page
from instantlite.admin.display import NOTHING, badge
from instantlite.admin.lists import ExpiryFilter, OwnerFilter
from provisioning.admin_acts import acts_on
from provisioning.admin_provisioned import ProvisionedAdmin
from provisioning.models import Cache

_acts = acts_on("cache", Cache)


@admin.register(Cache)
class CacheAdmin(ProvisionedAdmin[Cache]):
    """With what housekeeping last saw of each; no page asks Redis."""

    name_on_server = "key_prefix"
    list_display = ["title", "status", "key_prefix", "owner", "created", "expires", "last_size", "quota"]
    list_filter = ["state", "confined", ExpiryFilter, OwnerFilter]
    search_help_text = "Name, prefix, id, or an owner's whole fingerprint"

    actions = [in_list(_acts.expire), in_list(_acts.extend), in_list(_acts.rotate)]
    expire_one = on_page(_acts.expire)
    extend_one = on_page(_acts.extend)
    rotate_one = on_page(_acts.rotate)

    # Named one by one: what a later migration adds is not shown by accident.
    fieldsets = [
        ("Cache", {"fields": ["name", "status", "key_prefix", "id"]}),
        ("Owner", {"fields": ["owner", "storage_limit", "connections"]}),
        ("Last seen", {"fields": ["last_size", "quota", "open_connections"]}),
        ("Life", {"fields": ["created", "granted_ttl", "expires", "gone"]}),
        ("Inside", {"fields": ["generation", "lease", "tries", "last_error"]}),
    ]

    def facts(self, row: Cache) -> str:
        return f"{row.key_prefix}, {row.state}"

    @admin.display(description="quota")
    def quota(self, cache: Cache) -> str:
        if cache.confined:
            return badge("exceeded", "warning", hover="It may read and delete until it has shrunk")
        return NOTHING if cache.size_bytes is None else "within"
