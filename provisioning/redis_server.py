"""The tenants' Redis as a server: where it is, whether it answers, what it understands."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from instantlite.config.urls import redis_address
from instantlite.logs import first_line
from provisioning import grants
from provisioning.servers import ServerDown

log = logging.getLogger("instantlite.redis")


# How long the reaper waits for one answer of a Redis that tenants keep busy with slow commands.
PATIENCE_SECONDS = 60.0


class RedisDown(ServerDown):
    """Redis is away, or does not let us do our work."""


class OpenRedis(RedisDown):
    """It asks nobody for a password: a tenant's connection is its administrator's after one RESET."""


class NoRedis(RedisDown):
    """None is configured."""


@dataclass
class Server:
    """One Redis. `timeout` bounds each wait for it; after a failure it is left alone for `down_for`, in seconds."""

    url: str
    timeout: float
    down_for: float
    _client: Any = field(init=False)
    _patient: Any = field(init=False)
    _commands: frozenset[str] = frozenset()
    _version: tuple[int, ...] = ()
    _closed: bool = False
    _down_until: float = 0.0
    _reason: str = ""

    def __post_init__(self) -> None:
        self._client = self._connect(self.timeout)
        self._patient = self._connect(PATIENCE_SECONDS)

    def _connect(self, timeout: float) -> Any:
        # Tenants are on database 0, so we are, whatever number the URL has: SCAN sees only its connection's.
        options: dict[str, Any] = {**parse_url(self.url), "db": 0}  # type: ignore[no-untyped-call]  # redis-py has none
        pool = redis.ConnectionPool(
            **options,
            socket_timeout=timeout,
            socket_connect_timeout=self.timeout,
            # redis-py would try ten times; a caller should learn at once that Redis is away.
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            # Tenants' keys are any bytes; these come back as the bytes that they were.
            encoding_errors="surrogateescape",
            protocol=2,
            driver_info=None,
            client_name="instantlite",
        )
        client = redis.Redis(connection_pool=pool)
        # redis-py's own reading of COMMAND leaves the subcommands out.
        client.set_response_callback("COMMAND", lambda reply, **_: reply)
        return client

    @property
    def left_alone(self) -> bool:
        """Whether it failed a moment ago."""
        return time.monotonic() < self._down_until

    def require(self) -> None:
        """Raises RedisDown while it is left alone; asks nothing of it."""
        if self.left_alone:
            raise RedisDown(self._reason)

    @contextmanager
    def use(self, *, patient: bool = False) -> Iterator[Any]:
        """A client for a few commands. Raises RedisDown for everything that Redis answers with an error.

        `patient`: for work that nobody waits for, and that a tenant who keeps Redis busy must not be able to put off.
        """
        self.require()
        try:
            yield self._patient if patient else self._client
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise self._went_down(error) from error
        except redis.RedisError as error:
            if "Unknown command or category" in str(error):
                # Another version runs there now: what it knows is asked again the next time.
                self._commands = frozenset()
            raise RedisDown(_advice(error)) from error
        if self._reason:
            log.warning("Redis for caches answers again")
            self._reason = ""

    def granted(self, *, confined: bool) -> tuple[str, ...]:
        """What tenants may send to it. Asked of the server once: two round trips the first time, then none."""
        if not self._commands:
            self._version = self.version()
            self._commands = frozenset(_names(self._client.execute_command("COMMAND")))
        return grants.granted(self._commands, self._version, confined=confined)

    def version(self) -> tuple[int, ...]:
        """As it says itself; Valkey says which Redis it stands in for."""
        return tuple(int(part) for part in self._client.info("server")["redis_version"].split(".") if part.isdigit())

    def require_password(self) -> None:
        """Raises OpenRedis where anybody may be administrator. Asked of the server until it was found closed."""
        self._closed = self._closed or not self.is_open()
        if not self._closed:
            raise OpenRedis("anybody who reaches Redis is its administrator")

    def is_open(self) -> bool:
        """Whether the user default is on and needs no password: RESET, or a connection without a login, is enough."""
        with self.use() as client:
            default = client.acl_getuser("default") or {}
        return bool(default.get("enabled")) and "nopass" in default.get("flags", ())

    def found_open(self) -> None:
        """Somebody has opened it since."""
        self._closed = False

    def forget_commands(self) -> None:
        """After a restart, which may have been an upgrade."""
        self._commands = frozenset()

    def close(self) -> None:
        """Closes the connections."""
        for client in (self._client, self._patient):
            client.connection_pool.disconnect()

    def _went_down(self, error: Exception) -> RedisDown:
        reason = _advice(error)
        if not self._reason:
            log.warning("Redis for caches is left alone for a moment: %s", reason)
        self._reason = reason
        self._down_until = time.monotonic() + self.down_for
        return RedisDown(reason)


def _names(reply: list[list[Any]]) -> Iterator[str]:
    """The names in COMMAND's reply; from 7.0 on the tenth element of each lists its subcommands in the same form."""
    for command in reply:
        yield command[0].lower()
        yield from (sub[0].lower() for sub in (command[9] if len(command) > 9 else ()))


def _advice(error: Exception) -> str:
    """What an operator reads of an error of Redis: which has no password in it."""
    says = first_line(error)
    match error:
        case redis.AuthenticationError() | redis.exceptions.AuthorizationError():
            return f"Redis refuses our login: {says}"
        case redis.exceptions.NoPermissionError():
            return f"our user may not do this on Redis: {says} (manage.py checkcache says what is missing)"
        case redis.OutOfMemoryError():
            return "Redis is full: it takes no writes (maxmemory)"
        case redis.ReadOnlyError():
            return "this Redis is a replica; name the primary"
        case redis.ResponseError() if "unknown command" in says.lower() and "acl" in says.lower():
            return f"this Redis has no users; 6.2 is the oldest that works: {says}"
    return says


_server: Server | None = None
_making = threading.Lock()


def url() -> str:
    """The tenants' Redis in the configuration; empty without one."""
    named: str = settings.INSTANTLITE.redis.tenants_url
    return named


def configured() -> bool:
    """Whether there is a Redis to make caches on."""
    return bool(url())


def tenants() -> Server:
    """This process's server, made when it is first asked for, and so after the fork. Raises NoRedis."""
    global _server  # noqa: PLW0603 — one server per process
    named = url()
    if not named:
        raise NoRedis("no Redis is configured")
    config = settings.INSTANTLITE.redis
    with _making:
        if _server is None or _server.url != named:
            if _server:
                _server.close()
            _server = Server(named, config.timeout.total_seconds(), config.down_for.total_seconds())
        return _server


def within_reach() -> bool:
    """Configured, and not found to be down a moment ago."""
    return configured() and not tenants().left_alone


def close() -> None:
    """Closes this process's connections; what was known of the server is forgotten."""
    global _server  # noqa: PLW0603 — as above
    with _making:
        if _server:
            _server.close()
        _server = None


def public_url(name: str, password: str) -> str:
    """What a tenant connects with: `redis://`, or `rediss://` where our own URL speaks TLS. Raises NoRedis."""
    named = url()
    if not named:
        raise NoRedis("no Redis is configured")
    config = settings.INSTANTLITE.redis
    host, port = redis_address(named)
    host = config.public_host or host
    shown = f"[{host}]" if ":" in host else host
    scheme = "rediss" if named.startswith("rediss://") else "redis"
    return f"{scheme}://{name}:{password}@{shown}:{config.public_port or port}/0"
