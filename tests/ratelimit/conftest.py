"""Stores of every kind that we promise to work on, and clocks of the tests' own."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from instantlite import redislink
from instantlite.caching import cache_settings
from ratelimit import stores
from ratelimit.stores import PostgresStore, RedisStore, Store
from tests.folders import open_folder
from tests.redis_server import RedisServer


@pytest.fixture(params=["postgresql", "redis 6.2", "redis 7.0"])
def store(request: pytest.FixtureRequest, redis_servers: Callable[[str], RedisServer], db: None) -> Iterator[Store]:
    """Each test runs once on every store."""
    name, _, version = request.param.partition(" ")
    if name == "postgresql":
        yield PostgresStore()
        return
    with redis_servers(version).client() as client:
        client.flushall()
        yield RedisStore(client)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A running Redis of the test's own, to be killed, frozen and filled."""
    with open_folder() as folder:
        server = RedisServer(folder).start()
        yield server
        server.kill()


@pytest.fixture
def with_redis(own_redis: RedisServer, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """This process's link leads to own_redis, and knows nothing of it yet."""
    configure(settings, redis=own_redis.url)
    monkeypatch.setattr(redislink, "link", fresh := redislink.Link())
    monkeypatch.setattr(stores, "store", stores.FallbackStore(fresh))
    return own_redis


def configure(settings: Settings, redis: str = "", **limits: Any) -> None:
    """Sets the Redis, and limits by name, for one test. Redis is tried again at once when it has failed."""
    config = settings.INSTANTLITE
    settings.INSTANTLITE = replace(config, redis=replace(config.redis, url=redis, down_for=timedelta(0)))
    settings.CACHES = cache_settings(redis)
    limit(settings, **limits)


def limit(settings: Settings, **limits: Any) -> None:
    """Sets limits by name, for one test."""
    config = settings.INSTANTLITE
    settings.INSTANTLITE = replace(config, limits=replace(config.limits, **limits))
