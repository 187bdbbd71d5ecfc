"""Clusters and the databases on them. Every transition is one conditional statement, a verb of the queryset."""

import hashlib
import json
import secrets as randomness
from datetime import timedelta
from typing import ClassVar, Self
from uuid import UUID

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Count, F, IntegerField, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Now

from instantlite.housekeeping import WAKE_CHANNEL
from instantlite.resource import EphemeralQuerySet, EphemeralResource, State, Wish
from provisioning import connections, credentials
from provisioning.postgres import public_url

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


def random_word(length: int) -> str:
    """Lower-case letters and digits that cannot be mistaken for one another; 5 bits each."""
    return "".join(randomness.choice(_ALPHABET) for _ in range(length))


def new_prefix() -> str:
    """The start of every name that one installation gives on one cluster, so that two never touch each other's."""
    return f"il_{random_word(5)}_"


def recipe() -> str:
    """A short hash of what a pooled database is built with; after a change of it, old ones are not handed out."""
    config = settings.INSTANTLITE
    parts = [*config.postgres.extensions, config.limits.statement_timeout.total_seconds()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


class ClusterQuerySet(models.QuerySet["Cluster"]):
    """Where databases can go."""

    def sync(self) -> None:
        """Makes a row for each configured cluster; others stay, for the databases that they still hold."""
        for name, config in settings.CLUSTERS.items():
            _, created = self.get_or_create(name=name, defaults={"max_databases": config.max_databases})
            if not created:
                self.filter(name=name).exclude(max_databases=config.max_databases).update(
                    max_databases=config.max_databases
                )

    def reachable(self) -> Self:
        """Configured, and not found to be down a moment ago."""
        return self.filter(name__in=settings.CLUSTERS).filter(Q(down_until=None) | Q(down_until__lte=Now()))

    def for_placement(self) -> "Cluster | None":
        """The accepting cluster with the smallest share of its capacity in use; None if all are full or away."""
        # A subquery reads the partial index of living rows; a join would read every tombstone too.
        living = Database.objects.filter(cluster=OuterRef("pk")).exclude(state=State.GONE)
        per_cluster = living.order_by().values("cluster").annotate(held=Count("pk")).values("held")
        load = Coalesce(Subquery(per_cluster, output_field=IntegerField()), 0)
        accepting = self.reachable().filter(state=Cluster.State.ACCEPTING)
        free = accepting.annotate(load=load).filter(load__lt=F("max_databases"))
        return free.order_by(F("load") * 1.0 / F("max_databases"), "name").first()

    def mark_down(self, name: str, reason: str) -> bool:
        """Leaves a cluster alone for a while. True for the one caller who found out first."""
        until = Now() + settings.INSTANTLITE.postgres.down_for
        return bool(self.reachable().filter(name=name).update(down_until=until, down_reason=reason[:500]))

    def move_to(self, name: str, state: "Cluster.State") -> bool:
        """An operator's wish. False when the cluster was in that state already."""
        return bool(self.filter(name=name).exclude(state=state).update(state=state))


class Cluster(models.Model):
    """A PostgreSQL server that holds tenants' databases. Its URL stays in the configuration: it holds a password."""

    class State(models.TextChoices):
        ACCEPTING = "accepting"
        DRAINING = "draining"

    name = models.CharField(max_length=40, primary_key=True)
    prefix = models.CharField(max_length=16, unique=True, default=new_prefix, editable=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACCEPTING)
    max_databases = models.PositiveIntegerField(default=1000)
    down_until = models.DateTimeField(null=True, editable=False)
    down_reason = models.CharField(max_length=500, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ClusterQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def template_name(self) -> str:
        """The private template that this cluster's databases are copied from, one for each recipe."""
        return f"{self.prefix}template_{recipe()}"


# One statement, one round trip: pick a finished database that nobody else is picking, make it this caller's, and tell
# the housekeepers that the pool has one less. SKIP LOCKED lets fifty callers pick fifty rows without waiting.
_CLAIM = f"""
WITH picked AS MATERIALIZED (
    SELECT d.id
    FROM provisioning_database d JOIN provisioning_cluster c ON c.name = d.cluster_id
    WHERE d.state = 'ready' AND d.recipe = %(recipe)s AND c.state = 'accepting' AND c.name = ANY(%(clusters)s)
      AND (c.down_until IS NULL OR c.down_until <= now())
    ORDER BY d.built_at
    LIMIT 1
    FOR UPDATE OF d SKIP LOCKED
)
UPDATE provisioning_database d
SET state = 'active', name = %(name)s, fingerprint = %(fingerprint)s, idempotency_mac = %(mac)s,
    request_digest = %(digest)s, granted_ttl = %(ttl)s, created_at = now(), expires_at = now() + %(ttl)s,
    storage_mb = %(storage_mb)s, connections = %(connections)s
FROM picked
WHERE d.id = picked.id
RETURNING d.*, pg_notify('{WAKE_CHANNEL}', '') IS NULL AS notified
"""  # noqa: S608 — the channel is a constant of ours

# A row is due for the reaper when its time is up, when whoever held its lease did not come back, or when nobody will
# ever be given it: on a draining cluster, or built by an older recipe.
_CLAIM_DUE = """
WITH picked AS MATERIALIZED (
    SELECT d.id
    FROM provisioning_database d JOIN provisioning_cluster c ON c.name = d.cluster_id
    WHERE c.name = ANY(%(clusters)s) AND (c.down_until IS NULL OR c.down_until <= now()) AND (
        (d.state = 'active' AND d.expires_at <= now())
        OR (d.state IN ('building', 'dropping') AND d.lease_until <= now())
        OR (d.state = 'ready' AND c.state = 'draining')
        OR (d.state = 'ready' AND d.recipe <> %(recipe)s AND d.built_at < now() - interval '5 minutes'))
    ORDER BY coalesce(d.lease_until, d.expires_at, d.built_at)
    LIMIT 1
    FOR UPDATE OF d SKIP LOCKED
)
UPDATE provisioning_database d
SET state = 'dropping', lease_until = now() + %(lease)s, tries = tries + 1
FROM picked
WHERE d.id = picked.id
RETURNING d.*
"""


class DatabaseQuerySet(EphemeralQuerySet["Database"]):
    """A database's transitions."""

    def claim(self, wish: Wish) -> "Database | None":
        """Hands a finished database to `wish`'s caller; None when the pool is empty.

        Raises IntegrityError when the caller's idempotency key is taken.
        """
        limits = settings.INSTANTLITE.limits
        values = {
            "name": wish.name or wish.chosen_name,
            "fingerprint": wish.fingerprint,
            "mac": wish.idempotency_mac,
            "digest": wish.digest,
            "ttl": wish.lifetime,
            "storage_mb": limits.storage_mb,
            "connections": limits.connections,
            "recipe": recipe(),
            "clusters": list(settings.CLUSTERS),
        }
        return next(iter(self.raw(_CLAIM, values)), None)

    def release(self, database: "Database") -> int:
        """Puts a claimed database back that could not be opened. Nobody was told its password."""
        return self.filter(pk=database.pk, state=State.ACTIVE).update(
            state=State.READY, fingerprint="", name="", idempotency_mac=None, created_at=None, expires_at=None
        )

    def claim_due(self) -> "Database | None":
        """A database to drop, leased to this caller; None when there is none."""
        values = {"recipe": recipe(), "clusters": list(settings.CLUSTERS), "lease": timedelta(seconds=60)}
        return next(iter(self.raw(_CLAIM_DUE, values)), None)

    def start_dropping(self, resource_id: UUID, *states: State, error: str = "") -> int:
        """Takes a database out of use; whoever gets 1 holds its lease, and the reaper has it after that."""
        return self.filter(pk=resource_id, state__in=states).update(
            state=State.DROPPING, lease_until=Now() + timedelta(seconds=60), last_error=error[:500]
        )

    def dropped(self, resource_id: UUID) -> int:
        """The cluster holds it no more; the row stays as a tombstone."""
        return self.filter(pk=resource_id, state=State.DROPPING).update(
            state=State.GONE, gone_at=Now(), lease_until=None, size_bytes=None, last_error=""
        )

    def drop_failed(self, database: "Database", error: str) -> int:
        """Schedules the next try: after 5 s, then twice as long each time, 5 minutes at most."""
        delay = timedelta(seconds=min(5 * 2 ** min(database.tries, 10), 300))
        return self.filter(pk=database.pk, state=State.DROPPING).update(
            lease_until=Now() + delay, last_error=error[:500]
        )

    def start_build(self, *, only_below: int | None = None) -> "Database | None":
        """Reserves a place for one more database and leases it to this caller; None when none is wanted.

        `only_below`: for a pool of that size, see _short_of(). Raises NoPlace when every cluster is full or away.
        """
        with transaction.atomic(), connection.cursor() as cursor:
            # Counting and reserving must be one step, or every process would see the same gap and fill it.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('instantlite placement'))")
            if only_below is not None and not self._short_of(only_below):
                return None
            cluster = Cluster.objects.for_placement()
            if cluster is None:
                raise NoPlace
            database = self.model(
                cluster=cluster, db_name=cluster.prefix + random_word(14), state=State.BUILDING, recipe=recipe()
            )
            database.lease_until = Now() + settings.INSTANTLITE.pool.build_lease
            database.save(force_insert=True)
            return database

    def _short_of(self, size: int) -> bool:
        """Whether a pool of `size` wants one more build to begin: one at a time until it is half empty, then as many
        as there are builders. Requests share the processors and the disk with every build that runs.
        """
        counts = self.pooled().aggregate(
            ready=Count("pk", filter=Q(state=State.READY)), building=Count("pk", filter=Q(state=State.BUILDING))
        )
        at_once = 1 if counts["ready"] * 2 >= size else size
        short: bool = counts["ready"] + counts["building"] < size and counts["building"] < at_once
        return short

    def finish_build(self, database: "Database") -> int:
        """The database is complete and joins the pool; 0 when the lease was lost to the reaper meanwhile."""
        return self.filter(pk=database.pk, state=State.BUILDING).update(
            state=State.READY, built_at=Now(), lease_until=None
        )

    def pooled(self) -> Self:
        """Finished or being built, of the present recipe, where they can be handed out."""
        return self.filter(
            state__in=(State.READY, State.BUILDING),
            recipe=recipe(),
            cluster__state=Cluster.State.ACCEPTING,
            cluster__in=Cluster.objects.reachable(),
        )

    def rotate(self, resource_id: UUID) -> int:
        """Moves an active database to its next password; roles.apply() then tells the cluster."""
        return self.active().filter(pk=resource_id).update(generation=F("generation") + 1, role_stale_since=Now())

    def stale_roles(self, older_than: timedelta) -> Self:
        """Active databases whose row was changed and whose role on the cluster was not: somebody died in between."""
        return self.active().filter(role_stale_since__lte=Now() - older_than, cluster__in=Cluster.objects.reachable())

    def old_tombstones(self, age: timedelta) -> Self:
        return self.filter(state=State.GONE, gone_at__lte=Now() - age)


class NoPlace(Exception):
    """No cluster accepts another database: all are full, draining, away or unconfigured."""


class Database(EphemeralResource):
    """A tenant's database and the role of the same name that may use it."""

    kind = "db"

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="databases", editable=False)
    db_name = models.CharField("database and role", max_length=63, unique=True, editable=False)
    recipe = models.CharField(max_length=12, editable=False)
    generation = models.PositiveIntegerField(default=0, editable=False)
    applied_generation = models.PositiveIntegerField(default=0, editable=False)
    role_stale_since = models.DateTimeField(null=True, editable=False)
    storage_mb = models.PositiveIntegerField(default=0, editable=False)
    connections = models.PositiveIntegerField(default=0, editable=False)
    size_bytes = models.BigIntegerField(null=True, editable=False)
    built_at = models.DateTimeField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    tries = models.PositiveIntegerField(default=0, editable=False)
    last_error = models.CharField(max_length=500, blank=True, editable=False)

    objects = DatabaseQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            # Each loop's own question, over the few rows that can answer it.
            models.Index(fields=["built_at"], name="db_ready", condition=Q(state="ready")),
            models.Index(fields=["expires_at"], name="db_expiry", condition=Q(state="active")),
            models.Index(fields=["lease_until"], name="db_lease", condition=Q(state__in=["building", "dropping"])),
            models.Index(
                fields=["role_stale_since"], name="db_stale_role", condition=Q(role_stale_since__isnull=False)
            ),
            models.Index(fields=["cluster"], name="db_alive", condition=~Q(state="gone")),
            # Admin's filters and the dashboard's charts.
            models.Index(fields=["created_at"], name="db_created"),
            models.Index(fields=["gone_at"], name="db_gone", condition=Q(state="gone")),
            models.Index(fields=["fingerprint"], name="db_owner"),
        ]

    @property
    def password(self) -> str:
        return credentials.password(self.kind, self.id, self.generation)

    @property
    def connection_url(self) -> str:
        """What a tenant connects with. Raises ClusterDown when the cluster is not in the configuration any more."""
        return public_url(connections.configured(self.cluster_id), self.db_name, self.password)
