"""Endpoints. Every transition is one conditional statement, a verb of the queryset."""

from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import connection, models
from django.db.models import F, Q
from django.db.models.functions import Greatest, Least, Now

from instantlite import keys
from instantlite.resource import EphemeralQuerySet, EphemeralResource, State, Wish

RECEIVE_PATH = "/webhook/receive/"

# Notifications with the payload "<endpoint id> <newest request id>", or "<endpoint id> ended".
CHANNEL = "instantlite_captures"
ENDED = "ended"

# One statement: an endpoint that holds more than it keeps is locked for as long as its oldest requests take to delete,
# a thousand at most, so that senders who wait for the row do not wait long. Nor for the disk: what a crash brings back
# is counted again, and removed again (PostgreSQL manual, 28.4, asynchronous commit).
#
# What a delivery still waits for is kept (`held` of them), up to a backlog beyond which the oldest go all the same, and
# their destinations count what they have lost.
#
# A busy one is left alone until it is well beyond what it keeps, which is when webhooks_capture() wakes us (migration
# 0001): else each wake-up would remove a few requests of every busy one. What was held goes when nothing waits.
_TRIM = """
WITH picked AS MATERIALIZED (
    SELECT id, requests_stored FROM webhooks_endpoint
    WHERE state = 'active' AND stored > requests_stored AND (
        stored - held > requests_stored * 1.5 + 20
        OR newest_us < date_part('epoch', now() - interval '5 seconds') * 1000000 AND (
            stored - held > requests_stored
            OR held > 0 AND NOT EXISTS (
                SELECT FROM webhooks_destination d JOIN webhooks_delivery v ON v.destination_id = d.id
                WHERE d.endpoint_id = webhooks_endpoint.id AND v.state IN ('pending', 'delivering'))))
    ORDER BY stored - held - requests_stored DESC
    LIMIT 1
    FOR UPDATE SKIP LOCKED
), beyond AS MATERIALIZED (
    SELECT c.id, row_number() OVER (ORDER BY c.id DESC) AS place, EXISTS (
        SELECT FROM webhooks_delivery v WHERE v.request_id = c.id AND v.state IN ('pending', 'delivering')) AS awaited
    FROM (
        SELECT c.id FROM webhooks_capturedrequest c
        WHERE c.endpoint_id = (SELECT id FROM picked)
        ORDER BY c.id DESC
        OFFSET (SELECT requests_stored FROM picked)
        LIMIT 1000 + %(backlog)s
    ) c
), old AS MATERIALIZED (
    SELECT id FROM beyond WHERE NOT awaited OR place > %(backlog)s ORDER BY id LIMIT 1000
), deliveries AS MATERIALIZED (
    SELECT v.id, v.destination_id, v.state FROM webhooks_delivery v
    WHERE v.request_id IN (SELECT id FROM old) ORDER BY v.id FOR UPDATE
), forgotten AS (
    DELETE FROM webhooks_delivery v USING deliveries d WHERE v.id = d.id
    RETURNING v.destination_id, v.state
), told AS MATERIALIZED (
    SELECT d.id FROM webhooks_destination d
    WHERE d.id IN (SELECT destination_id FROM forgotten WHERE state IN ('pending', 'delivering'))
    ORDER BY d.id FOR UPDATE
), counted AS (
    UPDATE webhooks_destination d SET lost = d.lost + f.number
    FROM told, (
        SELECT destination_id, count(*) AS number FROM forgotten
        WHERE state IN ('pending', 'delivering') GROUP BY destination_id
    ) f
    WHERE d.id = told.id AND d.id = f.destination_id
), removed AS (
    DELETE FROM webhooks_capturedrequest c USING old, picked
    WHERE c.id = old.id AND c.endpoint_id = picked.id
    RETURNING 1
)
UPDATE webhooks_endpoint e
-- Where nothing was left to remove, the count was wrong: it is what is kept.
SET stored = CASE WHEN n.removed = 0 THEN e.requests_stored + n.held ELSE e.stored - n.removed END, held = n.held
FROM picked, (
    SELECT (SELECT count(*) FROM removed) AS removed,
        (SELECT count(*) FROM beyond WHERE awaited AND place <= %(backlog)s) AS held
) n
WHERE e.id = picked.id
RETURNING e.name, n.removed, set_config('synchronous_commit', 'off', true)
"""


class EndpointQuerySet(EphemeralQuerySet["Endpoint"]):
    """An endpoint's transitions."""

    def start(self, wish: Wish) -> "Endpoint":
        """A new one in its owner's hands. Raises IntegrityError when the caller's idempotency key is taken."""
        endpoint = self.model(
            name=wish.name or wish.chosen_name,
            fingerprint=wish.fingerprint,
            state=State.ACTIVE,
            granted_ttl=wish.lifetime,
            idempotency_mac=wish.idempotency_mac,
            request_digest=wish.digest,
            requests_stored=settings.INSTANTLITE.webhooks.requests_stored,
        )
        endpoint.created_at = Now()
        endpoint.expires_at = Now() + wish.lifetime
        endpoint.save(force_insert=True)
        endpoint.refresh_from_db(fields=["created_at", "expires_at"])
        return endpoint

    def end(self, endpoint_id: UUID) -> int:
        """Takes an active one out of use, its requests still to be deleted; 0 when it is not active any more."""
        return self.filter(pk=endpoint_id, state=State.ACTIVE).update(state=State.DROPPING)

    def announce_end(self, endpoint_id: UUID) -> None:
        """Tells those who watch it, in every process."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, f"{endpoint_id} {ENDED}"])

    def ended(self, endpoint_id: UUID) -> int:
        """Its requests are deleted; the row stays as a tombstone."""
        return self.filter(pk=endpoint_id, state=State.DROPPING).update(
            state=State.GONE, gone_at=Now(), stored=0, answer=None, signature=None
        )

    def ending(self) -> "EndpointQuerySet":
        """Those whose requests somebody began to delete."""
        return self.filter(state=State.DROPPING)

    def expire_due(self) -> int:
        """Makes tombstones of those whose time is up. Their requests go with their day's partition."""
        return self.filter(state=State.ACTIVE, expires_at__lte=Now()).update(
            state=State.GONE, gone_at=Now(), answer=None, signature=None
        )

    def expire_now(self) -> int:
        """What an operator does: each of these is over at once, and its requests are deleted."""
        return self.filter(state=State.ACTIVE).update(state=State.DROPPING)

    def removed(self, endpoint_id: UUID, count: int) -> int:
        """Takes so many requests off the count of what it holds."""
        left = F("stored") - count
        # Those that are held are the ones beyond what it keeps: no more than there are.
        beyond = Greatest(left - F("requests_stored"), 0)
        return self.filter(pk=endpoint_id).update(stored=left, held=Least(F("held"), beyond))

    def trim_one(self) -> tuple[str, int] | None:
        """Removes the oldest requests of one that holds more than it keeps: its name and how many; None: no such."""
        with connection.cursor() as cursor:
            cursor.execute(_TRIM, {"backlog": settings.INSTANTLITE.forwarding.backlog})
            row = cursor.fetchone()
        return (str(row[0]), int(row[1])) if row else None

    def old_tombstones(self, age: timedelta) -> "EndpointQuerySet":
        return self.filter(state=State.GONE, gone_at__lte=Now() - age)


class Endpoint(EphemeralResource):
    """A webhook inbox. What it has captured is in CapturedRequest, by its id and without a foreign key.

    `captured` counts what was ever taken in, `stored` what is there now; `newest_us` is the time of the newest request,
    in microseconds since the Unix epoch, by which the next one's id is later.
    """

    kind = "webhook"

    requests_stored = models.PositiveIntegerField(default=100, editable=False)
    captured = models.BigIntegerField(default=0, editable=False)
    stored = models.BigIntegerField(default=0, editable=False)
    newest_us = models.BigIntegerField(default=0, editable=False)
    # What a sender is answered, see answers.py; null for the default.
    answer = models.JSONField(null=True, editable=False)
    # Seconds that a sender waits for the first destination's answer, which it then gets; null: it does not wait.
    proxy_seconds = models.FloatField(null=True, editable=False)
    # How senders sign, see signatures/; the secret in it is sealed. Null: nothing is verified.
    signature = models.JSONField(null=True, editable=False)
    # Requests beyond those it keeps, which the last trim left because a delivery of them was not done.
    held = models.PositiveIntegerField(default=0, db_default=0, editable=False)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            # None of them on a column that capturing changes: those updates stay within their page (HOT).
            models.Index(fields=["expires_at"], name="webhook_expiry", condition=Q(state="active")),
            models.Index(fields=["id"], name="webhook_ending", condition=Q(state="dropping")),
            models.Index(fields=["gone_at"], name="webhook_gone", condition=Q(state="gone")),
            models.Index(fields=["fingerprint"], name="webhook_fingerprint"),
        ]

    @property
    def receive_path(self) -> str:
        """The path of receive_url."""
        return RECEIVE_PATH + keys.sending_key_for(self.kind, self.id)

    @property
    def receive_url(self) -> str:
        """Where senders send; whoever has it cannot read."""
        return f"{settings.INSTANTLITE.server.app_url}{self.receive_path}"

    @property
    def inbox_url(self) -> str:
        """The page; holds the token."""
        return f"{settings.INSTANTLITE.server.app_url}/webhooks/{self.token}"

    @property
    def status_url(self) -> str:
        """The API of this one; holds the token."""
        return f"{settings.INSTANTLITE.server.app_url}/webhook/{self.token}"
