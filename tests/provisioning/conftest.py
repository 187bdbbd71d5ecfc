"""Clusters and Redis servers of every version that we promise to work on."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pytest_django.fixtures import Settings

from instantlite import embedded
from instantlite.config import ClusterConfig
from instantlite.embedded import EmbeddedServer
from provisioning import connections, postgres, redis_server
from provisioning.connections import ClusterConnections
from tests.folders import open_folder
from tests.redis_server import RedisServer

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")


@dataclass(frozen=True)
class Cluster:
    """A real server with the roles that `make run` gives it."""

    version: int
    urls: embedded.Urls
    server: EmbeddedServer

    @property
    def config(self) -> ClusterConfig:
        address = urlsplit(self.urls.customer)
        return ClusterConfig(
            name=f"v{self.version}",
            url=self.urls.customer,
            public_host=address.hostname or "",
            public_port=address.port or 0,
        )

    def admin(self) -> ClusterConnections:
        """Connections as the provisioner; opened and closed outside of the process's own."""
        return ClusterConnections(f"v{self.version}", self.urls.customer, most=3, connect_timeout=3)


@pytest.fixture(scope="session")
def clusters() -> Iterator[Callable[[int], Cluster]]:
    """Gives the cluster of a version, started when it is first asked for."""
    started: dict[int, Cluster] = {}
    stack = ExitStack()

    def get(version: int) -> Cluster:
        if version == 15 and not DEBIAN_15.is_dir():
            pytest.skip("PostgreSQL 15 is not installed here (Debian's package postgresql-15); CI has it")
        if version not in started:
            folder = stack.enter_context(open_folder())
            server = EmbeddedServer(
                folder, version=version, durable=False, bin_dir=DEBIAN_15 if version == 15 else None
            )
            started[version] = Cluster(version, server.start(), server)
        return started[version]

    yield get
    for cluster in started.values():
        cluster.server.stop()
    stack.close()


@pytest.fixture(params=[15, 16, 18])
def cluster(request: pytest.FixtureRequest, clusters: Callable[[int], Cluster]) -> Cluster:
    """Each test runs once on every version."""
    return clusters(request.param)


@pytest.fixture
def two_clusters(
    clusters: Callable[[int], Cluster], settings: Settings, transactional_db: None
) -> Iterator[list[Cluster]]:
    """A configuration with two clusters, of versions 16 and 18."""
    from provisioning.models import Cluster as Row  # noqa: PLC0415 — importable once Django is set up

    both = [clusters(16), clusters(18)]
    settings.CLUSTERS = {one.config.name: one.config for one in both}
    Row.objects.sync()
    yield both
    for row in Row.objects.filter(name__in=settings.CLUSTERS):
        admin: Any = connections.to(row.name)
        held = postgres.inventory(admin, row.prefix)
        for name in held.databases | held.roles:
            postgres.drop(admin, name)


def use_redis(settings: Settings, url: str, **options: Any) -> None:
    """Configures the tenants' Redis; what this process knew of another one is forgotten."""
    redis_server.close()
    settings.INSTANTLITE = replace(
        settings.INSTANTLITE, redis=replace(settings.INSTANTLITE.redis, customer_url=url, **options)
    )


@pytest.fixture
def _a_fresh_look(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What housekeeping remembers in a process is as after its start."""
    from provisioning import caches, sampling  # noqa: PLC0415 — importable once Django is set up

    monkeypatch.setattr(caches, "_seen", caches._Seen())
    monkeypatch.setattr(sampling, "_walk", None)
    yield
    redis_server.close()


@pytest.fixture(params=["6.2", "7.0"])
def tenants_redis(
    request: pytest.FixtureRequest,
    redis_servers: Callable[[str], RedisServer],
    settings: Settings,
    transactional_db: None,
    _a_fresh_look: None,
) -> Iterator[RedisServer]:
    """Each test runs once on every version, against an empty server that the configuration names."""
    server = redis_servers(request.param)
    use_redis(settings, server.url)
    yield server
    with server.client() as admin:
        admin.flushall()
        for name in set(admin.acl_users()) - {"default"}:
            admin.acl_deluser(name)
        admin.config_set("maxmemory", "0")


@pytest.fixture
def own_redis(settings: Settings, transactional_db: None, _a_fresh_look: None) -> Iterator[RedisServer]:
    """A Redis of the test's own, killed, frozen and started at will; tried again at once after a failure."""
    with open_folder() as folder:
        server = RedisServer(folder).start()
        use_redis(settings, server.url, timeout=timedelta(seconds=1), down_for=timedelta(0))
        yield server
        server.kill()
