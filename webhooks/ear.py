"""Waiting on a connection for notifications, and for whoever wakes us from another thread."""

import select
import socket
from typing import Any

import psycopg


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


class Ear:
    """LISTENs on a channel from its making on. Used by one thread; raises psycopg.Error where PostgreSQL is gone."""

    def __init__(self, connection: psycopg.Connection[Any], waker: Waker, channel: str) -> None:
        self._connection = connection
        self._waker = waker
        self._told: list[str] = []
        # Those that come while a statement runs.
        connection.add_notify_handler(lambda notify: self._told.append(notify.payload))
        # Not a selector: under gevent it watches between two waits too, and the loop turns without a rest for as long
        # as there is something to read that nobody reads.
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)
        self._poll.register(waker.ear, select.POLLIN)
        connection.execute(f"LISTEN {channel}")

    def wait(self, seconds: float) -> list[str]:
        """The payloads of notifications; waits for one, for the waker, or for so long."""
        if not self._told and self._poll.poll(seconds * 1000):
            self._waker.hush()
            # libpq takes in what has come, without waiting. Connection.notifies() would look for it once more, and does
            # not go together with a handler.
            self._connection.pgconn.consume_input()
            while notify := self._connection.pgconn.notifies():
                self._told.append(notify.extra.decode())
        return self.heard()

    def heard(self) -> list[str]:
        """The payloads of those that came with the answers to statements since the last time."""
        told, self._told = self._told, []
        return told
