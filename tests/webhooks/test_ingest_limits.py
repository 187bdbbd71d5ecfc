"""The limit of captures is exact, whoever keeps the buckets, and none is lost while that changes."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from instantlite.config import Rate
from ratelimit.gcra import Charge
from ratelimit.stores import RedisStore
from tests.ratelimit.conftest import limit
from tests.redis_server import RedisServer
from tests.webhooks import sending
from tests.webhooks.ingesting import held, submit_at_once
from tests.webhooks.sending import capture, stored
from webhooks.ingest import Ingest
from webhooks.models import Endpoint
from webhooks.writer import Verdict

# A day for each: none comes back while we look.
FIFTY = Rate(1, timedelta(days=1), burst=50)


def buckets() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ratelimit_bucket WHERE key ~ '^captures:'")
        return int(cursor.fetchall()[0][0])


def assert_exact(ingest: Ingest, endpoint: Endpoint) -> None:
    """32 senders at once, five times, to each of two endpoints: fifty are taken of each."""
    other = sending.endpoint()
    outcomes: list[object] = []
    for _ in range(5):
        outcomes += submit_at_once(ingest, [capture(one.pk) for one in (endpoint, other) for _ in range(16)])
        outcomes += submit_at_once(ingest, [capture(one.pk) for one in (endpoint, other) for _ in range(16)])
    verdicts = [one for one in outcomes if isinstance(one, Verdict)]
    assert Counter(one.outcome for one in verdicts) == {"stored": 100, "limited": 220}
    assert len(stored(endpoint.pk)) == len(stored(other.pk)) == 50
    day = 86_400_000_000
    assert all(day - 60_000_000 < one.wait <= day for one in verdicts if one.outcome == "limited")


def test_it_is_exact_in_postgresql(ingest: Ingest, endpoint: Endpoint, settings: Settings) -> None:
    limit(settings, captures=FIFTY)
    assert_exact(ingest, endpoint)
    assert buckets() == 2


def test_it_is_exact_in_redis(ingest: Ingest, endpoint: Endpoint, settings: Settings, with_redis: RedisServer) -> None:
    limit(settings, captures=FIFTY)
    assert_exact(ingest, endpoint)
    assert buckets() == 0
    with with_redis.client() as client:
        outcome = RedisStore(client).charge([Charge("captures", str(endpoint.pk), FIFTY)])
        assert not outcome.allowed


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_without_redis_postgresql_decides_in_the_same_statement(
    ingest: Ingest, endpoint: Endpoint, settings: Settings, with_redis: RedisServer, fault: str
) -> None:
    limit(settings, captures=FIFTY)
    assert ingest.submit(capture(endpoint.pk)).outcome == "stored"
    assert buckets() == 0
    getattr(with_redis, fault)()
    outcomes = submit_at_once(ingest, [capture(endpoint.pk)] * 60)
    assert Counter(one.outcome for one in outcomes if isinstance(one, Verdict)) == {"stored": 50, "limited": 10}
    assert len(stored(endpoint.pk)) == 51
    with_redis.kill()


def test_of_a_batch_the_first_are_taken(ingest: Ingest, endpoint: Endpoint, settings: Settings) -> None:
    limit(settings, captures=Rate(1, timedelta(days=1), burst=3))
    with held(ingest, capture(endpoint.pk, b"0")) as senders:
        senders.submit(*(capture(endpoint.pk, b"%d" % number) for number in range(1, 5)))
    kinds = [one.outcome for one in senders.outcomes() if isinstance(one, Verdict)]
    assert kinds == ["stored"] * 3 + ["limited"] * 2
    assert [bytes(one.body) for one in stored(endpoint.pk)] == [b"0", b"1", b"2"]


def test_of_a_batch_the_first_are_taken_by_redis_too(
    ingest: Ingest, endpoint: Endpoint, settings: Settings, with_redis: RedisServer
) -> None:
    limit(settings, captures=Rate(1, timedelta(days=1), burst=3))
    with held(ingest, capture(endpoint.pk, b"0")) as senders:
        senders.submit(*(capture(endpoint.pk, b"%d" % number) for number in range(1, 5)))
    kinds = [one.outcome for one in senders.outcomes() if isinstance(one, Verdict)]
    assert kinds == ["stored"] * 3 + ["limited"] * 2
    assert [bytes(one.body) for one in stored(endpoint.pk)] == [b"0", b"1", b"2"]


def test_a_limit_that_is_lifted_charges_nothing(ingest: Ingest, endpoint: Endpoint, settings: Settings) -> None:
    limit(settings, captures=None)
    outcomes = submit_at_once(ingest, [capture(endpoint.pk)] * 60)
    assert Counter(one.outcome for one in outcomes if isinstance(one, Verdict)) == {"stored": 60}
    assert buckets() == 0


def test_an_inbox_that_has_expired_is_not_charged(ingest: Ingest, endpoint: Endpoint, settings: Settings) -> None:
    limit(settings, captures=FIFTY)
    Endpoint.objects.filter(pk=endpoint.pk).update(expires_at=endpoint.created_at)
    outcomes = submit_at_once(ingest, [capture(endpoint.pk)] * 60)
    assert Counter(one.outcome for one in outcomes if isinstance(one, Verdict)) == {"gone": 60}
    assert buckets() == 0


def test_a_sender_over_the_limit_is_told_so_in_the_one_shape(
    ingest: Ingest, endpoint: Endpoint, settings: Settings, api: APIClient
) -> None:
    limit(settings, captures=Rate(1, timedelta(days=1)))
    path = sending.path_of(endpoint)
    assert api.post(path).status_code == 200
    answer = api.put(path)
    assert (answer.status_code, answer.json()["error"]) == (429, "rate_limited")
    assert 86_300 < int(answer["Retry-After"]) == answer.json()["retry_after_seconds"] <= 86_400
    assert "'captures'" in answer.json()["message"]
    assert len(stored(endpoint.pk)) == 1
