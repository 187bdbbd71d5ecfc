"""Deliveries: one request on its way to one destination; attempts: each try of one, and how it ended."""

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import Q

from instantlite.uuid7 import uuid7


class DeliveryState(models.TextChoices):
    """Pending until next_at; delivering until next_at, when another courier takes over; the others are final."""

    PENDING = "pending"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    DEAD = "dead"
    # The destination's filter does not want it.
    SKIPPED = "skipped"


class Origin(models.TextChoices):
    """Why there is a delivery: an arriving request, somebody's wish, or what a listening client did by itself."""

    FORWARD = "forward"
    REPLAY = "replay"
    LISTEN = "listen"


OPEN = Q(state__in=[DeliveryState.PENDING, DeliveryState.DELIVERING])


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Deliveries of one request."""

    def of(self, endpoint_id: UUID, request_id: UUID) -> "DeliveryQuerySet":
        """A request's, oldest first."""
        return self.filter(request_id=request_id, endpoint_id=endpoint_id).order_by("id")


class Delivery(models.Model):
    """One request on its way to one URL. Ids of an endpoint's forwards are in the order of its requests.

    `destination_id` is null for what a listening client reports; `url` is where it goes or went, empty until the first
    attempt of a forward. `edited` is null, or what is sent instead of the request as it came: {"method", "path",
    "headers": [[name, value], …]}, each of which may be missing, with `edited_body` beside it. `attempts` were ever
    begun, `tries` since somebody last asked for it: the wait for the next one grows with the latter.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    endpoint_id = models.UUIDField(editable=False)
    request_id = models.UUIDField(editable=False)
    destination_id = models.UUIDField(null=True, editable=False)
    url = models.TextField(blank=True, editable=False)
    origin = models.CharField(max_length=10, choices=Origin.choices, editable=False)
    edited = models.JSONField(null=True, editable=False)
    edited_body = models.BinaryField(null=True, editable=False)
    state = models.CharField(max_length=10, choices=DeliveryState.choices, editable=False)
    attempts = models.PositiveIntegerField(default=0, editable=False)
    tries = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(editable=False)
    next_at = models.DateTimeField(null=True, editable=False)
    # No further try after it.
    until = models.DateTimeField(editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)
    # Why it is in its state where no attempt says it, in words.
    note = models.TextField(blank=True, default="", editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(fields=["request_id"], name="delivery_of_request"),
            models.Index(fields=["endpoint_id", "id"], name="delivery_of_endpoint"),
            # Of a destination: the first in strict order, what is due, and what is under way or was left behind.
            models.Index(fields=["destination_id", "id"], name="delivery_open", condition=OPEN),
            models.Index(fields=["destination_id", "next_at"], name="delivery_due", condition=Q(state="pending")),
            models.Index(fields=["destination_id", "next_at"], name="delivery_lease", condition=Q(state="delivering")),
        ]

    def __str__(self) -> str:
        return f"{self.id}"


class Attempt(models.Model):
    """One try, when it is over. `status` is null where no answer came, and `error` says why, in words.

    `answer_body` has the first 64 KiB of the answer as it came, `answer_headers` its header lines in order.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # The constraint is in migration 0002: PostgreSQL itself deletes attempts with their delivery.
    delivery = models.ForeignKey(Delivery, models.DO_NOTHING, related_name="tried", db_constraint=False, editable=False)
    number = models.PositiveIntegerField(editable=False)
    started_at = models.DateTimeField(editable=False)
    duration_ms = models.FloatField(editable=False)
    status = models.PositiveIntegerField(null=True, editable=False)
    error = models.TextField(blank=True, editable=False)
    answer_headers = models.JSONField(editable=False)
    answer_body = models.BinaryField(editable=False)
    answer_truncated = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering: ClassVar = ["number"]

    def __str__(self) -> str:
        return f"{self.number}"
