"""What tests of capturing do again and again: send exact bytes, read the answer, and look at what was stored."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from django.conf import settings
from django.db.models.functions import Now
from django.test import override_settings
from psycopg.rows import namedtuple_row

from instantlite import keys
from instantlite.resource import State
from instantlite.uuid7 import uuid7
from tests.service import Service
from webhooks.capture import Capture
from webhooks.message import Message
from webhooks.models import CapturedRequest, Endpoint
from webhooks.models.endpoints import RECEIVE_PATH


class Answer(NamedTuple):
    """One HTTP response; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A connection on which exactly the given bytes are sent."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._answers = self._socket.makefile("rb")

    def send(self, sent: bytes) -> None:
        self._socket.sendall(sent)

    def hang_up(self) -> None:
        """Nothing more will be sent; answers are still read."""
        self._socket.shutdown(socket.SHUT_WR)

    def answer(self, method: str = "POST") -> Answer:
        """The next one; 100 Continue is one too. Raises EOFError when the connection ends instead."""
        line = self._line().split(b" ", 2)
        headers = {}
        while field := self._line():
            name, _, value = field.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        status = int(line[1])
        has_body = method != "HEAD" and status >= 200 and status not in (204, 304)
        return Answer(status, headers, self._body(headers) if has_body else b"")

    def _line(self) -> bytes:
        line = self._answers.readline()
        if not line:
            raise EOFError
        return line.removesuffix(b"\r\n")

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(self._line(), 16):
                parts.append(self._answers.read(size))
                self._line()
            self._line()
            return b"".join(parts)
        if "content-length" in headers:
            return self._answers.read(int(headers["content-length"]))
        return self._answers.read()

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


@contextmanager
def wire(port: int) -> Iterator[Wire]:
    """A connection for as long as a test needs it."""
    opened = Wire(port)
    try:
        yield opened
    finally:
        opened.close()


def endpoint(**columns: Any) -> Endpoint:
    """An endpoint in this process's database, active for an hour."""
    hour = timedelta(hours=1)
    given = {
        "name": "inbox",
        "state": State.ACTIVE,
        "granted_ttl": hour,
        "created_at": Now(),
        "expires_at": Now() + hour,
    }
    made = Endpoint(**given | columns)
    made.save(force_insert=True)
    made.refresh_from_db()
    return made


def path_of(endpoint: Endpoint) -> str:
    """That of its receive URL."""
    return urlsplit(endpoint.receive_url).path


def capture(endpoint_id: UUID, body: bytes = b"", **parts: Any) -> Capture:
    """A request as the writer gets it."""
    message = {"method": "POST", "target": "/x", "version": "1.1", "headers": (("Host", "a"),), "body": body}
    too_large = parts.pop("too_large", False)
    client = parts.pop("client", "192.0.2.1")
    return Capture(endpoint_id, Message(**message | parts), client, len(body), too_large)


def stored(endpoint_id: UUID) -> list[CapturedRequest]:
    """What an endpoint holds in this process's database, oldest first."""
    return list(CapturedRequest.objects.of(endpoint_id).oldest_first())


@dataclass(frozen=True)
class Inbox:
    """An endpoint of a running service, past its API: rows are asked of its database."""

    service: Service
    id: UUID
    path: str

    @classmethod
    def of(cls, service: Service) -> "Inbox":
        """A new one, which lives for an hour."""
        made = uuid7()
        with psycopg.connect(service.urls.platform) as platform:
            platform.execute(
                "INSERT INTO webhooks_endpoint (id, name, fingerprint, state, created_at, expires_at, granted_ttl,"
                " requests_stored, captured, stored, newest_us)"
                " VALUES (%s, 'inbox', '', 'active', now(), now() + interval '1 h', interval '1 h', 100000, 0, 0, 0)",
                [made],
            )
        with override_settings(SECRET_KEY=service.secret_key):
            key = keys.sending_key_for(Endpoint.kind, made)
        return cls(service, made, f"{RECEIVE_PATH}{key}")

    def rows(self) -> list[Any]:
        """The stored requests, oldest first: named tuples of the table's columns."""
        with psycopg.connect(self.service.urls.platform, row_factory=namedtuple_row) as platform:
            return platform.execute(
                "SELECT * FROM webhooks_capturedrequest WHERE endpoint_id = %s ORDER BY id", [self.id]
            ).fetchall()

    def messages(self) -> list[Message]:
        """The same, as messages."""
        return [
            Message(row.method, row.target, row.version, tuple(map(tuple, row.headers)), row.body)
            for row in self.rows()
        ]

    def send(self, sent: bytes) -> Answer:
        """Exactly these bytes on a connection of their own; `PATH` in them is the receive URL's path."""
        with wire(self.service.port) as connection:
            connection.send(sent.replace(b"PATH", self.path.encode(), 1))
            return connection.answer(sent.partition(b" ")[0].decode("latin-1"))

    def counts(self) -> tuple[int, int]:
        """`captured` and `stored` of the endpoint's row."""
        with psycopg.connect(self.service.urls.platform) as platform:
            row = platform.execute("SELECT captured, stored FROM webhooks_endpoint WHERE id = %s", [self.id]).fetchone()
        assert row
        return row


def limit_bytes() -> int:
    """What a body may have at most, by default."""
    bytes_: int = settings.INSTANTLITE.server.max_body_bytes
    return bytes_
