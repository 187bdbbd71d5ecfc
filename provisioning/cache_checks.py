"""What a Redis lacks to be a good home for tenants, in plain words, with the commands that mend it."""

import time
from collections.abc import Iterator
from typing import Any

import redis as redis_py

from provisioning import redis
from provisioning.checks import Finding
from provisioning.models import installation_prefix, random_word

OLDEST_VERSION = (6, 2)
# Client eviction (maxmemory-clients) frees a blocked client that is still in use: CVE-2026-23479.
_EVICTION_BROKEN = ((7, 2), (8, 6, 3))
_MB = 1024 * 1024
# All that our own user needs, beside being on and having a password.
OUR_RIGHTS = (
    "~il_* +acl +client +info +command +config|get +scan +unlink +memory +set +get +pexpire +ping +hello +auth +select"
)


def check() -> Iterator[Finding]:
    """Every finding: what the server says of itself, then a trial: a cache made, used by a tenant, dropped."""
    try:
        server = redis.tenants()
        with server.use() as admin:
            version = server.version()
            yield from _version(admin, version)
            yield _default_user(server)
            try:
                yield from _memory(admin)
                yield from _clients(admin, version)
            except redis_py.ResponseError as error:
                yield Finding(False, f"its memory limits could not be looked at: {error}")
    except redis.RedisDown as error:
        yield Finding(False, f"does not let us look: {error}")
        return
    yield from _trial(server)


def _version(admin: Any, version: tuple[int, ...]) -> Iterator[Finding]:
    said = ".".join(map(str, version))
    yield Finding(version >= OLDEST_VERSION, f"Redis {said}; 6.2 is the oldest that works")
    if admin.info("replication")["role"] != "master":
        yield Finding(False, "this Redis is a replica; name the primary")


def _default_user(server: redis.Server) -> Finding:
    if not server.is_open():
        return Finding(True, "nobody gets in without a password")
    return Finding(
        False,
        "EVERY TENANT IS ADMINISTRATOR: the user default is on and has no password, so whoever reaches the port "
        "may read and delete everything",
        "ACL SETUSER default resetpass >a-long-random-password   # or: CONFIG SET requirepass …; then keep it: "
        "requirepass in redis.conf, and in redis.customer_url",
    )


def _memory(admin: Any) -> Iterator[Finding]:
    most = int(_config(admin, "maxmemory") or 0)
    yield Finding(
        most > 0,
        f"maxmemory is {most // _MB} MB" if most else "maxmemory is not set: tenants can take the machine's memory",
        "" if most else "CONFIG SET maxmemory 1gb",
    )
    policy = _config(admin, "maxmemory-policy")
    good = policy == "noeviction"
    says = f"maxmemory-policy is {policy}"
    yield Finding(
        good,
        says if good else f"{says}: one tenant's data pushes out another's",
        "" if good else "CONFIG SET maxmemory-policy noeviction",
    )


def _clients(admin: Any, version: tuple[int, ...]) -> Iterator[Finding]:
    # "normal 0 0 0 slave … pubsub …": hard limit, soft limit, seconds of each class.
    words = _config(admin, "client-output-buffer-limit").split()
    hard = int(words[words.index("normal") + 1]) if "normal" in words else 0
    yield Finding(
        hard > 0,
        f"a connection's answers may take {hard // _MB} MB"
        if hard
        else "a tenant that does not read its answers can take the server's memory",
        "" if hard else 'CONFIG SET client-output-buffer-limit "normal 64mb 32mb 30"',
    )
    bulk = int(_config(admin, "proto-max-bulk-len") or 0)
    yield Finding(
        bulk <= 4 * _MB,
        f"one value may have {bulk // _MB} MB",
        "" if bulk <= 4 * _MB else "CONFIG SET proto-max-bulk-len 4mb",
    )
    yield from _eviction(admin, version)


def _eviction(admin: Any, version: tuple[int, ...]) -> Iterator[Finding]:
    """What all clients may take together, from 7.0 on."""
    if version < (7, 0):
        return
    limit = _config(admin, "maxmemory-clients")
    broken = _EVICTION_BROKEN[0] <= version < _EVICTION_BROKEN[1]
    if broken and limit != "0":
        yield Finding(
            False, "maxmemory-clients has a fault before Redis 8.6.3: upgrade", "CONFIG SET maxmemory-clients 0"
        )
    elif not broken:
        yield Finding(
            limit != "0",
            "the memory of all connections together is bounded"
            if limit != "0"
            else "maxmemory-clients is not set: connections together can take the memory of the data",
            "" if limit != "0" else "CONFIG SET maxmemory-clients 20%",
        )


def _config(admin: Any, name: str) -> str:
    return str(admin.config_get(name).get(name, ""))


def _trial(server: redis.Server) -> Iterator[Finding]:
    """Does what handing out does, under a name of its own, and looks at the result as a tenant does."""
    name = f"{installation_prefix()}trial{random_word(6)}"
    secret = random_word(40)
    try:
        started = time.monotonic()
        redis.create_user(server, name, secret)
        took = (time.monotonic() - started) * 1000
        yield Finding(True, f"a trial cache was made in {took:.0f} ms")
        yield from _as_tenant(name, secret)
    except redis.RedisDown as error:
        yield Finding(False, f"a trial cache could not be made: {error}", _rights(str(error)))
    finally:
        try:
            redis.drop(server, name)
        except redis.RedisDown as error:
            yield Finding(False, f"the trial cache {name} could not be dropped: {error}")


def _rights(error: str) -> str:
    return f"ACL SETUSER <the user of our URL> {OUR_RIGHTS}" if "may not do this" in error else ""


def _as_tenant(name: str, secret: str) -> Iterator[Finding]:
    url = redis.public_url(name, secret)
    address = url.rpartition("@")[2]
    try:
        with redis_py.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as tenant:
            tenant.set(f"{name}:k", "v")
            yield Finding(True, f"a tenant can log in at {address}")
            try:
                tenant.get("k")
                yield Finding(False, "a tenant can read a key that is not its own")
            except redis_py.exceptions.NoPermissionError:
                yield Finding(True, "a tenant reaches its own keys only")
    except redis_py.RedisError as error:
        yield Finding(False, f"a tenant cannot log in at the public address {address}: {error}")
