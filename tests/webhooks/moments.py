"""The courier's functions at moments of a test's choice, in the hands of one process or of several."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from django.db.models.functions import Now
from psycopg.rows import namedtuple_row

from instantlite import platformdb
from tests.webhooks import sending
from webhooks import claims
from webhooks.forward import Claimed, Outcome
from webhooks.models import Delivery, DeliveryState, Destination, Endpoint
from webhooks.writer import Writer

SECOND = timedelta(seconds=1)
_CLAIM = """
SELECT * FROM webhooks_claim(
    array(SELECT endpoint_id FROM webhooks_destination WHERE %s), %s::uuid[], %s, %s, %s, %s, %s, %s)
"""
_RECORD = claims.RECORD.replace("clock_timestamp()", "%s::timestamptz")


class Hands:
    """One process's connection. `now` is the time of all it does; soon() moves it."""

    def __init__(self) -> None:
        self.connection: psycopg.Connection[Any] = platformdb.connect("instantlite courier", claims.SETTINGS)
        self.now = datetime.now(UTC)

    def later(self, seconds: float = 1.0) -> "Hands":
        self.now += seconds * SECOND
        return self

    def claim(  # noqa: PLR0913 — the function's own arguments
        self,
        *,
        told: bool = True,
        full: Sequence[UUID] = (),
        most: int = 200,
        most_of_one: int = 200,
        room: int = 8,
        budget: int = 10**9,
        budget_of_one: int = 10**9,
    ) -> list[Claimed]:
        """In the order of their ids. `told`: of all endpoints, as after a capture of each; else only what wakes."""
        values = [told, list(full), most, most_of_one, room, budget, budget_of_one, self.now]
        with self.connection.cursor(row_factory=namedtuple_row) as cursor:
            rows = cursor.execute(_CLAIM, values, binary=True).fetchall()
        return sorted(map(claims._claimed, rows), key=lambda claimed: claimed.delivery_id)

    def one(self) -> Claimed:
        """The only one there is to claim."""
        (claimed,) = self.claim()
        return claimed

    def record(self, *outcomes: Outcome) -> None:
        self.connection.execute(_RECORD, [*claims.values(outcomes), self.now])

    def put_back(self) -> int:
        row = self.connection.execute("SELECT webhooks_put_back(500, '5 s', %s)", [self.now]).fetchone()
        assert row
        return int(row[0])

    def good(self, *claimed: Claimed) -> None:
        """Each was taken by its destination."""
        delivered = DeliveryState.DELIVERED
        self.record(*(Outcome(one, delivered, True, self.now, 5.0, 200, effect="good") for one in claimed))

    def bad(self, *claimed: Claimed, wait: float = 0.0, rest: float = 0.0) -> None:
        """Each is to be tried again after `wait` seconds; the destination asked for `rest` of them."""
        self.record(*(self.failed(one, wait, rest) for one in claimed))

    def failed(self, claimed: Claimed, wait: float = 0.0, rest: float = 0.0) -> Outcome:
        due = self.now + wait * SECOND
        return Outcome(
            claimed, DeliveryState.PENDING, True, self.now, error="away", next_at=due, effect="bad", rest_seconds=rest
        )


@contextmanager
def hands() -> Iterator[Hands]:
    made = Hands()
    try:
        yield made
    finally:
        made.connection.close()


def destination(endpoint: Endpoint, **columns: Any) -> Destination:
    """One of the endpoint's, past the API."""
    made = Destination(**{"endpoint_id": endpoint.pk, "url": "http://192.0.2.1/", "created_at": Now(), **columns})
    made.save(force_insert=True)
    made.refresh_from_db()
    return made


def captured(endpoint: Endpoint, *bodies: bytes) -> list[UUID]:
    """The ids of requests that are stored now, each with its deliveries."""
    writer = Writer()
    try:
        verdicts = writer.write([sending.capture(endpoint.pk, body) for body in bodies or (b"",)], None)
    finally:
        writer.close()
    assert {verdict.outcome for verdict in verdicts} == {"stored"}
    return [verdict.request_id for verdict in verdicts]


def states(destination: Destination) -> list[str]:
    """Of its deliveries, in their order."""
    return list(Delivery.objects.filter(destination_id=destination.pk).order_by("id").values_list("state", flat=True))
