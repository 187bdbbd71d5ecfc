"""What a cache costs: one of the provisions that databases are taken from too, and nothing when none was made."""

from datetime import timedelta

import pytest
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from instantlite.config import Rate
from tests.provisioning.conftest import use_redis
from tests.ratelimit.conftest import limit
from tests.redis_server import RedisServer


@pytest.fixture
def two_a_day(settings: Settings) -> None:
    limit(settings, provisions=Rate(1, timedelta(days=1), burst=2), requests=None)


@pytest.mark.usefixtures("full_pool", "two_a_day")
def test_databases_and_caches_are_counted_together(api: APIClient, own_redis: RedisServer) -> None:
    assert api.post("/db/new").status_code == 201
    assert api.post("/cache/new").status_code == 201
    for path in ("/db/new", "/cache/new"):
        refused = api.post(path)
        assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
        assert "'provisions'" in refused.json()["message"]


@pytest.mark.usefixtures("full_pool", "two_a_day")
def test_a_cache_that_could_not_be_made_costs_nothing(api: APIClient, own_redis: RedisServer) -> None:
    own_redis.kill()
    for _ in range(4):
        failed = api.post("/cache/new")
        assert (failed.status_code, failed.json()["error"]) == (503, "cache_unavailable")
        assert int(failed["Retry-After"]) == failed.json()["retry_after_seconds"]
    assert [api.post("/db/new").status_code for _ in range(3)] == [201, 201, 429]


@pytest.mark.usefixtures("full_pool", "two_a_day")
def test_a_server_without_redis_charges_no_provision(api: APIClient, settings: Settings) -> None:
    use_redis(settings, "")
    assert {api.post("/cache/new").status_code for _ in range(4)} == {503}
    assert [api.post("/db/new").status_code for _ in range(3)] == [201, 201, 429]


@pytest.mark.usefixtures("two_a_day", "platform")
def test_a_repeat_is_free(api: APIClient, own_redis: RedisServer) -> None:
    made = [api.post("/cache/new", headers={"idempotency-key": "one"}) for _ in range(3)]
    assert {answer.status_code for answer in made} == {201}
    assert len({answer.json()["token"] for answer in made}) == 1
    assert [api.post("/cache/new").status_code for _ in range(2)] == [201, 429]
