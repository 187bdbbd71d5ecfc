"""Destinations: where an inbox's requests are sent on to."""

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import Q

from instantlite.uuid7 import uuid7


class DestinationQuerySet(models.QuerySet["Destination"]):
    """One endpoint's destinations."""

    def of(self, endpoint_id: UUID) -> "DestinationQuerySet":
        """Those that its owner made, in the order in which they were made: the first answers in proxy mode."""
        return self.filter(endpoint_id=endpoint_id, listed=True).order_by("id")


class Destination(models.Model):
    """A URL that requests are sent on to, and what is known of how it takes them.

    `filter` is null or a list of conditions that a request has to meet, all of them, see forward_filter.py. A `secret`
    is sealed (instantlite.sealing); with it requests are signed anew, in the way of `signing`.

    `room` is how many deliveries it may have under way: one at first and after a failure, one more with each success.
    `wake_at` is when the couriers are to look at it; null while it has nothing that waits, or no room. After some
    failures in a row (`failures`) it is left alone until `rests_until`. `lost` counts deliveries whose request was let
    go because too many waited. One that is not `listed` holds replays to a URL that somebody gave.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Without a constraint: an endpoint's row is locked by every capture, which a foreign key would look at.
    endpoint_id = models.UUIDField(editable=False)
    url = models.TextField()
    listed = models.BooleanField(default=True, editable=False)
    enabled = models.BooleanField(default=True)
    # Why it was turned off by us, in words; empty where its owner did.
    stopped = models.TextField(blank=True, default="", editable=False)
    filter = models.JSONField(null=True, blank=True)
    timeout_seconds = models.FloatField(default=10)
    ordered = models.BooleanField(default=False)
    signing = models.JSONField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    room = models.PositiveIntegerField(default=1, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    rests_until = models.DateTimeField(null=True, editable=False)
    wake_at = models.DateTimeField(null=True, editable=False)
    lost = models.BigIntegerField(default=0, editable=False)

    objects = DestinationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(fields=["endpoint_id"], name="destination_of"),
            models.Index(fields=["wake_at"], name="destination_wake", condition=Q(wake_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.id}"
