"""What databases and caches share: a user on a server of ours, its password, its quota, and how the two end.

Every transition is one conditional statement, a verb of the queryset.
"""

from datetime import timedelta
from typing import Any, ClassVar, Self, TypeVar, cast
from uuid import UUID

from django.db import models
from django.db.models import F
from django.db.models.functions import Now

from instantlite.resource import EphemeralQuerySet, EphemeralResource, State
from provisioning import credentials
from provisioning.servers import ServerDown

Row = TypeVar("Row", bound="Provisioned")

LEASE = timedelta(seconds=60)


class ProvisionedQuerySet(EphemeralQuerySet[Row]):
    """Transitions of whatever has a user on a server."""

    def claim_due(self) -> Row | None:
        """One to drop, leased to this caller; None when there is none."""
        raise NotImplementedError

    def within_reach(self) -> Self:
        """Those whose server is configured and was not found to be down a moment ago."""
        raise NotImplementedError

    def start_dropping(self, resource_id: UUID, *states: State, error: str = "") -> int:
        """Takes one out of use; whoever gets 1 holds its lease, and the reaper has it after that."""
        return self.filter(pk=resource_id, state__in=states).update(
            state=State.DROPPING, lease_until=Now() + LEASE, last_error=error[:500]
        )

    def dropped(self, resource_id: UUID) -> int:
        """The server holds it no more; the row stays as a tombstone."""
        return self.filter(pk=resource_id, state=State.DROPPING).update(
            state=State.GONE, gone_at=Now(), lease_until=None, size_bytes=None, last_error=""
        )

    def drop_failed(self, row: Row, error: str) -> int:
        """Schedules the next try: after 5 s, then twice as long each time, 5 minutes at most."""
        delay = timedelta(seconds=min(5 * 2 ** min(row.tries, 10), 300))
        return self.filter(pk=row.pk, state=State.DROPPING).update(lease_until=Now() + delay, last_error=error[:500])

    def drop_later(self, row: Row) -> int:
        """Leaves the rest to the reaper, at its next turn."""
        return self.filter(pk=row.pk, state=State.DROPPING).update(lease_until=Now())

    def discard(self, resource_id: UUID, *states: State, error: str = "") -> int:
        """Hands one that nobody should get to the reaper, and frees the key that it was made with."""
        self.filter(pk=resource_id).update(idempotency_mac=None)
        return self.start_dropping(resource_id, *states, error=error)

    def rotate(self, resource_id: UUID) -> int:
        """Moves an active one to its next password; roles.apply() then tells the server."""
        return self.active().filter(pk=resource_id).update(generation=F("generation") + 1, role_stale_since=Now())

    def stale_roles(self, older_than: timedelta) -> Self:
        """Active ones whose row was changed and whose user on the server was not: somebody died in between."""
        return self.active().filter(role_stale_since__lte=Now() - older_than).within_reach()

    def old_tombstones(self, age: timedelta) -> Self:
        return self.filter(state=State.GONE, gone_at__lte=Now() - age)


class Provisioned(EphemeralResource):
    """A resource with a user of its own on a server that many share."""

    # What is raised when its server is away.
    down: ClassVar[type[ServerDown]]
    # Whether the server itself refuses logins after the expiry, and so has to be told of a new one.
    expires_on_server: ClassVar[bool]
    # Errors with which the server refuses what it is told: asking again would not help.
    refusals: ClassVar[tuple[type[Exception], ...]] = ()

    generation = models.PositiveIntegerField(default=0, editable=False)
    applied_generation = models.PositiveIntegerField(default=0, editable=False)
    role_stale_since = models.DateTimeField(null=True, editable=False)
    storage_mb = models.PositiveIntegerField(default=0, editable=False)
    connections = models.PositiveIntegerField(default=0, editable=False)
    size_bytes = models.BigIntegerField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    tries = models.PositiveIntegerField(default=0, editable=False)
    last_error = models.CharField(max_length=500, blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def password(self) -> str:
        return credentials.password(self.kind, self.id, self.generation)

    @property
    def user_name(self) -> str:
        """What the server knows it by."""
        raise NotImplementedError

    @property
    def connection_url(self) -> str:
        """What a tenant connects with."""
        raise NotImplementedError

    @property
    def has_server(self) -> bool:
        """False where the configuration names no server of this kind any more, and so there is no URL."""
        return True

    @property
    def note(self) -> str:
        """What its owner should know, in a sentence or two."""
        return (
            "Gone at expires_at, with everything in it. Extend it with POST to status_url + /extend, "
            "delete it with DELETE to status_url."
        )

    def further_facts(self) -> dict[str, str]:
        """What the answer to its owner has beside the fields that every kind has."""
        return {}

    def tell_server(self) -> None:
        """Brings the user on the server to what this row says. Raises servers.ServerDown, and `refusals`."""
        raise NotImplementedError

    def leave_server(self, patience: float | None) -> bool:
        """Takes everything of it from the server; safe to run again. Raises servers.ServerDown, and `refusals`.

        False where more is left to do than `patience`, in seconds, allowed for; the owner is out by then. None: as long
        as it takes.
        """
        raise NotImplementedError

    def note_down(self, reason: str) -> None:
        """Leaves its server alone for a moment; logged by whoever noticed first."""
        raise NotImplementedError


def rows_of(model: type[Row]) -> ProvisionedQuerySet[Row]:
    """A model's verbs, under their type."""
    return cast(ProvisionedQuerySet[Row], cast(Any, model)._default_manager.all())
