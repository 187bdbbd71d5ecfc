"""Handing out endpoints, and what becomes of them: extended, changed, deleted, expired."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from instantlite.handing_out import HandedOut, earlier
from instantlite.resource import Gone, LifetimeReached, State, Wish
from webhooks import deliveries
from webhooks.answer_fields import merged
from webhooks.models import CapturedRequest, Endpoint
from webhooks.signature_fields import kept

# How many requests one statement deletes: a second of work at most, with bodies of a megabyte.
_BATCH = 200


def hand_out(wish: Wish) -> HandedOut[Endpoint]:
    """An endpoint for `wish`. Raises Mismatch, and for a repeated idempotency key Gone."""
    while True:
        try:
            with transaction.atomic():
                return HandedOut(Endpoint.objects.start(wish))
        except IntegrityError:
            # No key was taken: a fault of ours, and nothing that is there is this caller's.
            if wish.idempotency_key is None:
                raise
            repeated = earlier(Endpoint.objects.all(), wish)
            if repeated:
                return HandedOut(repeated, replayed=True)


def extend(endpoint: Endpoint, ttl: timedelta) -> Endpoint:
    """Moves the expiry by `ttl`, never past the longest lifetime. Raises LifetimeReached, Gone."""
    if not Endpoint.objects.extend(endpoint.pk, ttl, settings.INSTANTLITE.limits.max_lifetime):
        raise LifetimeReached
    return _again(endpoint)


def change(endpoint: Endpoint, wanted: Mapping[str, Any]) -> Endpoint:
    """Sets `name`, `response`, `proxy` and `signature`, where they are there; of the response, what is there.

    Raises Gone, and ValidationError for a signature without a secret.
    """
    with transaction.atomic():
        # Locked: of two callers that change different parts of the response, neither undoes the other.
        row = Endpoint.objects.active().select_for_update().filter(pk=endpoint.pk).first()
        if row is None:
            raise Gone
        row.name = wanted.get("name", row.name)
        if "response" in wanted:
            row.answer = merged(row.answer, wanted["response"])
        if "proxy" in wanted:
            row.proxy_seconds = wanted["proxy"]["timeout_seconds"] if wanted["proxy"] else None
        if "signature" in wanted:
            row.signature = kept(row.pk, wanted["signature"], row.signature)
        row.save(update_fields=["name", "answer", "proxy_seconds", "signature"])
    return row


def _again(endpoint: Endpoint) -> Endpoint:
    found = Endpoint.objects.active().filter(pk=endpoint.pk).first()
    if found is None:
        raise Gone
    return found


def expire(endpoint: Endpoint) -> None:
    """Ends it at once, with all it holds; what takes longer is left to housekeeping. Raises Gone."""
    if not Endpoint.objects.end(endpoint.pk):
        raise Gone
    Endpoint.objects.announce_end(endpoint.pk)
    delete_some(endpoint.pk)


def delete_some(endpoint_id: UUID) -> bool:
    """Deletes a batch of an ending endpoint's requests; True when that was the last, and it is a tombstone now."""
    batch = list(CapturedRequest.objects.of(endpoint_id).values_list("pk", flat=True)[:_BATCH])
    delete_requests(endpoint_id, batch)
    # Not how many were deleted: another process may have been at the same ones.
    if len(batch) == _BATCH:
        return False
    # Of requests that are gone already, of which there is no list any more.
    deliveries.delete_batch_of_ended(endpoint_id)
    Endpoint.objects.ended(endpoint_id)
    return True


def clear(endpoint: Endpoint) -> int:
    """Deletes all requests that an endpoint holds now; how many there were."""
    newest = CapturedRequest.objects.of(endpoint.pk).newest_first().values_list("pk", flat=True).first()
    deleted = 0
    while newest:
        rows = CapturedRequest.objects.of(endpoint.pk).filter(pk__lte=newest).oldest_first()
        batch = list(rows.values_list("pk", flat=True)[:_BATCH])
        if not batch:
            break
        deleted += delete_requests(endpoint.pk, batch)
    return deleted


def delete_requests(endpoint_id: UUID, request_ids: list[UUID]) -> int:
    """Deletes these requests of an endpoint; how many there were."""
    with transaction.atomic():
        # The endpoint's row first, as capturing does, so that the two cannot wait for each other.
        Endpoint.objects.select_for_update().filter(pk=endpoint_id).first()
        deliveries.delete_of(endpoint_id, request_ids)
        deleted, _ = CapturedRequest.objects.of(endpoint_id).filter(pk__in=request_ids).delete()
        if deleted:
            Endpoint.objects.removed(endpoint_id, deleted)
    return deleted


def trim_one() -> str | None:
    """Step: removes the oldest requests of one endpoint that holds more than it keeps."""
    trimmed = Endpoint.objects.trim_one()
    return f"removed {trimmed[1]} requests of {trimmed[0]}" if trimmed else None


def expire_due() -> str | None:
    """Step: makes tombstones of endpoints whose time is up."""
    count = Endpoint.objects.expire_due()
    return f"{count} inboxes expired" if count else None


def finish_one() -> str | None:
    """Step: goes on deleting where somebody began to."""
    endpoint = Endpoint.objects.ending().first()
    if endpoint is None:
        return None
    finished = delete_some(endpoint.pk)
    return f"deleted {'the last' if finished else 'some'} requests of {endpoint.name}"


def purge_one_batch() -> str | None:
    """Step: deletes tombstones that are older than the configuration keeps them."""
    age = settings.INSTANTLITE.housekeeping.tombstones
    batch = list(Endpoint.objects.old_tombstones(age).values_list("pk", flat=True)[:500])
    deleted, _ = Endpoint.objects.filter(pk__in=batch, state=State.GONE).delete()
    return f"deleted {deleted} tombstones" if deleted else None
