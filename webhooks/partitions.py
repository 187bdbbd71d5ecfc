"""The days of captured requests: each is a table, made ahead of its day and dropped once nobody can ask for it.

What is said here to PostgreSQL takes no lock that a sender or a reader would wait for, but for the moment of a DROP
TABLE of what is no partition any more.
"""

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from django.db import connection
from psycopg.sql import SQL, Identifier

PARENT = "webhooks_capturedrequest"
# Today, and so many days that follow: housekeeping may be away for as long and no request is lost.
DAYS_AHEAD = 3

_DAY = r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"

_LOCK = "SELECT pg_try_advisory_lock(hashtext('instantlite webhook retention'))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtext('instantlite webhook retention'))"

# Somebody's own table may be named alike: a partition of another table is none of ours, nor is one of no day.
_LIST = """
SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false)
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND c.relname ~ %s
    AND coalesce(i.inhparent, %s::regclass) = %s::regclass
ORDER BY c.relname
"""

# Endpoints that are in use, and those whose requests somebody is deleting.
_NEEDED_SINCE = "SELECT now(), min(created_at) FROM webhooks_endpoint WHERE state IN ('active', 'dropping')"


class Partition(NamedTuple):
    """A day's table. `pending`: somebody died while it was detached."""

    name: str
    attached: bool
    pending: bool

    @property
    def day(self) -> date:
        return datetime.strptime(self.name.rpartition("_")[2], "%Y%m%d").replace(tzinfo=UTC).date()

    @property
    def end(self) -> datetime:
        """The first moment that is not in it any more."""
        return datetime.combine(self.day, datetime.min.time(), UTC) + timedelta(days=1)


def partitions() -> list[Partition]:
    """Every day's table, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_LIST, [rf"^{PARENT}_{_DAY}$", PARENT, PARENT])
        return [Partition(*row) for row in cursor.fetchall()]


def make_ahead() -> str | None:
    """Makes the tables of today and of the days to come. Says which, None when all were there."""
    made = [day for ahead in range(DAYS_AHEAD + 1) if (day := _make(ahead))]
    return f"made the partitions of {', '.join(map(str, made))}" if made else None


def _make(ahead: int) -> date | None:
    with connection.cursor() as cursor:
        # The day is asked for first: a look costs no lock, which the function would wait for.
        cursor.execute(
            "SELECT day, to_regclass(%s || to_char(day, '_YYYYMMDD')) IS NULL"
            " FROM (SELECT (now() AT TIME ZONE 'UTC')::date + %s::int AS day) days",
            [PARENT, ahead],
        )
        day, missing = cursor.fetchone() or (None, False)
        if not missing:
            return None
        cursor.execute("SELECT webhooks_make_partition(%s)", [day])
        return day if cursor.fetchone() == (True,) else None


def drop_one() -> str | None:
    """Drops the oldest day that is over and that no living endpoint can have requests in. Says which, or None.

    Not inside a transaction. Killed in between it leaves a partition whose detachment is pending, or a table that is
    no partition: the next call goes on from there.
    """
    if not _over():
        return None
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)
        if cursor.fetchone() != (True,):
            return None
        try:
            # Whoever had the lock before has dropped one since.
            over = _over()
            return _drop(over[0]) if over else None
        finally:
            cursor.execute(_UNLOCK)


def _over() -> list[Partition]:
    with connection.cursor() as cursor:
        cursor.execute(_NEEDED_SINCE)
        now, since = cursor.fetchall()[0]
    # An endpoint holds nothing from before its creation; and a batch that began before midnight ends soon after it.
    edge = min(now - timedelta(minutes=5), since or now)
    over = [partition for partition in partitions() if partition.end <= edge]
    # Of one table, PostgreSQL detaches no second partition while another is pending.
    return sorted(over, key=lambda partition: not partition.pending)


def _drop(partition: Partition) -> str | None:
    table, parent = Identifier(partition.name), Identifier(PARENT)
    with connection.cursor() as cursor:
        # CONCURRENTLY waits for whoever reads the table, without keeping others from it: not for ever.
        cursor.execute("SET statement_timeout = '20s'")
        try:
            if partition.pending:
                cursor.execute(SQL("ALTER TABLE {} DETACH PARTITION {} FINALIZE").format(parent, table))
            elif partition.attached:
                cursor.execute(SQL("ALTER TABLE {} DETACH PARTITION {} CONCURRENTLY").format(parent, table))
            cursor.execute(SQL("DROP TABLE IF EXISTS {}").format(table))
        finally:
            cursor.execute("RESET statement_timeout")
    return f"dropped the requests of {partition.day}"
