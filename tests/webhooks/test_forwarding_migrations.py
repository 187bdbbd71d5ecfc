"""The tables and functions of forwarding can be taken away and put back; inboxes go on meanwhile."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection

from tests.webhooks import moments, sending
from webhooks.models import Endpoint


@pytest.fixture
def _as_it_was(transactional_db: None) -> Iterator[None]:
    yield
    call_command("migrate", verbosity=0)


def functions() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.oid::regprocedure::text FROM pg_proc p"
            " WHERE p.pronamespace = current_schema()::regnamespace AND p.proname LIKE 'webhooks%%'"
        )
        return {row[0] for row in cursor.fetchall()}


@pytest.mark.usefixtures("_as_it_was")
def test_they_go_back_and_forward(endpoint: Endpoint) -> None:
    moments.destination(endpoint)
    moments.captured(endpoint)
    before = functions()
    call_command("migrate", "webhooks", "0002", verbosity=0)
    assert not {name for name in functions() if "claim" in name or "deleted" in name or "orphans" in name}
    call_command("migrate", "webhooks", "0001", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_tables WHERE tablename IN ('webhooks_delivery', 'webhooks_destination')"
        )
        assert cursor.fetchone() == (0,)
    call_command("migrate", verbosity=0)
    assert functions() == before
    # Requests that came before are there still, and new ones are sent on.
    again = Endpoint.objects.get(pk=endpoint.pk)
    there = moments.destination(again)
    moments.captured(again)
    assert len(sending.stored(again.pk)) == 2
    assert moments.states(there) == ["pending"]
