"""Fixtures that the whole suite shares."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from provisioning import connections, postgres
from provisioning.models import Cluster
from tests.service import Service


@pytest.fixture
def api() -> APIClient:
    """Calls our views without a socket between."""
    return APIClient()


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


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One running service for all tests that leave it as they found it."""
    running = Service(tmp_path_factory.mktemp("service")).start()
    yield running
    running.close()


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[Service]:
    """A service of the test's own, not started yet, to be killed and started at will. Committed means on disk."""
    own = Service(tmp_path, {"durable": "yes"})
    yield own
    own.close()
