"""Events that hold whole requests, for a client that passes them on: `GET /webhook/{token}/events?include=message`.

They are not kept for other streams, as summaries are: a process remembers thousands of requests, and one may have
64 KiB of body and 0.8 MB of headers. Each stream reads what it is about to send, and no more than that.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from webhooks import subscription
from webhooks.events import frame
from webhooks.feed import Entry
from webhooks.models import CapturedRequest
from webhooks.serializers import render_summary

# A longer body is left out; a client gets it from …/raw.
LONGEST_BODY = 65_536
# What one statement reads of headers and bodies, in bytes, unless a single request has more: it is in memory until its
# client has taken it in.
_MOST = 512 * 1024

# length() of a jsonb's text, because nothing else tells how much it is: header lines compress a hundredfold.
_READ = """
SELECT id, headers, body FROM (
    SELECT c.id, c.headers, CASE WHEN c.size <= %s AND NOT c.too_large THEN c.body END AS body,
    row_number() OVER (ORDER BY c.id) AS place,
    sum(length(c.headers::text) + CASE WHEN c.size <= %s THEN octet_length(c.body) ELSE 0 END) OVER (ORDER BY c.id)
    AS total
    FROM webhooks_capturedrequest c WHERE c.endpoint_id = %s AND c.id = ANY(%s)
) c WHERE place = 1 OR total <= %s ORDER BY id
"""


def write(page: Sequence[Entry]) -> Iterator[bytes]:
    """The events of a page, in pieces of half a megabyte. Of a request that was deleted meanwhile there is only the id.

    Raises OperationalError, InterfaceError.
    """
    left = list(page)
    while left:
        found = _read(left)
        # What stands before the first that was left for the next statement has been decided: read, or deleted.
        last = max(found, default=left[-1].id)
        now = [entry for entry in left if entry.id <= last]
        left = left[len(now) :]
        yield b"".join([_event(entry.captured, found.get(entry.id)) for entry in now])


def _read(entries: Sequence[Entry]) -> dict[UUID, tuple[str, bytes | None]]:
    """Headers, as JSON, and body of the first of these; None for a body that is not there, or too long."""
    ids = [entry.id for entry in entries]
    with subscription.reading(), connection.cursor() as cursor:
        cursor.execute(_READ, [LONGEST_BODY, LONGEST_BODY, entries[0].captured.endpoint_id, ids, _MOST])
        return {request_id: (headers, body) for request_id, headers, body in cursor.fetchall()}


def _event(captured: CapturedRequest, message: tuple[str, bytes | None] | None) -> bytes:
    if message is None:
        return f"id: {captured.id}\n\n".encode()
    return frame("request", json.dumps(_rendered(captured, *message), ensure_ascii=False), captured.id)


def _rendered(captured: CapturedRequest, headers: str, body: bytes | None) -> dict[str, Any]:
    return {
        **render_summary(captured),
        "headers": json.loads(headers),
        "body_base64": None if body is None else b64encode(body).decode("ascii"),
        "complete": body is not None,
    }
