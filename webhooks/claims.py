"""The courier's connection: it hears that there is something to send, claims it, and records what became of it.

The functions are in migration 0003. Used by one thread; every call raises psycopg.Error when PostgreSQL has gone away.
"""

import json
from collections.abc import Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row

from webhooks.ear import Ear, Waker
from webhooks.forward import Claimed, Outcome, edited
from webhooks.load import Room
from webhooks.message import Message
from webhooks.models.captures import path_below_key

CHANNEL = "instantlite_deliveries"
# A statement that is stuck is given up: its transaction is undone, and what it claimed is claimed again. Nor is a
# commit waited for (PostgreSQL manual, 28.4, asynchronous commit): what it did last is undone by a crash of PostgreSQL.
# Plans are kept for as long as the connection, and made while there is next to nothing in the tables.
SETTINGS = "-c statement_timeout=10s -c lock_timeout=5s -c synchronous_commit=off -c TimeZone=UTC -c enable_seqscan=off"

_CLAIM = "SELECT * FROM webhooks_claim(%b::uuid[], %b::uuid[], %s, %s, %s, %s, %s, clock_timestamp())"
_NEXT = "SELECT least(min(wake_at), now() + interval '1 h') - clock_timestamp() FROM webhooks_destination"
# Arrays travel in binary (%b), as the writer's do.
RECORD = """
SELECT webhooks_record(
    %b::uuid[], %b::int[], %b::uuid[], %b::bool[], %s::timestamptz[], %b::float8[], %b::int[], %b::text[], %b::text[],
    %b::bytea[], %b::bool[], %b::text[], %s::timestamptz[], %b::text[], %b::text[], %b::text[], %b::float8[],
    clock_timestamp())
"""


class Claims:
    """One connection."""

    def __init__(self, connection: psycopg.Connection[Any], waker: Waker) -> None:
        self._connection = connection
        self._ear = Ear(connection, waker, CHANNEL)
        # Endpoints that have something new.
        self._told: set[UUID] = set()

    def claim(self, room: Room) -> list[Claimed]:
        """Deliveries that are due, as many as there is room for."""
        self._hear(self._ear.heard())
        # Those that are full, or too many, are looked at later.
        told = list(islice((endpoint for endpoint in self._told if endpoint not in room.full), room.most))
        self._told.difference_update(told)
        values = [
            told,
            list(room.full),
            room.most,
            room.most_of_one,
            room.concurrency,
            room.budget,
            room.budget_of_one,
        ]
        with self._connection.cursor(row_factory=namedtuple_row) as cursor:
            rows = cursor.execute(_CLAIM, values, binary=True).fetchall()
        return [_claimed(row) for row in rows]

    def put_back(self) -> None:
        """Deliveries whose lease ran out, and destinations of which something was told while nobody listened."""
        self._connection.execute("SELECT webhooks_put_back(500, '0', clock_timestamp())")

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Takes in outcomes, all of them or none."""
        self._connection.execute(RECORD, values(outcomes))

    def tell(self) -> None:
        """Wakes the couriers of other processes."""
        self._connection.execute("SELECT pg_notify(%s, '')", [CHANNEL])

    def seconds_until_due(self) -> float:
        """Until the next destination is due; negative where one is."""
        row = self._connection.execute(_NEXT).fetchone()
        return float(row[0].total_seconds()) if row and row[0] is not None else 3600.0

    def wait(self, seconds: float) -> None:
        """Until something may be due, somebody wakes us, or the time is up."""
        self._hear(self._ear.wait(max(seconds, 0)))

    @property
    def has_told(self) -> bool:
        """Whether there are endpoints of which it was told, and that were not looked at yet."""
        return bool(self._told)

    def _hear(self, payloads: list[str]) -> None:
        self._told.update(UUID(endpoint) for endpoint in payloads if endpoint)

    def close(self) -> None:
        self._connection.close()


def _claimed(row: Any) -> Claimed:
    message = None
    path = ""
    if row.method is not None:
        body = row.edited_body if row.edited_body is not None else row.body
        headers = tuple((name, value) for name, value in row.headers)
        message = Message(row.method, row.target, row.version, headers, bytes(body))
        path = path_below_key(row.target)
        if row.edited:
            message, path = edited(message, path, row.edited)
    return Claimed(
        delivery_id=row.delivery_id,
        endpoint_id=row.endpoint_id,
        request_id=row.request_id,
        destination_id=row.destination_id,
        number=row.number,
        tries=row.tries,
        until=row.until,
        url=row.url,
        timeout_seconds=row.timeout_seconds,
        message=message,
        path=path,
        client=str(row.client) if row.client else None,
        # What somebody sends on purpose is no matter of a filter.
        filter=row.filter if row.origin == "forward" else None,
        signing=row.signing,
    )


def values(outcomes: Sequence[Outcome]) -> list[Any]:
    """The function's arguments: an array for each of an outcome's parts."""
    answers = [outcome.answer for outcome in outcomes]
    return [
        [outcome.claimed.delivery_id for outcome in outcomes],
        [outcome.claimed.number for outcome in outcomes],
        [outcome.attempt_id for outcome in outcomes],
        [outcome.attempted for outcome in outcomes],
        [outcome.started_at for outcome in outcomes],
        [outcome.duration_ms for outcome in outcomes],
        [outcome.status for outcome in outcomes],
        [outcome.error.replace("\0", "") for outcome in outcomes],
        [json.dumps(answer.headers if answer else [], ensure_ascii=False) for answer in answers],
        [answer.body if answer else b"" for answer in answers],
        [answer.truncated if answer else False for answer in answers],
        [str(outcome.state) for outcome in outcomes],
        [outcome.next_at for outcome in outcomes],
        [outcome.note for outcome in outcomes],
        [outcome.url for outcome in outcomes],
        [outcome.effect for outcome in outcomes],
        [outcome.rest_seconds for outcome in outcomes],
    ]
