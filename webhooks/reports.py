"""What a listening client did with an inbox's requests: kept as deliveries of theirs, each with the one attempt.

Told again, an attempt is the same one: a client whose answer was lost tells it again.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from instantlite.uuid7 import uuid7
from webhooks.models import Attempt, Delivery, DeliveryState, Endpoint, Origin

# Of one request; the oldest go.
MOST_KEPT = 20
# A delivery is no younger than its request by more than an inbox lives.
_LONGEST_LIFE = timedelta(days=30)

_COUNTED = """
SELECT c.id, (SELECT count(*) FROM webhooks_delivery d WHERE d.request_id = c.id AND d.origin = 'listen')
FROM webhooks_capturedrequest c WHERE c.endpoint_id = %s AND c.id = ANY(%s)
"""
_TRIM = """
WITH gone AS (
    DELETE FROM webhooks_delivery WHERE id IN (
        SELECT id FROM (
            SELECT id, row_number() OVER (PARTITION BY request_id ORDER BY id DESC) AS place FROM webhooks_delivery
            WHERE request_id = ANY(%s) AND endpoint_id = %s AND origin = 'listen'
        ) d WHERE place > %s
    ) RETURNING id
)
DELETE FROM webhooks_attempt USING gone WHERE delivery_id = gone.id
"""


@dataclass(frozen=True)
class Report:
    """One attempt as its client tells of it. `id` is the client's own, None where it has none.

    `status` is None where there was no HTTP answer: `error` says why, and is empty where none was to be had, since a
    command did what it should.
    """

    request_id: UUID
    url: str
    status: int | None
    duration_ms: float
    error: str = ""
    answer_headers: tuple[tuple[str, str], ...] = ()
    answer_body: bytes = b""
    answer_truncated: bool = False
    id: UUID | None = None

    @property
    def state(self) -> DeliveryState:
        answered = self.status is None or 200 <= self.status < 300
        return DeliveryState.DELIVERED if answered and not self.error else DeliveryState.DEAD


def keep(endpoint: Endpoint, reports: Sequence[Report]) -> set[UUID]:
    """Stores them; gives the ids of requests that this inbox does not have, of which nothing is kept."""
    wanted = {report.request_id for report in reports}
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED, [endpoint.pk, list(wanted)])
        counts = Counter(dict(cursor.fetchall()))
    rows = [_rows(endpoint, report, timezone.now()) for report in reports if report.request_id in counts]
    if rows:
        with transaction.atomic():
            # A conflict is what was told before. Both have ids of their own, made of the client's.
            Delivery.objects.bulk_create([delivery for delivery, _ in rows], ignore_conflicts=True)
            Attempt.objects.bulk_create([attempt for _, attempt in rows], ignore_conflicts=True)
            counts.update(delivery.request_id for delivery, _ in rows)
            _trim(endpoint, [request_id for request_id, count in counts.items() if count > MOST_KEPT])
    return wanted - set(counts)


def _trim(endpoint: Endpoint, request_ids: Sequence[UUID]) -> None:
    if request_ids:
        with connection.cursor() as cursor:
            cursor.execute(_TRIM, [list(request_ids), endpoint.pk, MOST_KEPT])


def _rows(endpoint: Endpoint, report: Report, now: datetime) -> tuple[Delivery, Attempt]:
    began = now - timedelta(milliseconds=report.duration_ms)
    delivery = Delivery(
        id=_id(endpoint, report, "delivery"),
        endpoint_id=endpoint.pk,
        request_id=report.request_id,
        url=report.url,
        origin=Origin.LISTEN,
        state=report.state,
        attempts=1,
        tries=1,
        created_at=began,
        until=now,
        finished_at=now,
    )
    attempt = Attempt(
        id=_id(endpoint, report, "attempt"),
        delivery=delivery,
        number=1,
        started_at=began,
        duration_ms=report.duration_ms,
        status=report.status,
        error=report.error,
        answer_headers=report.answer_headers,
        answer_body=report.answer_body,
        answer_truncated=report.answer_truncated,
    )
    return delivery, attempt


def _id(endpoint: Endpoint, report: Report, what: str) -> UUID:
    """One that no other inbox's client can make, and that sorts by time, as ids of deliveries do.

    The time is the one in the client's, where that is a UUIDv7 that may be true, else the request's.
    """
    if report.id is None:
        return uuid7()
    rest = uuid.uuid5(endpoint.pk, f"{what} {report.id}").int & ((1 << 62) - 1)
    return UUID(
        int=_milliseconds(report.id, report.request_id) << 80
        | 7 << 76
        | (report.id.int >> 64 & 0xFFF) << 64
        | 2 << 62
        | rest
    )


def _milliseconds(given: UUID, request_id: UUID) -> int:
    earliest = request_id.int >> 80
    latest = earliest + int(_LONGEST_LIFE.total_seconds() * 1000)
    told = given.int >> 80
    return told if given.version == 7 and earliest <= told <= latest else earliest


def unknown_in_order(reports: Iterable[Report], unknown: set[UUID]) -> list[str]:
    """Each of them once, in the order in which they were named."""
    return [str(key) for key in dict.fromkeys(report.request_id for report in reports) if key in unknown]
