"""The connection on which a process hears of new requests, and reads those of all endpoints that it watches at once."""

import selectors
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg

from instantlite import platformdb
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


class Waker:
    """Ends a wait from another thread. Made where it is used: a pair of sockets does not survive a fork."""

    def __init__(self) -> None:
        self.ear, self._mouth = socket.socketpair()
        self.ear.setblocking(False)
        self._mouth.setblocking(False)

    def wake(self) -> None:
        try:
            self._mouth.send(b"!")
        except OSError:
            # Full: it is awake. Closed: nobody sleeps any more.
            return

    def hush(self) -> None:
        """Forgets what was said until now."""
        try:
            while self.ear.recv(4096):
                pass
        except OSError:
            return

    def close(self) -> None:
        self.ear.close()
        self._mouth.close()


class Listener:
    """Used by one thread. Every call raises psycopg.Error when PostgreSQL has gone away."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]], waker: Waker) -> None:
        self._connection = connection
        self._waker = waker
        self._told: list[str] = []
        # Those that come while a statement runs.
        connection.add_notify_handler(lambda notify: self._told.append(notify.payload))
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection.fileno(), selectors.EVENT_READ)
        self._selector.register(waker.ear, selectors.EVENT_READ)
        # From here on nothing is missed; what was committed before has to be looked for.
        connection.execute(f"LISTEN {CHANNEL}")

    def close(self) -> None:
        self._selector.close()
        self._connection.close()

    def wait(self, seconds: float) -> list[str]:
        """The payloads of notifications; waits for one, for the waker, or for so long."""
        if not self._told and self._selector.select(seconds):
            self._waker.hush()
            # libpq takes in what has come, without waiting. Connection.notifies() would make a selector and look again,
            # and does not go together with a handler.
            self._connection.pgconn.consume_input()
            while notify := self._connection.pgconn.notifies():
                self._told.append(notify.extra.decode())
        told, self._told = self._told, []
        return told

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
