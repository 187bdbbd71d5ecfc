"""Inboxes to send to: in this process, and in a running service."""

from collections.abc import Iterator

import pytest

from tests.ratelimit.conftest import own_redis, with_redis
from tests.service import Service
from tests.webhooks import sending
from webhooks import views
from webhooks.ingest import Ingest
from webhooks.models import Endpoint

__all__ = ["endpoint", "inbox", "ingest", "own_redis", "with_redis"]


@pytest.fixture
def endpoint(transactional_db: None) -> Endpoint:
    """An inbox in this process's database."""
    return sending.endpoint()


@pytest.fixture
def ingest(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ingest]:
    """A queue and a writer of the test's own, behind the receive URL too; they end with it."""
    own = Ingest()
    monkeypatch.setattr(views, "ingest", own)
    yield own
    own.stop()


@pytest.fixture
def inbox(service: Service) -> sending.Inbox:
    """An inbox of the running service."""
    return sending.Inbox.of(service)
