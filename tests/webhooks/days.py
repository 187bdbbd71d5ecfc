"""Days of captured requests, as tests make, fill and look at them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection

from instantlite import platformdb
from webhooks import partitions

DAY = timedelta(days=1)


def ask(question: str, *values: Any) -> list[Any]:
    """The rows of an answer, by Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute(question, values)
        return cursor.fetchall() if cursor.description else []


def now() -> datetime:
    """By the database's clock."""
    moment: datetime = ask("SELECT now()")[0][0]
    return moment


def today() -> date:
    return now().date()


def name_of(day: date) -> str:
    return f"{partitions.PARENT}_{day:%Y%m%d}"


def make(day: date) -> str:
    """The partition of a day, made where it is missing; its name."""
    ask("SELECT webhooks_make_partition(%s)", day)
    return name_of(day)


def midnight(days: int = 0) -> datetime:
    """The beginning of today, or of a day so many days later."""
    return datetime.combine(today(), datetime.min.time(), UTC) + days * DAY


def existing() -> set[str]:
    """Tables and views that are named like partitions, or nearly."""
    rows = ask("SELECT relname FROM pg_class WHERE relkind IN ('r', 'v') AND relname ~ %s", f"{partitions.PARENT}_")
    return {row[0] for row in rows}


def closing(step: Callable[[], str | None]) -> str | None:
    """A step in a thread of its own, whose connection goes back to the pool."""
    try:
        return step()
    finally:
        connection.close()


def take_in(moment: datetime, *endpoints: UUID, waited: timedelta = timedelta()) -> list[UUID]:
    """Captures a request for each of these endpoints, all in one batch; gives the ids in the same order."""
    count = len(endpoints)
    rows = ask(
        "SELECT request_id FROM webhooks_capture(%s::uuid[], %s, %s, %s, %s, %s::inet[], %s, %s, %s, %s::bytea[],"
        " %s::bigint[], NULL, NULL, interval '1 d', %s) ORDER BY place",
        list(endpoints), ["GET"] * count, ["/"] * count, ["1.1"] * count, [""] * count, [None] * count, [0] * count,
        [False] * count, ["[]"] * count, [b""] * count, [int(waited.total_seconds() * 1e6)] * count, moment,
    )  # fmt: skip
    return [row[0] for row in rows]


@contextmanager
def reading() -> Iterator[psycopg.Connection[Any]]:
    """Somebody has read all requests, in a transaction that is still open."""
    with platformdb.connect("test reader") as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM webhooks_capturedrequest")
        yield reader
