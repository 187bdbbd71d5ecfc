"""Fixtures that the whole suite shares."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from rest_framework.test import APIClient

from instantlite.resource import State
from provisioning import connections, pool, postgres
from provisioning.models import Cluster, Database
from tests.folders import open_folder
from tests.redis_server import RedisServer, program
from tests.service import Service


@pytest.fixture(scope="session", autouse=True)
def _no_connection_outlives_the_run() -> Iterator[None]:
    yield
    connections.close_all()


@pytest.fixture
def api() -> APIClient:
    """Calls our views without a socket between."""
    return APIClient(enforce_csrf_checks=True)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that this process sends to any PostgreSQL, through Django or past it, as it is sent."""
    sent: list[str] = []
    execute: Any = psycopg.Cursor.execute

    def recorded(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(query if isinstance(query, str) else str(query))
        return execute(cursor, query, *arguments, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", recorded)
    return sent


@pytest.fixture
def platform(transactional_db: None) -> Iterator[None]:
    """Empty tables, real commits, and a cluster row; whatever the test made on the clusters is dropped after it."""
    Cluster.objects.sync()
    yield
    for row in Cluster.objects.filter(name__in=settings.CLUSTERS):
        cluster = connections.to(row.name)
        held = postgres.inventory(cluster, row.prefix)
        for name in held.databases | held.roles:
            postgres.drop(cluster, name)


@pytest.fixture
def full_pool(platform: None) -> int:
    """A pool as full as it is configured to be; its size."""
    while pool.refill_one():
        pass
    return Database.objects.pooled().filter(state=State.READY).count()


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """One running service for all tests that leave it as they found it."""
    with open_folder() as folder:
        running = Service(folder).start()
        yield running
        running.close()


@pytest.fixture(scope="session")
def redis_servers() -> Iterator[Callable[[str], RedisServer]]:
    """Gives the Redis of a version, started when it is first asked for."""
    started: dict[str, RedisServer] = {}
    with open_folder() as folder:

        def get(version: str) -> RedisServer:
            if program(version) is None:
                if os.environ.get("CI") == "true":
                    pytest.fail(f"Redis {version} is not installed, and CI must have it")
                pytest.skip(f"Redis {version} is not installed here (Debian's package redis-server); CI has it")
            if version not in started:
                started[version] = RedisServer(folder, version).start()
            return started[version]

        yield get
        for server in started.values():
            server.kill()


@pytest.fixture
def own_service() -> Iterator[Service]:
    """A service of the test's own, not started yet, whose processes are killed and started at will."""
    with open_folder() as folder:
        own = Service(folder)
        yield own
        own.close()


@pytest.fixture
def durable_service() -> Iterator[Service]:
    """The same, and committed means on disk: for tests that kill PostgreSQL itself."""
    with open_folder(on_disk=True) as folder:
        own = Service(folder, {"durable": "yes"})
        yield own
        own.close()
