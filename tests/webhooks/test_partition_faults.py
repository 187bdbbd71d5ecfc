"""A day is dropped while others read, capture, vacuum, die, or drop it too: nobody waits, and nothing is left."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import Error as DatabaseError
from django.db import connection

from instantlite import platformdb
from instantlite.resource import State
from tests.service import wait_for
from tests.webhooks import sending
from tests.webhooks.days import DAY, ask, closing, existing, make, midnight, reading, take_in, today
from tests.webhooks.sending import capture, stored
from webhooks import partitions
from webhooks.ingest import Ingest
from webhooks.models import CapturedRequest, Endpoint

pytestmark = pytest.mark.usefixtures("_days_as_they_were")

WAITING = "FROM pg_stat_activity WHERE query ~ '^ALTER.*DETACH' AND wait_event_type = 'Lock'"


@pytest.fixture
def old() -> str:
    inbox = sending.endpoint(created_at=midnight(-10))
    table = make(today() - 10 * DAY)
    take_in(midnight(-10), inbox.pk)
    Endpoint.objects.filter(pk=inbox.pk).update(state=State.GONE)
    return table


def begin() -> tuple[threading.Thread, list[str | Exception | None]]:
    """The step in a thread, which waits for a reader; what it says at the end."""
    said: list[str | Exception | None] = []

    def run() -> None:
        try:
            said.append(closing(partitions.drop_one))
        except DatabaseError as error:
            said.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: ask(f"SELECT 1 {WAITING}"), what="the step to wait")
    return thread, said


def test_a_reader_who_takes_long_is_waited_for_and_nobody_else_waits(
    old: str, ingest: Ingest, endpoint: Endpoint
) -> None:
    with reading():
        thread, said = begin()
        assert ingest.submit(capture(endpoint.pk)).outcome == "stored"
        assert len(stored(endpoint.pk)) == 1
        assert CapturedRequest.objects.count() == 1
        assert Endpoint.objects.all().trim_one() is None
        assert said == []
    thread.join()
    assert said == [f"dropped the requests of {today() - 10 * DAY}"]
    assert old not in existing()


def test_vacuum_on_that_day_is_waited_for_and_nobody_else_waits(old: str, ingest: Ingest, endpoint: Endpoint) -> None:
    """(auto)vacuum and analyze hold this lock."""
    with platformdb.connect("test vacuum") as vacuum, vacuum.transaction():
        vacuum.execute(f"LOCK TABLE {old} IN SHARE UPDATE EXCLUSIVE MODE".encode())
        thread, said = begin()
        assert ingest.submit(capture(endpoint.pk)).outcome == "stored"
        assert len(stored(endpoint.pk)) == 1
        assert said == []
    thread.join()
    assert said == [f"dropped the requests of {today() - 10 * DAY}"]


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
def test_one_that_was_interrupted_is_finished_by_the_next(old: str, end: str) -> None:
    with reading():
        thread, said = begin()
        assert ask(f"SELECT {end}(pid) {WAITING}") == [(True,)]
        thread.join()
    assert isinstance(said[0], DatabaseError)
    assert [(one.attached, one.pending) for one in partitions.partitions() if one.name == old] == [(True, True)]
    assert partitions.drop_one() == f"dropped the requests of {today() - 10 * DAY}"
    assert old not in existing()
    assert ask("SHOW statement_timeout") == [("0",)]
    assert ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_while_one_is_pending_days_are_made_and_requests_are_stored(
    old: str, ingest: Ingest, endpoint: Endpoint
) -> None:
    with reading():
        thread, _ = begin()
        ask(f"SELECT pg_cancel_backend(pid) {WAITING}")
        thread.join()
        assert ingest.submit(capture(endpoint.pk)).outcome == "stored"
        make(today() - 11 * DAY)
    assert [partitions.drop_one(), partitions.drop_one()] != [None, None]
    assert old not in existing()


def test_a_table_that_was_left_without_a_parent_is_dropped(old: str) -> None:
    ask(f"ALTER TABLE {partitions.PARENT} DETACH PARTITION {old}")
    assert partitions.drop_one() == f"dropped the requests of {today() - 10 * DAY}"
    assert old not in existing()


def test_a_day_that_another_instance_drops_after_it_was_seen_is_not_dropped_again(
    old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = partitions._over

    def then_another_comes() -> list[partitions.Partition]:
        seen = look()
        monkeypatch.setattr(partitions, "_over", look)
        assert partitions.drop_one() == f"dropped the requests of {today() - 10 * DAY}"
        return seen

    monkeypatch.setattr(partitions, "_over", then_another_comes)
    assert partitions.drop_one() is None


def test_two_instances_share_the_work(old: str) -> None:
    for days in range(11, 17):
        make(today() - days * DAY)

    def until_done(_: int) -> list[str]:
        said = []
        try:
            while any(one.end < midnight() for one in partitions.partitions()):
                said.append(partitions.drop_one())
        finally:
            connection.close()
        return [one for one in said if one]

    with ThreadPoolExecutor(2) as pool:
        said = [one for worker in pool.map(until_done, range(2)) for one in worker]
    assert sorted(said) == sorted(f"dropped the requests of {today() - days * DAY}" for days in range(10, 17))
