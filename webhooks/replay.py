"""Sending captured requests again: deliveries like others, which the couriers carry out."""

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Sum
from django.db.models.functions import Length, Now

from instantlite import platformdb
from instantlite.uuid7 import uuid7_at
from webhooks import deliveries, destinations
from webhooks.models import CapturedRequest, Delivery, DeliveryState, Destination, Endpoint, Origin
from webhooks.models.deliveries import OPEN

# How many requests one call sends again.
MOST_REQUESTS = 1000
# Deliveries of an inbox that may be under way or wait as another replay is asked for; and of each request, the replays
# that are done and stay on record.
MOST_WAITING = 10_000
MOST_KEPT = 20
# Bodies that somebody has put in the place of captured ones; each is kept once for each destination.
MOST_EDITED_BYTES = 20_000_000
# Between two looks at how it goes; the wait grows from one to the other.
_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.05, 0.5
# Calls of one process that wait for an outcome.
_waiters = threading.BoundedSemaphore(50)

_FORGET = """
DELETE FROM webhooks_delivery v USING (
    SELECT r.id, row_number() OVER (PARTITION BY r.request_id ORDER BY r.id DESC) AS place FROM webhooks_delivery r
    WHERE r.request_id = ANY (%s) AND r.origin = 'replay' AND r.state IN ('delivered', 'dead', 'skipped')
) old
WHERE v.id = old.id AND old.place > %s
"""
_INSERTED_AT_ONCE = 500


class NoDestination(Exception):
    """There is none that is on, or not the one that was asked for."""


class TooManyWait(Exception):
    """So many deliveries of the inbox are not done yet, or have edited bodies, that no such replay is taken."""


TOO_MANY_WAIT = (
    f"An inbox may have {MOST_WAITING} deliveries that are not done yet, and {MOST_EDITED_BYTES} bytes of edited "
    "bodies. Wait until some are done, replay fewer requests, or delete requests that were replayed with other bodies."
)


class NotKept(Exception):
    """The body was too large to be kept, so that the request cannot be sent again."""


@dataclass(frozen=True)
class Edit:
    """What is sent instead: `changes` as in Delivery.edited, `body` None for the one that came."""

    changes: dict[str, Any]
    body: bytes | None = None


NOTHING = Edit({})


def targets(
    endpoint: Endpoint,
    *,
    destination_id: UUID | None = None,
    url: str | None = None,
    timeout_seconds: float | None = None,
) -> list[Destination]:
    """Where a replay goes: the one that is given, or else all that are on. Raises NoDestination, Gone."""
    if url is not None:
        return [destinations.for_url(endpoint, url, timeout_seconds or 10.0)]
    rows = Destination.objects.of(endpoint.pk)
    found = list(rows.filter(pk=destination_id) if destination_id else rows.filter(enabled=True))
    if not found:
        raise NoDestination
    return found


def replay(requests: Sequence[CapturedRequest], to: Sequence[Destination], edit: Edit = NOTHING) -> list[Delivery]:
    """A delivery of each request, in their order, to each destination, due now.

    Raises NotKept if there is no body, NoDestination where one was deleted meanwhile, TooManyWait.

    A filter does not hold it back: somebody wants it. A destination that is off keeps it until it is on again.
    """
    kept = [request for request in requests if not request.too_large or edit.body is not None]
    if requests and not kept:
        raise NotKept
    # Ids in the order of requests, which is the order that strict destinations keep.
    now = time.time_ns() // 1000
    if kept:
        _check_room(kept[0].endpoint_id, len(kept) * len(to), len(edit.body or b"") * len(to))
    made = [
        _delivery(uuid7_at(now + place), request, destination, edit)
        for place, request in enumerate(kept)
        for destination in to
    ]
    with transaction.atomic():
        Delivery.objects.bulk_create(made, batch_size=_INSERTED_AT_ONCE)
        if deliveries.wake([destination.pk for destination in to]) < len(to):
            raise NoDestination
        _forget_old([request.pk for request in kept])
    return made


def wait(made: Collection[Delivery], seconds: float) -> list[Delivery]:
    """The deliveries as they are when each has been tried, or the time is up; at once where too many calls wait."""
    ids = [delivery.pk for delivery in made]
    if not seconds or not _waiters.acquire(blocking=False):
        return _until_tried(ids, 0)
    try:
        return _until_tried(ids, seconds)
    finally:
        _waiters.release()


def _check_room(endpoint_id: UUID, number: int, edited: int) -> None:
    """Raises TooManyWait unless the inbox may have so many more deliveries, with so many bytes of edited bodies."""
    rows = Delivery.objects.filter(endpoint_id=endpoint_id)
    if rows.filter(OPEN)[:MOST_WAITING].count() + number > MOST_WAITING:
        raise TooManyWait
    if edited and edited + (rows.aggregate(size=Sum(Length("edited_body")))["size"] or 0) > MOST_EDITED_BYTES:
        raise TooManyWait


def _forget_old(request_ids: list[UUID]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [request_ids, MOST_KEPT])


def _until_tried(ids: list[UUID], seconds: float) -> list[Delivery]:
    deadline, pause = time.monotonic() + seconds, _LOOK_SECONDS
    while True:
        rows = list(Delivery.objects.filter(pk__in=ids).defer("edited_body").order_by("pk"))
        tried = all(row.state not in (DeliveryState.PENDING, DeliveryState.DELIVERING) or row.tries for row in rows)
        under_way = any(row.state == DeliveryState.DELIVERING for row in rows)
        if (tried and not under_way) or time.monotonic() >= deadline:
            return rows
        platformdb.let_go_of_connection()
        time.sleep(pause)
        pause = min(pause * 1.3, _LONGEST_LOOK_SECONDS)


def _delivery(delivery_id: UUID, request: CapturedRequest, destination: Destination, edit: Edit) -> Delivery:
    retry_for = settings.INSTANTLITE.forwarding.retry_for
    return Delivery(
        id=delivery_id,
        endpoint_id=request.endpoint_id,
        request_id=request.pk,
        destination_id=destination.pk,
        url=destination.url,
        origin=Origin.REPLAY,
        edited=edit.changes or None,
        edited_body=edit.body,
        state=DeliveryState.PENDING,
        created_at=Now(),
        next_at=Now(),
        # To a URL that is no destination it goes once: who typed it in looks at the outcome, and tries again.
        until=Now() + retry_for if destination.listed else Now(),
    )
