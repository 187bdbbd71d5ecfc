"""Inboxes to send to: in this process, and in a running service."""

import gc
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from tests.ratelimit.conftest import own_redis, with_redis
from tests.service import Service
from tests.webhooks import sending
from tests.webhooks.moments import Hands, hands
from webhooks import partitions, stream, views
from webhooks.ingest import Ingest
from webhooks.ingest import ingest as shared
from webhooks.models import Endpoint
from webhooks.stream import Hub

__all__ = ["_days_as_they_were", "endpoint", "hub", "inbox", "ingest", "operator", "own_redis", "with_redis"]


@pytest.fixture(scope="session", autouse=True)
def _all_hang_up(django_db_setup: None) -> Iterator[None]:
    """Before the test database is dropped, which nobody may be connected to by then."""
    yield
    shared.stop()
    stream.hub.end()
    # Django's connection of a thread that has ended is in a cycle of references, and open until that is collected.
    gc.collect()


@pytest.fixture
def endpoint(transactional_db: None) -> Endpoint:
    """An inbox in this process's database."""
    return sending.endpoint()


@pytest.fixture
def ingest(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ingest]:
    """A queue and a writer of the test's own, behind the receive URL too; they end with it."""
    # One writer's connection at a time: these tests end it.
    shared.close()
    own = Ingest()
    monkeypatch.setattr(views, "ingest", own)
    yield own
    own.stop()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The process's, for this test."""
    hub = Hub()
    monkeypatch.setattr(stream, "hub", hub)
    yield hub
    hub.end()


@pytest.fixture
def ours(transactional_db: None) -> Iterator[Hands]:
    """A courier's connection."""
    with hands() as made:
        yield made.later()


@pytest.fixture
def theirs(transactional_db: None) -> Iterator[Hands]:
    """Another courier's."""
    with hands() as made:
        yield made.later()


@pytest.fixture
def inbox(service: Service) -> sending.Inbox:
    """An inbox of the running service."""
    return sending.Inbox.of(service)


@pytest.fixture
def operator(client: Client, transactional_db: None) -> Client:
    """A superuser in admin."""
    client.force_login(User.objects.create_superuser("operator"))
    cache.clear()
    return client


@pytest.fixture
def _days_as_they_were(transactional_db: None) -> Iterator[None]:
    """The coming days are there, whichever test is the first; after it past days are dropped, and coming ones made
    again."""
    partitions.make_ahead()
    yield
    Endpoint.objects.all().delete()
    while partitions.drop_one():
        pass
    partitions.make_ahead()
