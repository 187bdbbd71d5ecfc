"""What the holder of a cache's token can do, and what is left when the time is up."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from instantlite.resource import State
from provisioning import reaper, roles
from provisioning import redis as commands
from provisioning.models import Cache
from tests.provisioning.caching import held, new, open_, overdue, works
from tests.redis_server import RedisServer


@pytest.fixture
def made(api: APIClient, tenants_redis: RedisServer) -> dict[str, Any]:
    """A cache in its owner's hands: the answer to POST /cache/new."""
    return new(api)


def test_status_tells_what_was_last_seen(api: APIClient, made: dict[str, Any]) -> None:
    status = api.get(f"/cache/{made['token']}").json()
    assert {name: status[name] for name in made} == made
    assert status["status"] == "active"
    assert status["created_at"] < status["expires_at"]
    assert (status["size_bytes"], status["connections"], status["storage_exceeded"]) == (None, None, False)
    text = api.get(f"/cache/{made['token']}/", headers={"accept": "text/plain"})
    assert text.content.decode() == made["connection_url"] + "\n"


def test_delete_is_at_once(api: APIClient, made: dict[str, Any], tenants_redis: RedisServer) -> None:
    with open_(made) as tenant:
        tenant.set(f"{made['key_prefix']}:k", "v")
        answer = api.delete(f"/cache/{made['token']}")
        assert answer.json() == {"ok": True, "id": made["id"], "status": "deleted"}
        with pytest.raises(redis.ConnectionError):
            tenant.get(f"{made['key_prefix']}:k")
    assert held(tenants_redis) == ([], [])
    assert Cache.objects.get(pk=made["id"]).state == State.GONE
    assert api.get(f"/cache/{made['token']}").status_code == 410


def test_rotate_ends_the_old_password_and_its_connections(api: APIClient, made: dict[str, Any]) -> None:
    with open_(made) as tenant:
        tenant.set(f"{made['key_prefix']}:k", "kept")
        rotated = api.post(f"/cache/{made['token']}/rotate").json()
        assert rotated["connection_url"] != made["connection_url"]
        with pytest.raises(redis.AuthenticationError):
            tenant.get(f"{made['key_prefix']}:k")
    assert not works(made)
    with open_(rotated) as tenant:
        assert tenant.get(f"{made['key_prefix']}:k") == "kept"
    assert api.get(f"/cache/{made['token']}").json()["connection_url"] == rotated["connection_url"]


def test_extend_stops_at_the_longest_lifetime(api: APIClient, made: dict[str, Any]) -> None:
    extended = api.post(f"/cache/{made['token']}/extend", {"ttl": "2h"}, format="json").json()
    moved = datetime.fromisoformat(extended["expires_at"]) - datetime.fromisoformat(made["expires_at"])
    assert moved == timedelta(hours=2)
    for _ in range(3):
        assert api.post(f"/cache/{made['token']}/extend", {"ttl": "24h"}).status_code == 200
    refused = api.post(f"/cache/{made['token']}/extend", {"ttl": "60s"})
    assert (refused.status_code, refused.json()["error"]) == (409, "lifetime_reached")


def test_a_database_s_token_is_no_cache_s(api: APIClient, made: dict[str, Any]) -> None:
    for token in ("x", made["token"][:-1], made["token"].replace("cache_", "db_"), made["id"]):
        for answer in (api.get(f"/cache/{token}"), api.post(f"/cache/{token}/rotate"), api.delete(f"/cache/{token}")):
            assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_the_reaper_takes_what_is_overdue_and_nothing_else(
    api: APIClient, made: dict[str, Any], tenants_redis: RedisServer
) -> None:
    kept = new(api)
    assert works(made)
    assert works(kept)
    overdue(made)
    assert reaper.reap_one(Cache) == f"dropped {made['key_prefix']}"
    assert reaper.reap_one(Cache) is None
    assert held(tenants_redis) == ([kept["key_prefix"]], [f"{kept['key_prefix']}:k"])
    assert api.get(f"/cache/{made['token']}").status_code == 410
    assert works(kept)


def test_a_client_that_reconnects_in_a_loop_does_not_hold_it(made: dict[str, Any], tenants_redis: RedisServer) -> None:
    done, refused = threading.Event(), threading.Event()

    def hold_on() -> None:
        number = 0
        while not done.is_set():
            try:
                with open_(made) as tenant:
                    for _ in range(20):
                        number += 1
                        tenant.set(f"{made['key_prefix']}:{number}", "x")
            except redis.RedisError:
                refused.set()

    threads = [threading.Thread(target=hold_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        while not held(tenants_redis)[1]:
            time.sleep(0.01)
        overdue(made)
        assert reaper.reap_one(Cache) == f"dropped {made['key_prefix']}"
        assert refused.wait(10)
        assert held(tenants_redis) == ([], [])
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert held(tenants_redis) == ([], [])


def test_many_keys_are_dropped_in_slices(
    api: APIClient, made: dict[str, Any], tenants_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asserted on the size of each command, not on time."""
    kept = new(api)
    assert works(kept)
    with open_(made) as tenant:
        for start in range(0, 20_000, 5_000):
            tenant.mset({f"{made['key_prefix']}:{number}": "x" for number in range(start, start + 5_000)})
    unlinked: list[int] = []
    unlink: Any = redis.Redis.unlink

    def counted(client: redis.Redis, *keys: str) -> Any:
        unlinked.append(len(keys))
        return unlink(client, *keys)

    monkeypatch.setattr(redis.Redis, "unlink", counted)
    overdue(made)
    reaper.reap_one(Cache)
    assert held(tenants_redis)[1] == [f"{kept['key_prefix']}:k"]
    assert sum(unlinked) >= 20_000
    assert max(unlinked) <= commands.SLICE


def test_keys_of_any_bytes_are_dropped(made: dict[str, Any], tenants_redis: RedisServer) -> None:
    with open_(made) as tenant:
        for tail in (b"\xff\xfe", b"\x00", b"a b\r\nc", "\u2028".encode(), b"[*?]"):
            tenant.set(made["key_prefix"].encode() + b":" + tail, "x")
    overdue(made)
    reaper.reap_one(Cache)
    assert held(tenants_redis) == ([], [])


def test_a_drop_that_was_cut_off_is_finished(made: dict[str, Any], tenants_redis: RedisServer) -> None:
    works(made)
    Cache.objects.start_dropping(Cache.objects.get().pk, State.ACTIVE)
    with tenants_redis.client() as admin:
        admin.acl_deluser(made["key_prefix"])  # and then the process died
    assert reaper.reap_one(Cache) is None
    Cache.objects.update(lease_until=Now())
    assert reaper.reap_one(Cache) == f"dropped {made['key_prefix']}"
    assert held(tenants_redis) == ([], [])


def test_old_tombstones_go(made: dict[str, Any]) -> None:
    overdue(made)
    reaper.reap_one(Cache)
    assert reaper.purge_one_batch(Cache) is None
    Cache.objects.update(gone_at=F("gone_at") - timedelta(days=30, seconds=1))
    assert reaper.purge_one_batch(Cache) == "deleted 1 tombstones"


def test_two_housekeepers_at_once_reap_each_cache_once(api: APIClient, tenants_redis: RedisServer) -> None:
    for _ in range(6):
        works(new(api))
    Cache.objects.update(expires_at=Now())

    def reap_all(_: int) -> list[str]:
        try:
            return list(iter(lambda: reaper.reap_one(Cache), None))
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        done = [line for lines in threads.map(reap_all, range(2)) for line in lines]
    assert len(done) == len(set(done)) == 6
    assert held(tenants_redis) == ([], [])


def test_a_delete_that_would_take_long_leaves_the_rest_to_the_reaper(
    api: APIClient, tenants_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = new(api)
    with redis.Redis.from_url(made["connection_url"]) as tenant:
        tenant.mset({f"{made['key_prefix']}:{number}": "v" for number in range(1000)})
    monkeypatch.setattr(roles, "CALLERS_PATIENCE_SECONDS", 0.0)
    assert api.delete(f"/cache/{made['token']}").status_code == 200
    assert api.get(f"/cache/{made['token']}").status_code == 410
    with tenants_redis.client() as admin:
        assert made["key_prefix"] not in admin.acl_users()
        assert admin.dbsize() > 500
    assert reaper.reap_one(Cache) == f"dropped {made['key_prefix']}"
    assert held(tenants_redis) == ([], [])


def test_changes_that_wait_for_a_slow_redis_leave_connections_to_the_rest(
    api: APIClient, tenants_redis: RedisServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = new(api)
    config = settings.INSTANTLITE
    settings.INSTANTLITE = replace(config, database=replace(config.database, pool_timeout=timedelta(0)))
    taken = threading.BoundedSemaphore(1)
    monkeypatch.setattr(roles, "_slots", taken)
    with taken:
        refused = api.post(f"/cache/{made['token']}/rotate")
        assert (refused.status_code, refused.json()["error"]) == (503, "cache_unavailable")
        assert api.get(f"/cache/{made['token']}").status_code == 200
    assert api.post(f"/cache/{made['token']}/rotate").status_code == 200
