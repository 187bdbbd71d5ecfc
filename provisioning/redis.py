"""Every command with which tenants on Redis are made, changed, measured and dropped. Knows no models.

Each tenant is a user of Redis's own (ACL, Redis 6.2 and newer) whose name is also the prefix of its keys and channels.
Redis is told the SHA-256 of a password, which has 256 bits of chance: the password itself never leaves this process.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import redis

from provisioning.redis_server import (
    NoRedis,
    OpenRedis,
    RedisDown,
    Server,
    configured,
    public_url,
    tenants,
    within_reach,
)

__all__ = ["NoRedis", "OpenRedis", "RedisDown", "Server", "configured", "public_url", "tenants", "within_reach"]

# Keys in one command, each a fraction of a millisecond of Redis's only thread.
SLICE = 100
_LOCK_MILLISECONDS = 30_000


@dataclass(frozen=True)
class Inventory:
    """The users under a prefix, each with the hashes of its passwords; whether anybody may be administrator."""

    users: dict[str, frozenset[str]]
    default_is_open: bool


def password_hash(password: str) -> str:
    """What Redis is told instead of a password."""
    return hashlib.sha256(password.encode()).hexdigest()


def create_user(server: Server, name: str, password: str) -> None:
    """A tenant's user, in one round trip. Raises RedisDown, also where Redis takes no writes: full, or a replica.

    ACL SETUSER is no write, so a key of ours is written with it.
    """
    with server.use() as client:
        pipeline = client.pipeline(transaction=False)
        pipeline.set(f"{name[:8]}:room", "", px=1)
        pipeline.execute_command("ACL SETUSER", *_rules(server, name, password, confined=False))
        pipeline.execute()


def set_user(server: Server, name: str, password: str, *, confined: bool, end_connections: bool) -> None:
    """Makes the user what it has to be, whatever it was; safe to run again. `confined`: it may read and delete.

    `end_connections` ends those that logged in with an earlier password.
    """
    with server.use() as client:
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("ACL SETUSER", *_rules(server, name, password, confined=confined))
        if end_connections:
            pipeline.execute_command("CLIENT KILL", "USER", name)
        pipeline.execute()


def _rules(server: Server, name: str, password: str, *, confined: bool) -> list[str]:
    return [
        *(name, "reset", "on", f"#{password_hash(password)}"),
        *("resetkeys", f"~{name}:*", "resetchannels", f"&{name}:*", "-@all"),
        *(f"+{word}" for word in server.granted(confined=confined)),
    ]


def drop(server: Server, name: str, patience: float | None = None) -> bool:
    """Takes a user away, with its connections, then its keys. Whatever part of them exists: safe to run again.

    The user goes first, or a client that reconnects in a loop could go on writing. With `patience`, in seconds, it
    stops after that; False where keys may be left. Without, it waits for a Redis that tenants keep busy.
    """
    deadline = None if patience is None else time.monotonic() + patience
    with server.use(patient=patience is None) as client:
        client.execute_command("ACL DELUSER", name)
        for keys in _slices(client, f"{name}:*"):
            if keys:
                client.unlink(*keys)
            if deadline is not None and time.monotonic() > deadline:
                return False
    return True


def _slices(client: Any, pattern: str) -> Iterator[list[str]]:
    """All keys of a pattern, SLICE at most at a time: SCAN gives what was there all along, some of it twice."""
    cursor, first = 0, True
    while first or cursor:
        first = False
        cursor, keys = _page(client, cursor, pattern)
        for start in range(0, max(1, len(keys)), SLICE):
            yield keys[start : start + SLICE]


def _page(client: Any, cursor: int, pattern: str) -> tuple[int, list[str]]:
    """The next cursor and some keys. Tenants choose the names, and a name may have megabytes: where Redis breaks the
    connection off because the answer is more than its output limit, a smaller page is asked for.
    """
    for count in (SLICE, 10, 1):
        try:
            page: tuple[int, list[str]] = client.scan(cursor, match=pattern, count=count)
        except redis.ConnectionError:
            if count == 1:
                raise
        else:
            break
    return page


def run_id(server: Server) -> str:
    """Changes when Redis is started anew."""
    with server.use() as client:
        return str(client.info("server")["run_id"])


def inventory(server: Server, prefix: str) -> Inventory:
    """Every user whose name starts with `prefix`."""
    users: dict[str, frozenset[str]] = {}
    default_is_open = False
    with server.use() as client:
        lines = client.execute_command("ACL LIST")
    for line in lines:
        _, name, *words = line.split(" ")
        if name == "default":
            default_is_open = "on" in words and "nopass" in words
        elif name.startswith(prefix):
            users[name] = frozenset(word[1:] for word in words if word.startswith("#"))
    return Inventory(users, default_is_open)


@dataclass(frozen=True)
class KeySlice:
    """Some keys of tenants and the bytes that each takes; `cursor` 0 after the last."""

    cursor: int
    sizes: list[tuple[str, int]]


def measure_slice(server: Server, prefix: str, cursor: int) -> KeySlice:
    """The next keys whose name starts with `prefix`, with what Redis says of their memory. Two round trips."""
    with server.use() as client:
        cursor, keys = _page(client, cursor, f"{prefix}*")
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            # All of its elements, not a sample: Redis samples the first ones, and tenants choose which those are.
            pipeline.memory_usage(key, samples=0)
        # None for a key that has gone in between.
        sizes = pipeline.execute() if keys else []
    return KeySlice(cursor, [(key, size or 0) for key, size in zip(keys, sizes, strict=True)])


@dataclass(frozen=True)
class Connection:
    """One connection of a tenant: the bytes of its buffers and queue, and how many channels it listens to."""

    id: int
    memory: int
    subscriptions: int


def connections(server: Server, prefix: str) -> dict[str, list[Connection]]:
    """The connections of each user whose name starts with `prefix`, oldest first."""
    with server.use() as client:
        lines = client.client_list()
    found: dict[str, list[Connection]] = {}
    for line in sorted(lines, key=lambda line: int(line["id"])):
        if line["user"].startswith(prefix):
            subscriptions = sum(int(line.get(kind, 0)) for kind in ("sub", "psub", "ssub"))
            one = Connection(int(line["id"]), int(line.get("tot-mem", 0)), subscriptions)
            found.setdefault(line["user"], []).append(one)
    return found


def end_connections(server: Server, ids: Iterable[int]) -> None:
    """Ends connections by their ids; one that has ended by itself is no error."""
    with server.use() as client:
        pipeline = client.pipeline(transaction=False)
        for one in ids:
            pipeline.execute_command("CLIENT KILL", "ID", one)
        pipeline.execute()


def hold(server: Server, lock: str, holder: str) -> bool:
    """Whether `holder` has the lock, for the next half minute; takes it where it is free."""
    with server.use() as client:
        try:
            if client.set(lock, holder, nx=True, px=_LOCK_MILLISECONDS):
                return True
        except redis.OutOfMemoryError:
            # A full Redis is when what the lock is for has to be done most: rather twice than not at all.
            return True
        return client.get(lock) == holder and bool(client.pexpire(lock, _LOCK_MILLISECONDS))


def keep_for(server: Server, lock: str, seconds: float) -> None:
    """Lets a lock lie for a while, so that nobody does the same work again at once."""
    with server.use() as client:
        client.pexpire(lock, max(1, round(seconds * 1000)))
