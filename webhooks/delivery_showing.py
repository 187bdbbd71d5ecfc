"""What the page shows of a request's deliveries: bounded, and text alone, which the templates escape."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.db.models import BinaryField, BooleanField, ExpressionWrapper, F, Func, Q, Value
from django.db.models.functions import Length
from django.utils.safestring import SafeString

from webhooks import charsets, preview
from webhooks.markup import text_markup
from webhooks.message import Message
from webhooks.models import Attempt, Delivery, DeliveryState, Destination, Endpoint
from webhooks.models.deliveries import Origin
from webhooks.showing import Moment

# The newest of a request, and of each the newest attempts: a day of tries is some twenty.
MOST_DELIVERIES, MOST_ATTEMPTS = 50, 20
_MOST_COUNTED = 500
_MOST_HEADERS = 100
_LONGEST_HEADER = 500
_ORIGINS = {Origin.FORWARD: "forwarded", Origin.REPLAY: "replayed", Origin.LISTEN: "by a listening client"}
_OPEN = (DeliveryState.PENDING, DeliveryState.DELIVERING)
_AGAIN = (DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.SKIPPED)


@dataclass(frozen=True)
class ShownAttempt:
    """One try. `start`: the first bytes of the answer's body, of `length` that are kept."""

    row: Attempt
    start: bytes
    length: int
    now: datetime

    @property
    def time(self) -> Moment:
        return Moment(self.row.started_at, self.now)

    @property
    def status(self) -> str:
        """`503 Service Unavailable`; empty where no answer came."""
        code = self.row.status
        if code is None:
            return ""
        known = {status.value: status.phrase for status in HTTPStatus}
        return f"{code} {known[code]}" if code in known else str(code)

    @property
    def is_good(self) -> bool:
        return not self.row.error and (self.row.status is None or 200 <= self.row.status < 300)

    @property
    def duration(self) -> str:
        """`12 ms`, `1.2 s`."""
        spent = self.row.duration_ms
        return f"{spent:.0f} ms" if spent < 1000 else f"{spent / 1000:.1f} s"

    @property
    def headers(self) -> list[tuple[str, str]]:
        pairs = self.row.answer_headers[:_MOST_HEADERS]
        return [
            (charsets.wire(name)[:_LONGEST_HEADER], charsets.wire(value)[:_LONGEST_HEADER]) for name, value in pairs
        ]

    @property
    def body(self) -> SafeString | None:
        """The start of it, as text or in hexadecimal; None where there is none."""
        if not self.start:
            return None
        pairs = tuple((name, value) for name, value in self.row.answer_headers)
        return text_markup(preview.preview(Message("", "", "", pairs, self.start), self.length).text)


@dataclass(frozen=True)
class ShownDelivery:
    """A delivery with its attempts, the newest first. `is_there`: its destination is, so that it can be tried again."""

    row: Delivery
    attempts: Sequence[ShownAttempt]
    is_there: bool
    enabled: bool
    now: datetime

    @property
    def id(self) -> UUID:
        return self.row.pk

    @property
    def is_open(self) -> bool:
        return self.row.state in _OPEN

    @property
    def can_be_tried(self) -> bool:
        return self.is_there and self.row.state in _AGAIN

    @property
    def origin(self) -> str:
        return _ORIGINS[Origin(self.row.origin)]

    @property
    def state(self) -> str:
        """In a word or a few; `next` says when."""
        row = self.row
        if row.state == DeliveryState.PENDING:
            return "waits until its destination is on" if self.is_there and not self.enabled else "waiting"
        return "being sent" if row.state == DeliveryState.DELIVERING else str(row.state)

    @property
    def next(self) -> Moment | None:
        """When it is tried again, where that is to come."""
        row = self.row
        due = row.next_at if row.state == DeliveryState.PENDING and self.enabled else None
        return Moment(due, self.now) if due and due > self.now else None

    @property
    def time(self) -> Moment:
        return Moment(self.row.created_at, self.now)

    @property
    def edited(self) -> bool:
        return bool(getattr(self.row, "was_edited", False))

    @property
    def left_out(self) -> int:
        """Older attempts that are not shown."""
        return max(0, self.row.attempts - len(self.attempts)) if len(self.attempts) >= MOST_ATTEMPTS else 0


@dataclass(frozen=True)
class Deliveries:
    """A request's. `seconds`: how soon to look again; 0 where nothing is to change by itself."""

    items: Sequence[ShownDelivery]
    count: int
    seconds: int
    seen: str

    @property
    def left_out(self) -> int:
        return self.count - len(self.items)


def of(endpoint: Endpoint, request_id: UUID, now: datetime) -> Deliveries:
    """The deliveries of a request, the newest first: three queries, whatever there is."""
    rows = _rows(endpoint, request_id)
    shown = rows[:MOST_DELIVERIES]
    keys = {row.destination_id for row in shown if row.destination_id}
    enabled: dict[UUID | None, bool] = {}
    if keys:
        enabled |= Destination.objects.filter(pk__in=keys).values_list("pk", "enabled")
    tried = _attempts([row.pk for row in shown], now)
    items = [
        ShownDelivery(
            row, tried.get(row.pk, ()), row.destination_id in enabled, enabled.get(row.destination_id, True), now
        )
        for row in shown
    ]
    return Deliveries(items, len(rows), _seconds(rows, now), _seen(rows, now))


def state_of(endpoint: Endpoint, request_id: UUID, now: datetime) -> str:
    """Deliveries.seen of a request, by one query."""
    return _seen(_rows(endpoint, request_id), now)


def count(endpoint: Endpoint, request_id: UUID) -> int:
    """How many there are, up to those that are looked at."""
    return Delivery.objects.of(endpoint.pk, request_id)[:_MOST_COUNTED].count()


def _rows(endpoint: Endpoint, request_id: UUID) -> list[Delivery]:
    rows = Delivery.objects.of(endpoint.pk, request_id).reverse().defer("edited", "edited_body")
    edited = ExpressionWrapper(Q(edited__isnull=False) | Q(edited_body__isnull=False), output_field=BooleanField())
    return list(rows.annotate(was_edited=edited)[:_MOST_COUNTED])


def _attempts(delivery_ids: Sequence[UUID], now: datetime) -> dict[UUID, list[ShownAttempt]]:
    found: dict[UUID, list[ShownAttempt]] = defaultdict(list)
    start: Any = Func(
        F("answer_body"), Value(1), Value(preview.PREVIEW_BYTES), function="substring", output_field=BinaryField()
    )
    rows = Attempt.objects.filter(delivery_id__in=delivery_ids).defer("answer_body")
    for row in rows.annotate(start=start, length=Length("answer_body")).order_by("delivery_id", "-number", "-id"):
        if len(found[row.delivery_id]) < MOST_ATTEMPTS:
            found[row.delivery_id].append(ShownAttempt(row, bytes(row.start), row.length, now))
    return found


def _seconds(rows: Sequence[Delivery], now: datetime) -> int:
    """A second while something is about to happen; seldom where the next try is far off."""
    due = [row.next_at or now for row in rows if row.state in _OPEN]
    if not due:
        return 0
    under_way = any(row.state == DeliveryState.DELIVERING for row in rows)
    wait = min(due) - now
    if under_way or timedelta(seconds=-10) < wait < timedelta(seconds=3):
        return 1
    # Long overdue: its destination is off, rests, or keeps to an order.
    return 5 if timedelta(0) < wait < timedelta(minutes=1) else 15


def _seen(rows: Sequence[Delivery], now: datetime) -> str:
    """Is another as soon as there is anything else to show."""
    state = [(row.pk, row.state, row.attempts, row.next_at, row.note, row.url) for row in rows]
    return hashlib.sha256(f"{_seconds(rows, now)} {state}".encode()).hexdigest()[:16]
