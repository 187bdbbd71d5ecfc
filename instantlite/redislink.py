"""The Redis beside us: it makes things faster, it is never required, and it may vanish while we run.

One link per process says whether Redis is in use. Whoever meets an error tells the link, and does the same with
PostgreSQL in the same request. Redis is then left alone for a few seconds, so that requests do not each wait for a
server that does not answer, and tried again beside the requests, never by one of them.
"""

import logging
import threading
import time
from typing import Any

from django.conf import settings
from django_redis import get_redis_connection
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from instantlite import telemetry

log = logging.getLogger("instantlite.redis")

# The alias in settings.CACHES whose connections the link hands out.
ALIAS = "redis"
# What a healthy Redis takes is a fraction of a millisecond; a request that meets a frozen one waits this long, once.
TIMEOUT_SECONDS = 0.2
# What a call to Redis can raise: its own errors (refused, timed out, out of memory, loading) and the socket's.
FAILURES = (RedisError, OSError)

_PROBE_KEY = "instantlite:probe"
_PROBE = "return redis.call('SET', KEYS[1], '1', 'PX', 1000)"


def cache_backend(url: str) -> dict[str, Any]:
    """The entry of settings.CACHES for the Redis at `url`: short timeouts, and no retry, which would multiply them."""
    return {
        "BACKEND": "instantlite.caching.OwnKeysCache",
        "LOCATION": url,
        "KEY_FUNCTION": "instantlite.caching.installation_key",
        "OPTIONS": {
            "SERIALIZER": "instantlite.caching.SignedPickle",
            "SOCKET_CONNECT_TIMEOUT": TIMEOUT_SECONDS,
            "SOCKET_TIMEOUT": TIMEOUT_SECONDS,
            "CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 0)},
        },
    }


class Link:
    """Whether Redis is in use by this process. Safe to ask from any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lost_at: float | None = None  # time.monotonic()
        self._next_probe = 0.0
        self._probing = False
        self._client: tuple[str, Redis] | None = None

    @property
    def configured(self) -> bool:
        """Whether the configuration names a Redis at all."""
        return ALIAS in settings.CACHES

    def client(self) -> Redis | None:
        """Redis, for a call or a few; None while it is left alone, or when there is none.

        Errors of the calls are in FAILURES, and go to lost().
        """
        if not self.configured:
            return None
        if self._lost_at is not None:
            self._probe_when_due()
            return None
        return self._connect()

    def _connect(self) -> Redis:
        """One client for all threads: Django keeps its caches by thread, and under gevent each request is one."""
        url = settings.CACHES[ALIAS]["LOCATION"]
        if self._client is None or self._client[0] != url:
            self._client = (url, get_redis_connection(ALIAS))
        return self._client[1]

    def lost(self, error: Exception) -> None:
        """A call failed: Redis is left alone. The first to notice logs and counts the change of side."""
        with self._lock:
            if self._lost_at is not None:
                return
            self._lost_at = time.monotonic()
            self._next_probe = self._lost_at + self._down_for
        telemetry.REDIS_SWITCHES.add(to="postgresql")
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        log.warning("Redis failed, PostgreSQL stands in for limits and cache: %s", reason)

    def found(self) -> None:
        """Redis answers again."""
        with self._lock:
            if self._lost_at is None:
                return
            seconds = time.monotonic() - self._lost_at
            self._lost_at = None
        telemetry.REDIS_SWITCHES.add(to="redis")
        log.warning("Redis answers again after %.0f s, limits and cache are back on it", seconds)

    def check(self) -> str:
        """`ok`, or in words since when not, for a probe of the service: the reason, and where Redis is, is in the log.

        Asks Redis, unless it is left alone.
        """
        client = self.client()
        if client is not None:
            try:
                client.ping()
            except FAILURES as error:
                self.lost(error)
        lost_at = self._lost_at
        return "ok" if lost_at is None else f"failed {time.monotonic() - lost_at:.0f} s ago, PostgreSQL stands in"

    @property
    def _down_for(self) -> float:
        seconds: float = settings.INSTANTLITE.redis.down_for.total_seconds()
        return seconds

    def _probe_when_due(self) -> None:
        """Starts one probe in a thread of its own, so that the request that notices does not wait for it."""
        with self._lock:
            if self._probing or self._lost_at is None or time.monotonic() < self._next_probe:
                return
            self._probing = True
        try:
            threading.Thread(target=self._probe, name="redis-probe", daemon=True).start()
        except RuntimeError:  # no more threads
            self._probing = False

    def _probe(self) -> None:
        """A script that writes, as the limiter's do: PING is answered by a full Redis too, and by a replica."""
        try:
            self._connect().eval(_PROBE, 1, _PROBE_KEY)
        except FAILURES as error:
            log.debug("Redis still fails: %s", error)
            with self._lock:
                self._next_probe = time.monotonic() + self._down_for
        else:
            self.found()
        finally:
            with self._lock:
                self._probing = False


link = Link()
