"""Fixtures for the tests of webhook inboxes."""

from collections.abc import Iterator

import pytest

from webhooks import stream
from webhooks.ingest import ingest


@pytest.fixture(scope="session", autouse=True)
def _all_hang_up(django_db_setup: None) -> Iterator[None]:
    """Before the test database is dropped, which nobody may be connected to by then."""
    yield
    ingest.close()
    stream.hub.end()
