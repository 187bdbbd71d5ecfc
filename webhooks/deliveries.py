"""What becomes of deliveries beside being sent: asked for again, put back, given up, deleted."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, When
from django.db.models.functions import Now

from webhooks.claims import CHANNEL
from webhooks.forward import GIVEN_UP
from webhooks.models import Delivery, DeliveryState, Destination, Endpoint
from webhooks.models.deliveries import OPEN

_BATCH = 500
# In migration 0003 too.
DESTINATION_DELETED = "Its destination was deleted."

# Endpoints of deliveries, each found by a step through the index, and of those the first that is not active any more.
_ENDED = """
WITH RECURSIVE known (id) AS (
    (SELECT endpoint_id FROM webhooks_delivery ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT v.endpoint_id FROM webhooks_delivery v WHERE v.endpoint_id > k.id ORDER BY v.endpoint_id LIMIT 1)
    FROM known k WHERE k.id IS NOT NULL
)
SELECT k.id FROM known k
WHERE k.id IS NOT NULL AND NOT EXISTS (
    SELECT FROM webhooks_endpoint e WHERE e.id = k.id AND e.state = 'active' AND e.expires_at > now())
LIMIT 1
"""


def again(delivery: Delivery) -> bool:
    """One that is dead, skipped or waiting is due now, with all the time that a new one has. False: it is neither."""
    with transaction.atomic():
        waiting = Delivery.objects.filter(pk=delivery.pk).exclude(destination_id=None)
        waiting = waiting.filter(state__in=[DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.SKIPPED])
        waiting = waiting.filter(destination_id__in=Destination.objects.values("pk"))
        if not waiting.update(**_anew()):
            return False
        if not wake([delivery.destination_id] if delivery.destination_id else []):
            # Deleted in this moment.
            transaction.set_rollback(True)
            return False
    return True


def all_again(endpoint_id: UUID, destination_id: UUID | None = None) -> int:
    """The same for all of an inbox that are dead, or those of one destination; how many."""
    with transaction.atomic():
        dead = Delivery.objects.filter(endpoint_id=endpoint_id, state=DeliveryState.DEAD).exclude(destination_id=None)
        there = Destination.objects.filter(endpoint_id=endpoint_id)
        there = there.filter(pk=destination_id) if destination_id else there.filter(listed=True)
        dead = dead.filter(destination_id__in=there.values("pk"))
        ids = list(dead.order_by("pk").select_for_update().values_list("pk", flat=True))
        Delivery.objects.filter(pk__in=ids).update(**_anew())
        if ids:
            wake(list(there.values_list("pk", flat=True)))
            with connection.cursor() as cursor:
                cursor.execute("SELECT webhooks_end_orphans(%s, now())", [ids])
    return len(ids)


def wake(destination_ids: Collection[UUID]) -> int:
    """The couriers look at these destinations at once, resting ones too: somebody asked for it. How many there are.

    They are told as the caller's transaction commits, and cannot be deleted before that.
    """
    rows = (
        Destination.objects.filter(pk__in=destination_ids)
        .order_by("pk")
        .select_for_update()
        .values_list("pk", flat=True)
    )
    found = Destination.objects.filter(pk__in=list(rows)).update(wake_at=Now(), rests_until=None)
    tell()
    return found


def tell() -> None:
    """Wakes the couriers of all processes, once the caller's transaction is committed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def delete_of(endpoint_id: UUID, request_ids: Collection[UUID]) -> None:
    """Deletes deliveries with their requests, in the caller's transaction; PostgreSQL deletes their attempts."""
    rows = Delivery.objects.filter(request_id__in=request_ids, endpoint_id=endpoint_id)
    _delete(list(rows.order_by("pk").select_for_update().values_list("pk", flat=True)))


def delete_batch_of_ended(endpoint_id: UUID) -> int:
    """Deletes some deliveries of an endpoint that has ended, and all its destinations; how many deliveries."""
    with transaction.atomic():
        rows = Delivery.objects.filter(endpoint_id=endpoint_id).order_by("pk")
        deleted = _delete(list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:_BATCH]))
        _delete_destinations(Destination.objects.filter(endpoint_id=endpoint_id))
    return deleted


def put_back() -> str | None:
    """Step: returns deliveries whose courier was killed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT webhooks_put_back(%s, '5 s', clock_timestamp())", [_BATCH])
        row = cursor.fetchone()
    return f"{row[0]} deliveries put back" if row and row[0] else None


def give_up() -> str | None:
    """Step: what was not delivered in its time is dead, also where its destination is off or rests."""
    with transaction.atomic():
        waiting = Delivery.objects.filter(OPEN, state=DeliveryState.PENDING)
        # A replay to a URL has no time but that of its one try, which may have to wait for others.
        old = Now() - settings.INSTANTLITE.forwarding.retry_for
        late = waiting.filter(until__lt=Now()).filter(Q(tries__gt=0) | Q(origin="forward") | Q(created_at__lt=old))
        given_up = _end(late, GIVEN_UP)
    return f"{given_up} deliveries given up" if given_up else end_orphans()


def end_orphans(destination_id: UUID | None = None) -> str | None:
    """What waits for a destination that is not there any more is dead: that one's, or a batch of all there are."""
    with transaction.atomic():
        orphans = Delivery.objects.filter(OPEN, state=DeliveryState.PENDING, destination_id__isnull=False)
        if destination_id:
            orphans = orphans.filter(destination_id=destination_id)
        there = Destination.objects.filter(pk=OuterRef("destination_id"))
        ended = _end(orphans.filter(~Exists(there)), DESTINATION_DELETED)
    return f"{ended} deliveries of deleted destinations given up" if ended else None


def purge_one_batch() -> str | None:
    """Step: deletes deliveries and destinations of inboxes that have ended."""
    with connection.cursor() as cursor:
        cursor.execute(_ENDED)
        row = cursor.fetchone()
    if row:
        return f"{delete_batch_of_ended(row[0])} deliveries of an ended inbox deleted"
    active = Endpoint.objects.active().filter(pk=OuterRef("endpoint_id"))
    with transaction.atomic():
        deleted = _delete_destinations(Destination.objects.filter(~Exists(active)))
    return f"{deleted} destinations of ended inboxes deleted" if deleted else None


def _anew() -> dict[str, Any]:
    listed = Destination.objects.filter(pk=OuterRef("destination_id"), listed=True)
    return {
        "state": DeliveryState.PENDING,
        "tries": 0,
        "next_at": Now(),
        # To a URL that is no destination, once more only.
        "until": Case(When(Exists(listed), then=Now() + settings.INSTANTLITE.forwarding.retry_for), default=Now()),
        "finished_at": None,
        "note": "",
    }


def _end(rows: QuerySet[Delivery], note: str) -> int:
    """A batch of them is dead; how many. What others hold is left for later."""
    batch = list(
        rows.order_by("pk").select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)[:_BATCH]
    )
    return Delivery.objects.filter(pk__in=batch).update(
        state=DeliveryState.DEAD, next_at=None, finished_at=Now(), note=note
    )


def _delete_destinations(rows: QuerySet[Destination]) -> int:
    """A batch of them, locked in the order that everybody keeps."""
    batch = list(rows.order_by("pk").select_for_update().values_list("pk", flat=True)[:_BATCH])
    deleted, _ = Destination.objects.filter(pk__in=batch).delete()
    return deleted


def _delete(delivery_ids: Collection[UUID]) -> int:
    # Not by the model's delete(), which would fetch them first.
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM webhooks_delivery WHERE id = ANY (%s)", [list(delivery_ids)])
        return int(cursor.rowcount)
