"""Idempotency-Key for caches: as for databases, and the user on Redis is made sure of once more."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from rest_framework.test import APIClient

from provisioning.models import Cache
from tests.provisioning.caching import works
from tests.redis_server import RedisServer


def new(key: str, body: dict[str, Any] | None = None, address: str = "192.0.2.1") -> Any:
    return APIClient().post(
        "/cache/new", body or {}, format="json", headers={"idempotency-key": key}, REMOTE_ADDR=address
    )


def test_a_repeat_gets_the_same_answer(tenants_redis: RedisServer) -> None:
    first, second = new("k1", {"name": "a"}), new("k1", {"name": "a"})
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert Cache.objects.count() == 1


def test_a_different_body_is_a_mismatch(tenants_redis: RedisServer) -> None:
    new("k1", {"name": "a"})
    answer = new("k1", {"name": "b"})
    assert (answer.status_code, answer.json()["error"]) == (409, "idempotency_mismatch")
    assert Cache.objects.count() == 1


def test_another_address_with_the_same_key_gets_its_own(tenants_redis: RedisServer) -> None:
    assert new("k1").json()["id"] != new("k1", address="192.0.2.2").json()["id"]


def test_racing_requests_with_one_key_make_one_cache(tenants_redis: RedisServer) -> None:
    def one(_: int) -> Any:
        try:
            return new("race")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(one, range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert Cache.objects.count() == 1
    assert works(answers[0].json())


def test_a_key_is_free_again_after_a_day(tenants_redis: RedisServer) -> None:
    first = new("k1").json()
    Cache.objects.filter(pk=first["id"]).update(created_at=F("created_at") - timedelta(hours=24, seconds=1))
    assert new("k1").json()["id"] != first["id"]


def test_a_key_whose_cache_was_deleted_says_gone(tenants_redis: RedisServer) -> None:
    first = new("k1").json()
    APIClient().delete(f"/cache/{first['token']}")
    assert new("k1").status_code == 410


@pytest.mark.parametrize("rotated", [False, True])
def test_a_repeat_makes_the_user_that_a_killed_process_did_not(tenants_redis: RedisServer, rotated: bool) -> None:
    first = new("k1").json()
    if rotated:
        APIClient().post(f"/cache/{first['token']}/rotate")
    with tenants_redis.client() as admin:
        admin.acl_deluser(first["key_prefix"])
    again = new("k1")
    assert again["Idempotency-Replayed"] == "true"
    assert (again.json()["connection_url"] == first["connection_url"]) is not rotated
    assert works(again.json())
