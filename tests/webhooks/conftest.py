"""Fixtures for the tests of webhook inboxes."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from webhooks import stream
from webhooks.ingest import ingest


@pytest.fixture(scope="session", autouse=True)
def _all_hang_up(django_db_setup: None) -> Iterator[None]:
    """Before the test database is dropped, which nobody may be connected to by then."""
    yield
    ingest.close()
    stream.hub.end()


@pytest.fixture
def operator(client: Client, transactional_db: None) -> Client:
    """A superuser in admin."""
    client.force_login(User.objects.create_superuser("operator"))
    cache.clear()
    return client
