"""Captured requests: a table partitioned by day, on ids that are in the order of time.

Within one endpoint ids are in the order of commits too: capturing locks the endpoint's row before it makes the id (see
migration 0001). Whoever has read up to an id has missed nothing before it.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models

from webhooks.message import Message, Pair

# From the start of the target, or of its path in the absolute form, to the end of the key.
_BELOW_KEY = re.compile(r"^.*?/webhook/receive/[^/]*")


class CapturedRequestQuerySet(models.QuerySet["CapturedRequest"]):
    """One endpoint's requests, in order."""

    def of(self, endpoint: UUID) -> "CapturedRequestQuerySet":
        """Those of an endpoint. As a range, because of newest_first()."""
        return self.filter(endpoint_id__gte=endpoint, endpoint_id__lte=endpoint)

    def newest_first(self) -> "CapturedRequestQuerySet":
        """Of one endpoint, by its index. Were `endpoint_id = x` said, PostgreSQL would know that ordering by id is
        enough, and for an endpoint that it takes for a busy one might read the days' primary keys, and everybody's
        requests, until it has found a page of this one's.
        """
        return self.order_by("-endpoint_id", "-id")

    def oldest_first(self) -> "CapturedRequestQuerySet":
        """Of one endpoint, as above."""
        return self.order_by("endpoint_id", "id")

    def since(self, moment: datetime) -> "CapturedRequestQuerySet":
        """Made at this time or later."""
        return self.filter(id__gte=first_id(moment))

    def before(self, request_id: UUID) -> "CapturedRequestQuerySet":
        """Older than that one."""
        return self.filter(id__lt=request_id)

    def after(self, request_id: UUID) -> "CapturedRequestQuerySet":
        """Newer than that one."""
        return self.filter(id__gt=request_id)

    def summaries(self) -> "CapturedRequestQuerySet":
        """Without what is long: neither headers nor body are read from the disk."""
        return self.defer("headers", "body")


class CapturedRequest(models.Model):
    """One request, exact to the byte; text is Latin-1 of the wire, see message.Message.

    `size` is the body's length in bytes as it was sent. With `too_large` the body is not kept: it was longer than this
    server takes, and `size` is null where its sender had not said how long.

    `verdict` is what verdicts.py made of its signature, as the API gives it; None where none is set, or nobody asked.
    `is_signed`: its endpoint had a signature set when it was read for a stream.
    """

    verdict: dict[str, Any] | None = None
    is_signed = False

    id = models.UUIDField(primary_key=True, editable=False)
    endpoint_id = models.UUIDField(editable=False)
    received_at = models.DateTimeField(editable=False)
    method = models.TextField(editable=False)
    target = models.TextField(editable=False)
    version = models.TextField(editable=False)
    content_type = models.TextField(editable=False)
    client = models.GenericIPAddressField(null=True, editable=False)
    size = models.BigIntegerField(null=True, editable=False)
    too_large = models.BooleanField(editable=False)
    headers = models.JSONField(editable=False)
    body = models.BinaryField(editable=False)

    objects = CapturedRequestQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        # The table is made by SQL, because Django knows no partitions.
        managed = True

    def __str__(self) -> str:
        return f"{self.method} {self.id}"

    @property
    def path(self) -> str:
        """What the target has below the key, without the query; percent-encoding left as it is."""
        return path_below_key(self.target)

    @property
    def below_key(self) -> str:
        """Path and query below the key: what is left of the target without the secret that all of an inbox share."""
        query = f"?{self.query}" if "?" in self.target else ""
        return f"{self.path or '/'}{query}"

    @property
    def query(self) -> str:
        """What follows the first `?` of the target."""
        return self.target.partition("?")[2]

    @property
    def message(self) -> Message:
        """The whole of it; reads headers and body if they were deferred."""
        return self.with_body(bytes(self.body))

    @property
    def url(self) -> str:
        """Where it was sent to: a target in the absolute form says it by itself (RFC 9112, section 3.2)."""
        return f"{settings.INSTANTLITE.server.app_url}{self.target}" if self.target.startswith("/") else self.target

    def with_body(self, body: bytes) -> Message:
        """It with a body of the caller's: a part of its own, which then is not read."""
        return self.with_parts(self.headers, body)

    def with_parts(self, headers: Iterable[Pair], body: bytes) -> Message:
        """It with headers and body that were read apart."""
        pairs = tuple((name, value) for name, value in headers)
        return Message(self.method, self.target, self.version, pairs, body)


def path_below_key(target: str) -> str:
    """What a receive URL's target has below the key, without the query; percent-encoding left as it is.

    Empty, or begins with a slash. Where a sender has percent-encoded the way to the key, nothing is below it: what
    stands there could pass for another host, behind a destination's URL.
    """
    path = target.partition("?")[0]
    found = _BELOW_KEY.match(path)
    return path[found.end() :] if found else ""


def first_id(moment: datetime) -> UUID:
    """No id of this millisecond or later is less (RFC 9562, section 5.7)."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def last_id(microseconds: int) -> UUID:
    """No id of this microsecond since the Unix epoch, or of an earlier one, is greater (see migration 0001)."""
    milliseconds, rest = divmod(microseconds, 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | (rest * 4096 // 1000) << 64 | 2**64 - 1)


def time_of(request_id: UUID) -> datetime:
    """When an id was made (RFC 9562, section 5.7), in UTC."""
    return datetime.fromtimestamp((request_id.int >> 80) / 1000, UTC)
