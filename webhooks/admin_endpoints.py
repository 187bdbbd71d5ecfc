"""The inboxes' pages."""

import json
from typing import Any
from urllib.parse import urlsplit

from django.contrib import admin, messages
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from instantlite import keys
from instantlite.admin.actions import Outcome, in_list, on_page
from instantlite.admin.acts import AT_ITS_LONGEST, EXTENSION, NOT_ACTIVE, expiring, extended, extending
from instantlite.admin.display import block
from instantlite.admin.lists import ExpiryFilter, OwnerFilter
from instantlite.admin.resources import ResourceAdmin
from instantlite.resource import Gone, LifetimeReached
from webhooks import endpoints
from webhooks.models import Endpoint
from webhooks.models.endpoints import RECEIVE_PATH


def _expire(endpoint: Endpoint) -> Outcome:
    if not Endpoint.objects.filter(pk=endpoint.pk).expire_now():
        return NOT_ACTIVE
    return Outcome(messages.SUCCESS, "Expired, and its requests are deleted within seconds")


def _extend(endpoint: Endpoint) -> Outcome:
    # LifetimeReached says both "at its longest" and "expired"; an operator wants to know which.
    if not Endpoint.objects.active().filter(pk=endpoint.pk).exists():
        return NOT_ACTIVE
    try:
        return extended(endpoints.extend(endpoint, EXTENSION).expires_at)
    except LifetimeReached:
        return AT_ITS_LONGEST
    except Gone:
        return NOT_ACTIVE


EXPIRE = expiring(
    _expire,
    "The inbox ends at once: senders are told 410, and every request in it is deleted. There is no way back.",
)
EXTEND = extending(_extend)


@admin.register(Endpoint)
class EndpointAdmin(ResourceAdmin[Endpoint]):
    """With the counts that capturing keeps; what was captured is on pages of its own."""

    list_display = ["title", "status", "owner", "requests", "created", "expires"]
    list_filter = ["state", ExpiryFilter, OwnerFilter]
    search_help_text = "Name, id, receive URL or its key, token, or an owner's whole fingerprint"
    # Newest first by id, which is made with the inbox; no other column has an index to sort by.
    sortable_by = ()

    actions = [in_list(EXPIRE), in_list(EXTEND)]
    expire_one = on_page(EXPIRE)
    extend_one = on_page(EXTEND)
    actions_detail = ["extend_one", "expire_one"]

    def get_fieldsets(self, request: HttpRequest, obj: Endpoint | None = None) -> Any:
        """Named one by one: what a later migration adds is not shown by accident."""
        browse = ["contents"] if request.user.has_perm("webhooks.view_capturedrequest") else []
        return [
            ("Inbox", {"fields": ["name", "status", "id", "owner"]}),
            ("Requests", {"fields": ["captured", "held", "keeps", *browse]}),
            *self._sent_on(request),
            ("Life", {"fields": ["created", "granted_ttl", "expires", "gone"]}),
            ("Senders are answered", {"fields": ["answered"]}),
        ]

    def _sent_on(self, request: HttpRequest) -> list[Any]:
        """What leads to those parts that this operator may see."""
        names = [name for name in ("destination", "delivery") if request.user.has_perm(f"webhooks.view_{name}")]
        return [("Sent on", {"fields": [f"{name}_list" for name in names]})] if names else []

    def facts(self, row: Endpoint) -> str:
        return f"{row.id}, {row.state}, {_held(row):,} requests"

    def known_as(self, term: str) -> Q | None:
        """A token or a receive URL says the inbox's id; checked, so that a mistyped one finds nothing."""
        if term.startswith(f"{Endpoint.kind}_"):
            return Q(pk=keys.resource_id_of(Endpoint.kind, term))
        before, found, below = urlsplit(term).path.partition(RECEIVE_PATH)
        key = below.partition("/")[0] if found else before
        endpoint_id = keys.resource_id_of_sending_key(Endpoint.kind, key)
        return Q(pk=endpoint_id) if endpoint_id or found else None

    @admin.display(description="captured / kept")
    def requests(self, row: Endpoint) -> str:
        return format_html('<span class="whitespace-nowrap">{} / {}</span>', f"{row.captured:,}", f"{_held(row):,}")

    @admin.display(description="kept now")
    def held(self, row: Endpoint) -> int:
        return _held(row)

    @admin.display(description="keeps the newest")
    def keeps(self, row: Endpoint) -> int:
        return row.requests_stored

    @admin.display(description="what came in")
    def contents(self, row: Endpoint) -> str:
        return _browse("capturedrequest", "Browse requests", row)

    @admin.display(description="destinations")
    def destination_list(self, row: Endpoint) -> str:
        return _browse("destination", "Browse destinations", row)

    @admin.display(description="deliveries")
    def delivery_list(self, row: Endpoint) -> str:
        return _browse("delivery", "Browse deliveries", row)

    @admin.display(description="answer")
    def answered(self, row: Endpoint) -> str:
        if not row.answer:
            return "the default"
        return block(json.dumps(row.answer, indent=2, ensure_ascii=False))


def _browse(model: str, words: str, row: Endpoint) -> str:
    path = reverse(f"admin:webhooks_{model}_changelist")
    return format_html('<a href="{}?endpoint={}" class="underline">{}</a>', path, row.pk, words)


def _held(row: Endpoint) -> int:
    """The count may be off by a little, but nothing is less than none."""
    return max(0, row.stored)
