"""The one statement by which a batch of captures is stored, on a connection that nothing else uses."""

import json
import logging
import select
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple
from uuid import UUID

import psycopg
from django.conf import settings

from instantlite import platformdb
from instantlite.config import Rate
from instantlite.logs import first_line
from ratelimit import limits
from ratelimit.gcra import Charge
from webhooks.capture import Capture

log = logging.getLogger("instantlite.ingest")

# The function is in migration 0003. Arrays travel in binary (%b): as text each quote in headers is escaped, and
# bodies are twice as long.
_CAPTURE = """
SELECT place, verdict, coalesce(request_id, '00000000-0000-0000-0000-000000000000'), coalesce(wait_us, 0), answer,
    proxied
FROM webhooks_capture(
    %b::uuid[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[]::inet[], %b::bigint[], %b::boolean[],
    %b::text[], %b::bytea[], %b::bigint[], %s::bigint, %s::bigint, %s::interval, clock_timestamp())
"""

# A batch that waits for a lock, or a server that is stuck: given up, which undoes it, and tried again.
# Plans are kept for as long as the connection, and made while there is next to nothing in the tables.
_SETTINGS = "-c statement_timeout=10s -c lock_timeout=3s -c enable_seqscan=off"


class NotCommitted(Exception):
    """PostgreSQL is away, or undid the batch: nothing of it is stored."""


class Unsure(Exception):
    """The connection was lost in between: the batch is stored, or it is not."""


class Unacceptable(Exception):
    """PostgreSQL cannot store one of them, whoever asks how often."""


class Verdict(NamedTuple):
    """What became of one request. `answer` is what its endpoint answers; `wait`, of a limited one, in microseconds.

    `proxied` is the delivery whose answer the sender waits for: the caller's to send, see proxy.py.
    """

    outcome: Literal["stored", "gone", "limited", "unknown"]
    request_id: UUID = UUID(int=0)
    wait: int = 0
    answer: dict[str, Any] | None = None
    proxied: UUID | None = None


UNKNOWN = Verdict("unknown")


class Writer:
    """Used by one thread at a time."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def write(self, captures: Sequence[Capture], rate: Rate | None) -> list[Verdict]:
        """Stores a batch and commits it: a verdict for each of `captures`. `rate` is charged for each; None: nothing.

        Raises NotCommitted, Unsure, Unacceptable.
        """
        values = _values(captures, rate)
        try:
            rows = self._execute(values)
        except psycopg.errors.CheckViolation:
            # The day has no table: no housekeeping has run for days.
            log.warning("the partition of today was missing")
            self._execute_alone("SELECT webhooks_make_partition((now() AT TIME ZONE 'UTC')::date)")
            rows = self._execute_in_today(values)
        verdicts = [UNKNOWN] * len(captures)
        for place, *verdict in rows:
            verdicts[place - 1] = Verdict(*verdict)
        return verdicts

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def _execute(self, values: list[Any]) -> list[tuple[Any, ...]]:
        connection = self._connected()
        try:
            return connection.execute(_CAPTURE, values).fetchall()
        except psycopg.errors.CheckViolation:
            raise
        except psycopg.DataError as error:
            raise Unacceptable(str(error)) from error
        except psycopg.Error as error:
            self.close()
            raise (NotCommitted if _is_undone(error) else Unsure)(first_line(error)) from error

    def _execute_in_today(self, values: list[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._execute(values)
        except psycopg.errors.CheckViolation as error:
            # An endpoint's newest request is of another day: a clock was days ahead. It goes on when that is mended.
            raise NotCommitted(first_line(error)) from error

    def _execute_alone(self, statement: str) -> None:
        try:
            self._connected().execute(statement)
        except psycopg.Error as error:
            raise NotCommitted(first_line(error)) from error

    def _connected(self) -> psycopg.Connection[tuple[object, ...]]:
        if self._connection and _has_news(self._connection):
            # Nothing was asked, so what it says is goodbye.
            self.close()
        if self._connection is None:
            try:
                self._connection = platformdb.connect("instantlite ingest", _SETTINGS)
            except psycopg.Error as error:
                raise NotCommitted(first_line(error)) from error
        return self._connection


def _is_undone(error: psycopg.Error) -> bool:
    """Whether the server itself has said that it undid the statement.

    ERROR and FATAL (a backend that is terminated) abort the transaction, and are not raised once it is committed. A
    PANIC can be about the commit itself, whose record recovery then finds or not. Without a word, as from a server that
    was killed, nothing is known; nor by the warning of a backend that is told to quit, which arrives as no error.
    """
    return error.diag.severity_nonlocalized in ("ERROR", "FATAL")


def _has_news(connection: psycopg.Connection[Any]) -> bool:
    """Whether there is something to read, the end of the connection among it. Costs no round trip."""
    if connection.closed:
        return True
    # Not select(): it knows no file past 1023, and each open stream is a file.
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _values(captures: Sequence[Capture], rate: Rate | None) -> list[Any]:
    """The function's arguments: an array for each of a capture's parts."""
    messages = [capture.message for capture in captures]
    charge = Charge(limits.CAPTURES.name, "", rate) if rate else None
    return [
        [capture.endpoint_id for capture in captures],
        [message.method for message in messages],
        [message.target for message in messages],
        [message.version for message in messages],
        [capture.stored_type for capture in captures],
        [capture.client for capture in captures],
        [capture.size for capture in captures],
        [capture.too_large for capture in captures],
        [json.dumps(message.headers, ensure_ascii=False) for message in messages],
        [message.body for message in messages],
        [capture.waited_us for capture in captures],
        charge.interval if charge else None,
        charge.tolerance if charge else None,
        settings.INSTANTLITE.forwarding.retry_for,
    ]
