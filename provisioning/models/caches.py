"""Caches: a user and a key prefix on the tenants' Redis. Every transition is one conditional statement."""

from collections.abc import Iterable
from typing import ClassVar, Self
from uuid import UUID

from django.conf import settings
from django.db import connection, models
from django.db.models import Q
from django.db.models.functions import Now

from instantlite import keys
from instantlite.resource import Wish
from instantlite.uuid7 import uuid7
from provisioning import redis
from provisioning.models.names import random_word, word_of
from provisioning.models.provisioned import LEASE, Provisioned, ProvisionedQuerySet


def installation_prefix() -> str:
    """The start of every name that this installation gives on Redis: another one, with another secret key, differs."""
    return f"il_{word_of(keys.derive('cache prefix'), 5)}_"


_START = """
INSERT INTO provisioning_cache (id, state, name, fingerprint, idempotency_mac, request_digest, granted_ttl, created_at,
    expires_at, key_prefix, storage_mb, connections, confined, generation, applied_generation, tries, last_error)
VALUES (%(id)s, 'active', %(name)s, %(fingerprint)s, %(mac)s, %(digest)s, %(ttl)s, now(),
    now() + %(ttl)s, %(prefix)s, %(storage_mb)s, %(connections)s, false, 0, 0, 0, '')
RETURNING *
"""

_CLAIM_DUE = """
WITH picked AS MATERIALIZED (
    SELECT id FROM provisioning_cache
    WHERE (state = 'active' AND expires_at <= now()) OR (state = 'dropping' AND lease_until <= now())
    ORDER BY coalesce(lease_until, expires_at)
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE provisioning_cache c
SET state = 'dropping', lease_until = now() + %(lease)s, tries = tries + 1
FROM picked
WHERE c.id = picked.id
RETURNING c.*
"""

# What a look at Redis found, for all caches at once; and what follows from it: above the quota a cache is confined,
# below 90 % of it released, in between left as it is, or it would change with every key.
_RECORD = """
WITH seen AS (
    SELECT * FROM unnest(%(prefixes)s::text[], %(sizes)s::bigint[], %(open)s::int[]) AS s (prefix, size, open)
), judged AS (
    SELECT c.id, seen.size, seen.open, c.confined AS before, CASE
        WHEN seen.size > c.storage_mb * 1000000::bigint THEN true
        WHEN seen.size < c.storage_mb * 900000::bigint THEN false
        ELSE c.confined END AS confined
    FROM provisioning_cache c JOIN seen ON seen.prefix = c.key_prefix
    WHERE c.state = 'active'
    FOR UPDATE OF c
)
UPDATE provisioning_cache c
SET size_bytes = judged.size, open_connections = judged.open, confined = judged.confined,
    role_stale_since = CASE WHEN judged.confined <> judged.before THEN now() ELSE c.role_stale_since END
FROM judged
WHERE c.id = judged.id
RETURNING c.id, judged.confined <> judged.before
"""


class CacheQuerySet(ProvisionedQuerySet["Cache"]):
    """A cache's transitions."""

    def start(self, wish: Wish) -> "Cache":
        """A cache for `wish`'s caller, of which Redis has not heard yet. One statement.

        Raises IntegrityError when the caller's idempotency key is taken.
        """
        limits = settings.INSTANTLITE.limits
        values = {
            "id": uuid7(),
            "name": wish.name or wish.chosen_name,
            "fingerprint": wish.fingerprint,
            "mac": wish.idempotency_mac,
            "digest": wish.digest,
            "ttl": wish.lifetime,
            "prefix": installation_prefix() + random_word(14),
            "storage_mb": limits.cache_storage_mb,
            "connections": limits.cache_connections,
        }
        return next(iter(self.raw(_START, values)))

    def claim_due(self) -> "Cache | None":
        """See ProvisionedQuerySet."""
        return next(iter(self.raw(_CLAIM_DUE, {"lease": LEASE})), None) if redis.within_reach() else None

    def within_reach(self) -> Self:
        """See ProvisionedQuerySet."""
        return self.all() if redis.within_reach() else self.none()

    def record(self, seen: Iterable[tuple[str, int, int]]) -> list[UUID]:
        """Notes prefix, bytes and open connections of each cache; gives those that were confined or released."""
        columns = list(zip(*seen, strict=True)) or [(), (), ()]
        values = dict(zip(("prefixes", "sizes", "open"), map(list, columns), strict=True))
        with connection.cursor() as cursor:
            cursor.execute(_RECORD, values)
            return [row[0] for row in cursor.fetchall() if row[1]]

    def mark_stale(self, prefixes: Iterable[str]) -> int:
        """Has the users of these caches set anew by the step that finishes changes, at its next turn."""
        return self.active().filter(key_prefix__in=list(prefixes)).update(role_stale_since=Now() - LEASE)


class Cache(Provisioned):
    """A tenant's user on Redis; its name is the prefix of the keys and channels that it may use."""

    kind = "cache"
    down = redis.RedisDown
    expires_on_server = False

    key_prefix = models.CharField("prefix and user", max_length=40, unique=True, editable=False)
    # Over the quota: it may read and delete until it has shrunk.
    confined = models.BooleanField(default=False, editable=False)
    open_connections = models.PositiveIntegerField(null=True, editable=False)

    objects = CacheQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            # Each loop's own question, over the few rows that can answer it.
            models.Index(fields=["expires_at"], name="cache_expiry", condition=Q(state="active")),
            models.Index(fields=["lease_until"], name="cache_lease", condition=Q(state="dropping")),
            models.Index(
                fields=["role_stale_since"], name="cache_stale_role", condition=Q(role_stale_since__isnull=False)
            ),
            # Admin's filters and the dashboard's charts.
            models.Index(fields=["created_at"], name="cache_created"),
            models.Index(fields=["gone_at"], name="cache_gone", condition=Q(state="gone")),
            models.Index(fields=["fingerprint"], name="cache_owner"),
        ]

    @property
    def user_name(self) -> str:
        return self.key_prefix

    @property
    def connection_url(self) -> str:
        """What a tenant connects with. Raises NoRedis when none is configured any more."""
        return redis.public_url(self.key_prefix, self.password)

    @property
    def has_server(self) -> bool:
        return redis.configured()

    @property
    def note(self) -> str:
        return f"Keys and channels must start with {self.key_prefix}: (with the colon). {super().note}"

    def further_facts(self) -> dict[str, str]:
        return {"key_prefix": self.key_prefix}

    def tell_server(self) -> None:
        """Password, mode and all; see Provisioned."""
        changed = self.applied_generation != self.generation
        redis.set_user(redis.tenants(), self.key_prefix, self.password, confined=self.confined, end_connections=changed)

    def leave_server(self, patience: float | None) -> bool:
        return redis.drop(redis.tenants(), self.key_prefix, patience)

    def note_down(self, reason: str) -> None:
        """The server remembers by itself, in each process."""
