"""The connection on which a process hears of new requests, and reads those of all endpoints that it watches at once."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg

from instantlite import platformdb
from webhooks.ear import Ear, Waker
from webhooks.models import CapturedRequest
from webhooks.models.endpoints import CHANNEL

# A statement that is stuck must not keep the streams from a connection that works.
_SETTINGS = "-c statement_timeout=10s -c TimeZone=UTC"

_COLUMNS = (
    "id", "endpoint_id", "received_at", "method", "target", "version", "content_type", "client", "size", "too_large"
)  # fmt: skip
# host(): what Django's field holds is text.
_SELECTED = ", ".join("host(c.client)" if name == "client" else f"c.{name}" for name in _COLUMNS)
# OFFSET 0: the endpoint is looked up by its key, once for each feed, and never by a scan of all of them.
_NEWER = f"""
SELECT {_SELECTED}, e.is_signed FROM unnest(%s::uuid[], %s::uuid[]) AS feed (endpoint_id, upto)
CROSS JOIN LATERAL (
    SELECT signature IS NOT NULL AS is_signed FROM webhooks_endpoint WHERE id = feed.endpoint_id OFFSET 0
) e
CROSS JOIN LATERAL (
    SELECT * FROM webhooks_capturedrequest c
    WHERE c.endpoint_id = feed.endpoint_id AND c.id > feed.upto ORDER BY c.id LIMIT %s
) c ORDER BY c.id
"""  # noqa: S608 — names of ours

_ENDED = """
SELECT watched.id FROM unnest(%s::uuid[]) AS watched (id)
WHERE NOT EXISTS (
    SELECT 1 FROM webhooks_endpoint e WHERE e.id = watched.id AND e.state = 'active' AND e.expires_at > now())
"""


class Listener:
    """Used by one thread. Every call raises psycopg.Error when PostgreSQL has gone away."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]], waker: Waker) -> None:
        self._connection = connection
        # From here on nothing is missed; what was committed before has to be looked for.
        self._ear = Ear(connection, waker, CHANNEL)

    def close(self) -> None:
        self._connection.close()

    def wait(self, seconds: float) -> list[str]:
        """The payloads of notifications; waits for one, for the waker, or for so long."""
        return self._ear.wait(seconds)

    def newer(self, upto: dict[UUID, UUID], limit: int) -> list[CapturedRequest]:
        """Of each endpoint the requests after an id, `limit` at most, oldest first; neither headers nor body."""
        rows = self._connection.execute(_NEWER, [list(upto), list(upto.values()), limit]).fetchall()
        found = []
        for *columns, is_signed in rows:
            captured = CapturedRequest.from_db("default", _COLUMNS, columns)
            captured.is_signed = bool(is_signed)
            found.append(captured)
        return found

    def ended(self, endpoints: Collection[UUID]) -> list[UUID]:
        """Those that are expired, deleted or unknown."""
        rows: list[tuple[UUID]] = self._connection.execute(_ENDED, [list(endpoints)]).fetchall()  # type: ignore[assignment]  # the statement says so
        return [endpoint_id for (endpoint_id,) in rows]


@contextmanager
def listening(waker: Waker) -> Iterator[Listener]:
    """A listener on a connection of its own. Raises psycopg.Error."""
    connection = platformdb.connect("instantlite streams", _SETTINGS)
    try:
        listener = Listener(connection, waker)
    except BaseException:
        connection.close()
        raise
    try:
        yield listener
    finally:
        listener.close()
