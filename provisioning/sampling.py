"""How much memory each cache takes, and how many connections. Redis has no quota: housekeeping looks, and acts.

One process at a time walks over the keys, in slices that Redis answers in about a millisecond, and stops after a
moment so that the loop's other steps get their turn.
"""

import logging
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings

from instantlite.resource import Gone, State
from provisioning import redis, roles
from provisioning.models import Cache, installation_prefix

log = logging.getLogger("instantlite.sampling")

# How long one unit of the step walks.
BUDGET_SECONDS = 0.1


@dataclass
class Walk:
    """One walk over all keys of ours: so far, and from where it goes on."""

    holder: str = field(default_factory=lambda: secrets.token_hex(8))
    cursor: int = 0
    begun: bool = False
    keys: int = 0
    sizes: Counter[str] = field(default_factory=Counter)

    @property
    def over(self) -> bool:
        return self.begun and not self.cursor

    def go_on(self, server: redis.Server, prefix: str, seconds: float) -> None:
        """Measures slices until the time is up; one at least."""
        deadline = time.monotonic() + seconds
        while not self.over:
            found = redis.measure_slice(server, prefix, self.cursor)
            self.begun, self.cursor = True, found.cursor
            self.keys += len(found.sizes)
            for key, size in found.sizes:
                self.sizes[key.partition(":")[0]] += size
            if time.monotonic() >= deadline:
                return


_walk: Walk | None = None


def sample_one() -> str | None:
    """Walks on for a moment; at the end notes what was found and acts on it. None when it is not our turn."""
    global _walk  # noqa: PLW0603 — one walk per process, resumed by the next unit
    if not redis.within_reach():
        return None
    walk, _walk = _walk or Walk(), None
    try:
        server = redis.tenants()
        if not redis.hold(server, lock_name(), walk.holder):
            return None
        walk.go_on(server, installation_prefix(), BUDGET_SECONDS)
        if not walk.over:
            _walk = walk
            return f"measured {walk.keys} keys so far"
        # A little less than the interval, or the next turn would come just too early.
        interval = settings.INSTANTLITE.housekeeping.interval.total_seconds()
        redis.keep_for(server, lock_name(), interval * 0.9)
        _finish(server, walk)
    except redis.RedisDown:
        # Logged by the server, once; the next turn begins anew.
        return None
    return None


def lock_name() -> str:
    """A key that no tenant's pattern reaches, and that the walk does not meet."""
    return f"{installation_prefix()[:-1]}:walk"


def _finish(server: redis.Server, walk: Walk) -> None:
    connections = redis.connections(server, installation_prefix())
    limits = dict(Cache.objects.active().values_list("key_prefix", "connections"))
    open_now = {name: connections.get(name, []) for name in limits}
    changed = Cache.objects.record((name, walk.sizes[name], len(ids)) for name, ids in open_now.items())
    for cache_id in changed:
        _apply(cache_id)
    surplus = [one for name, ids in open_now.items() for one in ids[limits[name] :]]
    if surplus:
        log.info("ended %d connections above their caches' limits", len(surplus))
        redis.end_connections(server, surplus)
    _remove_strays(server, walk.sizes.keys() - limits.keys())


def _apply(cache_id: UUID) -> None:
    try:
        cache = roles.apply(Cache, cache_id)
    except Gone:
        return
    log.info("cache %s %s", cache.key_prefix, "is over its quota" if cache.confined else "is below its quota again")


def _remove_strays(server: redis.Server, prefixes: set[str]) -> None:
    """Keys whose cache is gone, from our rows too: a restored backup, a drop that was cut off long ago."""
    living = Cache.objects.exclude(state=State.GONE).filter(key_prefix__in=prefixes)
    for prefix in sorted(prefixes - set(living.values_list("key_prefix", flat=True))):
        redis.drop(server, prefix)
        log.warning("removed the keys of %s on Redis: no row names it", prefix)
