"""Caches: handing one out, and keeping Redis's users what the rows say."""

import logging
import time
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError

from instantlite.handing_out import HandedOut, earlier
from instantlite.platformdb import let_go_of_connection
from instantlite.resource import State, Wish
from provisioning import redis, roles
from provisioning.models import Cache, installation_prefix

log = logging.getLogger("instantlite.caches")


def hand_out(wish: Wish) -> HandedOut[Cache]:
    """A cache for `wish`, made there and then: a row, then a user on Redis.

    Raises RedisDown, Mismatch, and for a repeated idempotency key Gone.
    """
    server = redis.tenants()
    server.require()
    if not settings.INSTANTLITE.redis.allow_open:
        server.require_password()
    while True:
        try:
            cache = Cache.objects.start(wish)
        except IntegrityError:
            # No key was taken: a fault of ours, and nothing that is there is this caller's.
            if wish.idempotency_key is None:
                raise
            repeated = earlier(Cache.objects.all(), wish)
            if repeated:
                # The first request may have died before Redis heard of it, so it is told once more: under the row's
                # lock, for the password may be rotated in this very moment.
                Cache.objects.mark_stale([repeated.key_prefix])
                return HandedOut(roles.apply(Cache, repeated.pk), replayed=True)
            continue
        # Nothing is asked of the database while Redis is waited for, nor after it, if all goes well.
        let_go_of_connection()
        try:
            redis.create_user(server, cache.key_prefix, cache.password)
        except redis.RedisDown as error:
            # It may have been done all the same, after our patience ended: the reaper looks.
            Cache.objects.discard(cache.pk, State.ACTIVE, error=str(error))
            raise
        return HandedOut(cache)


@dataclass
class _Seen:
    """When this process compared last, and which run of Redis that was."""

    run_id: str = ""
    due: float = 0.0
    warned: bool = False


_seen = _Seen()


def look_after_users() -> str | None:
    """Compares Redis's users with our rows when Redis was started anew, and from time to time. Says what it mended."""
    if not redis.within_reach():
        return None
    try:
        server = redis.tenants()
        run_id = redis.run_id(server)
        if run_id == _seen.run_id and time.monotonic() < _seen.due:
            return None
        mended = compare(server, restarted=run_id != _seen.run_id)
    except redis.RedisDown:
        return None
    interval = settings.INSTANTLITE.housekeeping.repair_interval
    _seen.run_id, _seen.due = run_id, time.monotonic() + interval.total_seconds()
    return "; ".join(mended) or None


def compare(server: redis.Server, *, restarted: bool) -> list[str]:
    """Mends Redis's users, in the order of repair.repair_cluster(): a row exists before its user does, and a user is
    gone before its row says so. So what Redis held at the look and no living row names afterwards is nobody's; and
    what a row named beforehand and Redis did not hold was lost.

    After a restart every user is set anew: those that an ACL file has brought back may be of any age.
    """
    if restarted:
        server.forget_commands()
    expected = {cache.key_prefix: redis.password_hash(cache.password) for cache in Cache.objects.active()}
    held = redis.inventory(server, installation_prefix())
    _warn_if_open(server, held)
    lines = [_drop_stray(server, name) for name in _strays(held)]
    wrong = [name for name, secret in expected.items() if restarted or held.users.get(name, frozenset()) != {secret}]
    if wrong:
        lines.append(f"{Cache.objects.mark_stale(wrong)} users to be set anew")
    return lines


def _strays(held: redis.Inventory) -> list[str]:
    living = Cache.objects.exclude(state=State.GONE).filter(key_prefix__in=list(held.users))
    return sorted(held.users.keys() - set(living.values_list("key_prefix", flat=True)))


def _drop_stray(server: redis.Server, name: str) -> str:
    redis.drop(server, name)
    log.warning("dropped %s on Redis: no row names it", name)
    return f"dropped stray {name}"


def _warn_if_open(server: redis.Server, held: redis.Inventory) -> None:
    if held.default_is_open:
        server.found_open()
    if held.default_is_open and not _seen.warned:
        log.warning("anybody who reaches Redis is its administrator; manage.py checkcache says how to mend that")
    _seen.warned = held.default_is_open
