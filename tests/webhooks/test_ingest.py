"""Group commit: many requests to a statement, in order; and one that cannot be stored is nobody else's trouble."""

import itertools
from datetime import timedelta

import pytest
from django.db import connection
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from instantlite import platformdb
from instantlite.config import Rate
from instantlite.resource import State
from instantlite.uuid7 import uuid7
from ratelimit import stores
from tests.ratelimit.conftest import limit
from tests.service import wait_for
from tests.webhooks import sending
from tests.webhooks.ingesting import Senders, configure, held, submit_at_once
from tests.webhooks.sending import capture, stored
from webhooks import ingest as module
from webhooks.ingest import Busy, Ingest
from webhooks.models import Endpoint
from webhooks.writer import UNKNOWN, Unacceptable, Verdict

# A day for each: none comes back while we look.
PLENTY = Rate(1, timedelta(days=1), burst=1000)


@pytest.fixture(params=[None, PLENTY], ids=["no limit", "a limit in PostgreSQL"])
def rate(request: pytest.FixtureRequest, settings: Settings) -> Rate | None:
    """What each inbox takes in."""
    limit(settings, captures=request.param)
    given: Rate | None = request.param
    return given


def captures_in(statements: list[str]) -> int:
    return sum("webhooks_capture(" in statement for statement in statements)


@pytest.mark.usefixtures("rate")
def test_what_comes_while_the_writer_waits_is_one_statement(
    ingest: Ingest, endpoint: Endpoint, statements: list[str]
) -> None:
    others = [sending.endpoint() for _ in range(5)]
    with held(ingest, capture(endpoint.pk)) as senders:
        statements.clear()
        many = [capture(one.pk, b"%d" % number) for number, one in enumerate([endpoint, *others] * 10)]
        senders.submit(*many, in_order=False)
        wait_for(lambda: ingest.depth == 60, what="60 waiting requests")
    assert len(set(senders.stored())) == 61
    assert captures_in(statements) == 1
    assert Endpoint.objects.get(pk=endpoint.pk).captured == 11
    assert sorted(bytes(one.body) for one in stored(others[0].pk)) == sorted(b"%d" % n for n in range(1, 60, 6))


def test_a_capture_costs_one_statement_from_the_first_byte_to_the_answer(
    ingest: Ingest, endpoint: Endpoint, api: APIClient, statements: list[str], rate: Rate | None
) -> None:
    path = sending.path_of(endpoint)
    assert api.post(path).status_code == 200
    statements.clear()
    answer = api.post(f"{path}/below?x=1", {"a": 1}, format="json")
    assert (answer.status_code, captures_in(statements), len(statements)) == (200, 1, 1)
    assert [str(one.id) for one in stored(endpoint.pk)][1:] == [answer.json()["id"]]
    assert bool(buckets()) == bool(rate)


def buckets() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM ratelimit_bucket WHERE key ~ '^captures:'")
        return [row[0] for row in cursor.fetchall()]


def test_within_an_endpoint_the_order_of_arrival_is_the_order_of_ids(ingest: Ingest, endpoint: Endpoint) -> None:
    other = sending.endpoint()
    with held(ingest, capture(endpoint.pk, b"0")) as senders:
        senders.submit(*(capture(one.pk, b"%d" % n) for n in range(1, 20) for one in (endpoint, other)))
    ids = senders.stored()
    mine, theirs = [ids[0], *ids[1::2]], ids[2::2]
    assert mine == sorted(mine)
    assert theirs == sorted(theirs)
    assert [bytes(one.body) for one in stored(endpoint.pk)] == [b"%d" % n for n in range(20)]
    assert [bytes(one.body) for one in stored(other.pk)] == [b"%d" % n for n in range(1, 20)]


def test_more_than_a_batch_takes_several_and_keeps_the_order(
    ingest: Ingest, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, statements: list[str]
) -> None:
    monkeypatch.setattr(module, "_BATCH_REQUESTS", 4)
    monkeypatch.setattr(module, "_BATCH_BYTES", 1000)
    with held(ingest, capture(endpoint.pk)) as senders:
        statements.clear()
        senders.submit(*(capture(endpoint.pk, b"x" * size) for size in (1, 2, 3, 4, 5, 999, 998, 6)))
    assert senders.stored() == [one.id for one in stored(endpoint.pk)]
    # Four; then 5 + 999 reach the bytes of a batch; then the rest.
    assert captures_in(statements) == 3


def test_each_of_a_mixed_batch_gets_its_own_verdict(ingest: Ingest, endpoint: Endpoint) -> None:
    expired = sending.endpoint()
    Endpoint.objects.filter(pk=expired.pk).update(expires_at=expired.created_at)
    deleted, tombstone = sending.endpoint(state=State.DROPPING), sending.endpoint(state=State.GONE)
    unknown = uuid7()
    wanted = [endpoint.pk, expired.pk, unknown, deleted.pk, tombstone.pk] * 2
    with held(ingest, capture(endpoint.pk)) as senders:
        senders.submit(*map(capture, wanted))
    outcomes = senders.outcomes()[1:]
    kinds = [one.outcome for one in outcomes if isinstance(one, Verdict)]
    assert kinds == ["stored", "gone", "unknown", "gone", "gone"] * 2
    assert outcomes[2] == UNKNOWN
    assert [Endpoint.objects.get(pk=one).captured for one in (endpoint.pk, expired.pk, deleted.pk)] == [3, 0, 0]
    assert stored(expired.pk) == stored(unknown) == []


@pytest.mark.parametrize(
    "poison",
    [{"method": "A\0"}, {"headers": (("X", "\0"),)}, {"client": "nobody"}, {"target": "/\0"}],
    ids=["text", "jsonb", "inet", "target"],
)
def test_one_that_postgresql_cannot_store_hurts_no_other(
    ingest: Ingest, endpoint: Endpoint, settings: Settings, poison: dict[str, str]
) -> None:
    limit(settings, captures=PLENTY)
    with held(ingest, capture(endpoint.pk, b"0")) as senders:
        senders.submit(capture(endpoint.pk, b"1"), capture(endpoint.pk, b"2", **poison), capture(endpoint.pk, b"3"))
    outcomes = senders.outcomes()
    assert isinstance(outcomes.pop(2), Unacceptable)
    assert [one.outcome for one in outcomes if isinstance(one, Verdict)] == ["stored"] * 3
    assert [bytes(one.body) for one in stored(endpoint.pk)] == [b"0", b"1", b"3"]
    assert Endpoint.objects.get(pk=endpoint.pk).captured == 3
    with connection.cursor() as cursor:
        # What was undone was not charged.
        cursor.execute("SELECT round((tat - date_part('epoch', now()) * 1e6) / 86400e6) FROM ratelimit_bucket")
        assert cursor.fetchall() == [(3,)]


def test_a_fault_of_ours_is_told_to_those_of_its_batch_alone(
    ingest: Ingest, endpoint: Endpoint, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(settings, captures=PLENTY)

    class Broken(Exception):
        pass

    def breaks(*_: object) -> None:
        raise Broken

    with monkeypatch.context() as patched:
        patched.setattr(stores.store, "take", breaks)
        with pytest.raises(Broken):
            ingest.submit(capture(endpoint.pk))
    assert ingest.submit(capture(endpoint.pk)).outcome == "stored"
    assert len(stored(endpoint.pk)) == 1


class TestFull:
    def test_beyond_so_many_waiting_requests_the_next_is_not_taken(
        self, ingest: Ingest, endpoint: Endpoint, settings: Settings
    ) -> None:
        configure(settings, queue=3)
        with held(ingest, capture(endpoint.pk)) as senders:
            senders.submit(*[capture(endpoint.pk)] * 3)
            with pytest.raises(Busy):
                ingest.submit(capture(endpoint.pk))
        assert len(senders.stored()) == len(stored(endpoint.pk)) == 4
        assert ingest.submit(capture(endpoint.pk)).outcome == "stored"

    def test_beyond_so_many_bytes_too(self, ingest: Ingest, endpoint: Endpoint, settings: Settings) -> None:
        configure(settings, queue_mb=1)
        with held(ingest, capture(endpoint.pk)) as senders:
            senders.submit(capture(endpoint.pk, b"x" * 600_000), capture(endpoint.pk, b"x" * 400_000))
            with pytest.raises(Busy):
                ingest.submit(capture(endpoint.pk, b"x"))
            senders.submit(capture(endpoint.pk))
        assert len(senders.stored()) == 4
        assert ingest.submit(capture(endpoint.pk, b"x" * 1_000_000)).outcome == "stored"

    def test_a_sender_is_told_so_in_the_one_shape(
        self, ingest: Ingest, endpoint: Endpoint, settings: Settings, api: APIClient
    ) -> None:
        configure(settings, queue=1)
        with held(ingest, capture(endpoint.pk)) as senders:
            senders.submit(capture(endpoint.pk))
            answer = api.post(sending.path_of(endpoint))
        assert (answer.status_code, answer.json()["error"]) == (503, "capture_unavailable")
        assert int(answer["Retry-After"]) == answer.json()["retry_after_seconds"] > 0
        senders.stored()


def test_listeners_are_told_once_for_each_endpoint_of_a_batch(ingest: Ingest, endpoint: Endpoint) -> None:
    other = sending.endpoint()
    with platformdb.connect() as listener:
        listener.execute("LISTEN instantlite_captures")
        with held(ingest, capture(endpoint.pk)) as senders:
            senders.submit(*[capture(endpoint.pk), capture(other.pk)] * 4)
        ids = senders.stored()
        told = [note.payload for note in listener.notifies(timeout=10, stop_after=3)]
    assert told[0] == f"{endpoint.pk} {ids[0]}"
    assert sorted(told[1:]) == sorted([f"{endpoint.pk} {ids[7]}", f"{other.pk} {ids[8]}"])


def test_many_threads_on_many_endpoints_lose_nothing(ingest: Ingest, endpoint: Endpoint) -> None:
    endpoints = [endpoint, *(sending.endpoint() for _ in range(9))]
    outcomes = submit_at_once(ingest, [capture(one.pk) for one in endpoints * 20])
    ids = {one.request_id for one in outcomes if isinstance(one, Verdict)}
    assert ids == {row.id for one in endpoints for row in stored(one.pk)}
    assert len(ids) == 200
    for one in Endpoint.objects.all():
        assert (one.captured, one.stored) == (20, 20)


def test_two_processes_keep_an_endpoint_s_ids_in_the_order_of_commits(ingest: Ingest, endpoint: Endpoint) -> None:
    """Two queues stand for two workers: whoever has read up to an id has missed nothing before it."""
    second = Ingest()
    both = [Senders(one) for one in (ingest, second)]
    seen = []
    for _ in range(40):
        for senders in both:
            senders.submit(capture(endpoint.pk), in_order=False)
        seen += [one.id for one in stored(endpoint.pk) if one.id not in seen]
    for senders in both:
        senders.stored()
    second.stop()
    seen += [one.id for one in stored(endpoint.pk) if one.id not in seen]
    assert len(seen) == 80
    assert all(earlier < later for earlier, later in itertools.pairwise(seen))
