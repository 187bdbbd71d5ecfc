"""Limiters side by side: ours on both stores, DRF's own throttle on both caches, and the library `limits` on Redis.

Each takes one unit of one key. Import it once Django is set up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import limits as library
from django.core.cache import caches
from django.db import connection
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from redis import Redis
from rest_framework.throttling import SimpleRateThrottle

from instantlite import redislink
from instantlite.caching import DATABASE
from instantlite.config import Rate
from ratelimit.gcra import Charge
from ratelimit.stores import PostgresStore, RedisStore, Store


@dataclass(frozen=True)
class Contender:
    """`take` charges a key once and says whether it was admitted; `server` is where its round trips go."""

    name: str
    server: str
    take: Callable[[str], bool]


def ours(store: Store, server: str, burst: int, number: int = 1) -> Contender:
    """Our limiter. `number`: how many limits are decided together."""
    rates = [Rate(1, timedelta(days=1), burst=burst)] * number

    def take(key: str) -> bool:
        return store.charge([Charge(f"limit{place}", key, rate) for place, rate in enumerate(rates)]).allowed

    together = "" if number == 1 else f", {number} limits together"
    return Contender(f"ours, {server}{together}", server, take)


def drf(alias: str, server: str, burst: int) -> Contender:
    """rest_framework.throttling.SimpleRateThrottle: reads a list of times, appends to it, writes it back."""

    class Throttle(SimpleRateThrottle):
        cache = caches[alias]
        rate = f"{burst}/day"

        def get_cache_key(self, request: Any, view: Any) -> str:
            return f"drf-{request}"

    def take(key: str) -> bool:
        Throttle.cache = caches[alias]  # a cache belongs to a thread
        return bool(Throttle().allow_request(key, None))  # type: ignore[arg-type]  # the key is all that it is asked for

    return Contender(f"DRF's throttle, {server}", server, take)


def limits_library(url: str, strategy: type[Any], burst: int) -> Contender:
    """The package `limits` with one of its strategies."""
    limiter = strategy(library.storage.storage_from_string(url))
    item = library.RateLimitItemPerDay(burst)
    name = strategy.__name__.removesuffix("RateLimiter")
    # Strategies keep different things under one key.
    return Contender(f"limits, {name}", "redis", lambda key: bool(limiter.hit(item, name, key)))


def contenders(redis_url: str, burst: int) -> list[Contender]:
    """All of them, with a limit of `burst` a day."""
    client: Redis = redislink.link._connect()
    return [
        ours(PostgresStore(), "postgresql", burst),
        ours(PostgresStore(), "postgresql", burst, 2),
        ours(RedisStore(client), "redis", burst),
        ours(RedisStore(client), "redis", burst, 2),
        drf(DATABASE, "postgresql", burst),
        drf(redislink.ALIAS, "redis", burst),
        limits_library(redis_url, FixedWindowRateLimiter, burst),
        limits_library(redis_url, MovingWindowRateLimiter, burst),
    ]


def bare_postgres() -> None:
    """One round trip the way that ours makes it: Django's connection, its cursor, a statement, a row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


def bare_psycopg() -> None:
    """One round trip without Django between."""
    connection.connection.execute("SELECT 1").fetchone()


def bare_redis() -> None:
    """One round trip the way that ours makes it."""
    redislink.link._connect().ping()
