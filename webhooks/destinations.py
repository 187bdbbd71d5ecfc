"""An inbox's destinations: added, changed, deleted."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from instantlite.resource import Gone
from instantlite.uuid7 import uuid7
from webhooks import deliveries, signatures
from webhooks.models import Destination, Endpoint


class TooMany(Exception):
    """The inbox has as many destinations as one may have."""


def add(endpoint: Endpoint, wanted: Mapping[str, Any]) -> Destination:
    """A new one; requests that arrive from now on are sent there. Raises TooMany, Gone, SecretNeeded."""
    with transaction.atomic():
        _lock(endpoint)
        if Destination.objects.of(endpoint.pk).count() >= settings.INSTANTLITE.forwarding.destinations:
            raise TooMany
        made = Destination(id=uuid7(), endpoint_id=endpoint.pk)
        _set(made, wanted)
        made.created_at = Now()
        made.save(force_insert=True)
    made.refresh_from_db()
    return made


def change(destination: Destination, wanted: Mapping[str, Any]) -> Destination | None:
    """Sets what is given; None where somebody has just deleted it. Turned on again, what waited for it is sent.

    Raises SecretNeeded.
    """
    with transaction.atomic():
        row = Destination.objects.select_for_update().filter(pk=destination.pk).first()
        if row is None:
            return None
        _set(row, wanted)
        row.save(update_fields=["url", "enabled", "stopped", "filter", "timeout_seconds", "ordered", "signing"])
        if row.enabled:
            # Who changes something has mended something: it is looked at without waiting for its rest to end.
            deliveries.wake([row.pk])
    return row


def remove(destination: Destination) -> bool:
    """Deletes it; what was not delivered yet is dead, what was stays on record. False: somebody else has deleted it."""
    # By itself: whoever has locked a delivery of it may wait for its row. What comes to wait after this finds it gone;
    # what waits already is given up here, or by housekeeping if we are killed.
    deleted, _ = Destination.objects.filter(pk=destination.pk).delete()
    while deliveries.end_orphans(destination.pk):
        pass
    return bool(deleted)


def for_url(endpoint: Endpoint, url: str, timeout_seconds: float) -> Destination:
    """What holds replays to a URL that is no destination of the inbox; made where there is none. Raises Gone."""
    with transaction.atomic():
        _lock(endpoint)
        unlisted = Destination.objects.filter(endpoint_id=endpoint.pk, listed=False)
        found = unlisted.filter(url=url, timeout_seconds=timeout_seconds).first()
        if found:
            return found
        made = Destination.objects.create(
            endpoint_id=endpoint.pk, url=url, timeout_seconds=timeout_seconds, listed=False, created_at=Now()
        )
    # The oldest make room: what they have sent stays on record.
    for old in unlisted.order_by("-id")[settings.INSTANTLITE.forwarding.destinations :]:
        remove(old)
    return made


def _lock(endpoint: Endpoint) -> None:
    if not Endpoint.objects.active().select_for_update().filter(pk=endpoint.pk).exists():
        raise Gone


def _set(row: Destination, wanted: Mapping[str, Any]) -> None:
    for name in ("url", "filter", "timeout_seconds", "ordered"):
        setattr(row, name, wanted.get(name, getattr(row, name)))
    if "signature" in wanted:
        # Sealed for this row, the secret opens for no other.
        row.signing = signatures.store(row.pk, wanted["signature"], row.signing) if wanted["signature"] else None
    if "enabled" in wanted:
        row.enabled = wanted["enabled"]
        row.stopped = ""
