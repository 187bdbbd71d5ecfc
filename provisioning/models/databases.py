"""Databases. Every transition is one conditional statement, a verb of the queryset."""

from typing import ClassVar, Self

import psycopg
from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Count, F, IntegerField, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Now

from instantlite.housekeeping import WAKE_CHANNEL
from instantlite.resource import State, Wish
from provisioning import connections, credentials, postgres
from provisioning.models.clusters import Cluster, recipe
from provisioning.models.names import random_word
from provisioning.models.provisioned import LEASE, Provisioned, ProvisionedQuerySet

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


class DatabaseQuerySet(ProvisionedQuerySet["Database"]):
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
        values = {"recipe": recipe(), "clusters": list(settings.CLUSTERS), "lease": LEASE}
        return next(iter(self.raw(_CLAIM_DUE, values)), None)

    def start_build(self, *, only_below: int | None = None) -> "Database | None":
        """Reserves a place for one more database and leases it to this caller; None when none is wanted.

        `only_below`: for a pool of that size, see _short_of(). Raises NoPlace when every cluster is full or away.
        """
        with transaction.atomic(), connection.cursor() as cursor:
            # Counting and reserving must be one step, or every process would see the same gap and fill it.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('instantlite placement'))")
            if only_below is not None and not self._short_of(only_below):
                return None
            cluster = self.placement()
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

    def within_reach(self) -> Self:
        """See ProvisionedQuerySet."""
        return self.filter(cluster__in=Cluster.objects.reachable())

    def placement(self) -> Cluster | None:
        """The accepting cluster with the smallest share of its capacity in use; None if all are full or away."""
        # A subquery reads the partial index of living rows; a join would read every tombstone too.
        living = self.filter(cluster=OuterRef("pk")).exclude(state=State.GONE)
        per_cluster = living.order_by().values("cluster").annotate(held=Count("pk")).values("held")
        load = Coalesce(Subquery(per_cluster, output_field=IntegerField()), 0)
        accepting = Cluster.objects.reachable().filter(state=Cluster.State.ACCEPTING)
        free = accepting.annotate(load=load).filter(load__lt=F("max_databases"))
        return free.order_by(F("load") * 1.0 / F("max_databases"), "name").first()


class NoPlace(Exception):
    """No cluster accepts another database: all are full, draining, away or unconfigured."""


class Database(Provisioned):
    """A tenant's database and the role of the same name that may use it."""

    kind = "db"
    down = connections.ClusterDown
    expires_on_server = True
    refusals = (psycopg.Error,)

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="databases", editable=False)
    db_name = models.CharField("database and role", max_length=63, unique=True, editable=False)
    recipe = models.CharField(max_length=12, editable=False)
    built_at = models.DateTimeField(null=True, editable=False)

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
    def user_name(self) -> str:
        return self.db_name

    @property
    def connection_url(self) -> str:
        """What a tenant connects with. Raises ClusterDown when the cluster is not in the configuration any more."""
        return postgres.public_url(connections.configured(self.cluster_id), self.db_name, self.password)

    def tell_server(self) -> None:
        """The role's expiry, and its password if that was rotated; see Provisioned."""
        changed = self.applied_generation != self.generation
        verifier = credentials.scram_verifier(self.password) if changed else None
        assert self.expires_at is not None, "an active database has an expiry"  # noqa: S101 — tells mypy
        postgres.set_role(connections.to(self.cluster_id), self.db_name, self.expires_at, verifier)

    def leave_server(self, patience: float | None) -> bool:
        """DROP DATABASE is one statement, and takes as long as it takes."""
        postgres.drop(connections.to(self.cluster_id), self.db_name)
        return True

    def note_down(self, reason: str) -> None:
        Cluster.objects.mark_down(self.cluster_id, reason)
