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
# A key of so many bytes could confine its cache by being counted twice.
LARGE = 100_000
# Channels that one connection may listen to: each takes memory that is no key's.
MOST_SUBSCRIPTIONS = 1000


@dataclass
class Walk:
    """One walk over all keys of ours: so far, and from where it goes on."""

    holder: str = field(default_factory=lambda: secrets.token_hex(8))
    cursor: int = 0
    begun: bool = False
    keys: int = 0
    busy: float = 0.0
    # SCAN gives a key twice when Redis resizes its table meanwhile: a large one is counted once.
    large: set[str] = field(default_factory=set)
    sizes: Counter[str] = field(default_factory=Counter)

    @property
    def over(self) -> bool:
        return self.begun and not self.cursor

    def go_on(self, server: redis.Server, prefix: str, seconds: float) -> None:
        """Measures slices until the time is up; one at least."""
        started = time.monotonic()
        while not self.over:
            found = redis.measure_slice(server, prefix, self.cursor)
            self.begun, self.cursor = True, found.cursor
            self.keys += len(found.sizes)
            for key, size in found.sizes:
                if size >= LARGE and key in self.large:
                    continue
                self.large.update({key} if size >= LARGE else ())
                self.sizes[key.partition(":")[0]] += size
            if time.monotonic() >= started + seconds:
                break
        self.busy += time.monotonic() - started


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
        redis.keep_for(server, lock_name(), _rest(walk))
        _finish(server, walk)
    except redis.RedisDown:
        # Logged by the server, once; the next turn begins anew.
        return None
    return None


def _rest(walk: Walk) -> float:
    """Seconds until the next walk: a little less than the interval, or a turn would come just too early; and four times
    what this one took, so that very many keys do not keep a process busy all the time.
    """
    interval: float = settings.INSTANTLITE.housekeeping.interval.total_seconds()
    return max(interval * 0.9, walk.busy * 4)


def lock_name() -> str:
    """A key that no tenant's pattern reaches, and that the walk does not meet."""
    return f"{installation_prefix()[:-1]}:walk"


def _finish(server: redis.Server, walk: Walk) -> None:
    connections = redis.connections(server, installation_prefix())
    caches = Cache.objects.active().only("key_prefix", "connections", "storage_mb")
    alive = {cache.key_prefix: cache for cache in caches}
    open_now = {name: connections.get(name, []) for name in alive}
    changed = Cache.objects.record((name, walk.sizes[name], len(found)) for name, found in open_now.items())
    for cache_id in changed:
        _apply(cache_id)
    surplus = [one.id for name, found in open_now.items() for one in _surplus(alive[name], found)]
    if surplus:
        log.info("ended %d connections above their caches' limits", len(surplus))
        redis.end_connections(server, surplus)
    _remove_strays(server, walk.sizes.keys() - alive.keys())


def _surplus(cache: Cache, found: list[redis.Connection]) -> list[redis.Connection]:
    """The newest above the limit; and those whose own memory, or whose channels, would get around the quota."""
    most = cache.storage_mb * 1_000_000
    greedy = [one for one in found if one.memory > most or one.subscriptions > MOST_SUBSCRIPTIONS]
    return [*greedy, *(one for one in found[cache.connections :] if one not in greedy)]


def _apply(cache_id: UUID) -> None:
    try:
        cache = roles.apply(Cache, cache_id)
    except Gone:
        return
    log.info("cache %s %s", cache.key_prefix, "is over its quota" if cache.confined else "is below its quota again")


def _remove_strays(server: redis.Server, prefixes: set[str]) -> None:
    """Keys whose cache is gone, from our rows too: a restored backup, a drop that was cut off long ago."""
    living = Cache.objects.exclude(state=State.GONE).filter(key_prefix__in=prefixes)
    # One for each walk: each costs a look at all keys.
    for prefix in sorted(prefixes - set(living.values_list("key_prefix", flat=True)))[:1]:
        redis.drop(server, prefix)
        log.warning("removed the keys of %s on Redis: no row names it", prefix)
