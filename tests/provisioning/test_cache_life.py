"""What the holder of a cache's token can do, what is left when the time is up, and what a crash or a restart leaves."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from instantlite.resource import State, Wish
from provisioning import caches, reaper, roles
from provisioning import redis as commands
from provisioning.models import Cache, installation_prefix
from provisioning.redis_server import tenants
from tests.provisioning.conftest import use_redis
from tests.redis_server import RedisServer


@pytest.fixture
def made(api: APIClient, tenants_redis: RedisServer) -> dict[str, Any]:
    """A cache in its owner's hands: the answer to POST /cache/new."""
    return new(api)


def new(api: APIClient) -> dict[str, Any]:
    answer: dict[str, Any] = api.post("/cache/new", {"ttl": "1h"}, format="json").json()
    return answer


def open_(made: dict[str, Any]) -> redis.Redis:
    return redis.Redis.from_url(made["connection_url"], decode_responses=True)


def works(made: dict[str, Any]) -> bool:
    with open_(made) as tenant:
        try:
            return bool(tenant.set(f"{made['key_prefix']}:k", "v"))
        except redis.AuthenticationError:
            return False


def overdue(made: dict[str, Any]) -> None:
    Cache.objects.filter(pk=made["id"]).update(expires_at=Now() - timedelta(seconds=1))


def held(server: RedisServer) -> tuple[list[str], list[str]]:
    """Users, the default one aside, and keys but for our own."""
    with server.client() as admin:
        return sorted(set(admin.acl_users()) - {"default"}), sorted(
            set(admin.keys("*")) - set(admin.keys(f"{installation_prefix()[:-1]}:*"))
        )


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


def finish_all() -> None:
    while roles.finish_one(Cache):
        pass


def test_a_sound_house_needs_no_repair(made: dict[str, Any]) -> None:
    caches.look_after_users()
    finish_all()
    assert caches.compare(tenants(), restarted=False) == []


def test_a_redis_that_has_forgotten_everything_gets_its_users_back(api: APIClient, own_redis: RedisServer) -> None:
    made = new(api)
    rotated = api.post(f"/cache/{new(api)['token']}/rotate").json()
    confined = new(api)
    Cache.objects.filter(pk=confined["id"]).update(confined=True)
    assert caches.look_after_users() == "3 users to be set anew"  # the first look after our own start
    finish_all()
    assert caches.look_after_users() is None
    own_redis.restart()
    assert held(own_redis) == ([], [])
    assert not works(made)
    assert caches.look_after_users() == "3 users to be set anew"
    finish_all()
    assert works(made)
    assert works(rotated)
    with open_(confined) as tenant:
        assert tenant.get(f"{confined['key_prefix']}:k") is None
        with pytest.raises(redis.exceptions.NoPermissionError):
            tenant.set(f"{confined['key_prefix']}:k", "v")
    assert caches.look_after_users() is None


def test_what_was_due_is_not_brought_back(api: APIClient, own_redis: RedisServer) -> None:
    made = new(api)
    overdue(made)
    own_redis.restart()
    caches.look_after_users()
    finish_all()
    assert held(own_redis) == ([], [])


def test_a_row_whose_user_was_never_made_gets_it(made: dict[str, Any], tenants_redis: RedisServer) -> None:
    cache = Cache.objects.start(Wish(fingerprint="f"))  # and then the process died
    assert caches.compare(tenants(), restarted=False) == ["1 users to be set anew"]
    finish_all()
    assert works({"connection_url": cache.connection_url, "key_prefix": cache.key_prefix})


def test_a_user_with_an_older_password_is_set_right(made: dict[str, Any], tenants_redis: RedisServer) -> None:
    with tenants_redis.client() as admin:
        admin.execute_command("ACL SETUSER", made["key_prefix"], "resetpass", ">old")
    assert not works(made)
    assert caches.compare(tenants(), restarted=False) == ["1 users to be set anew"]
    finish_all()
    assert works(made)


def test_strays_are_dropped_with_their_keys_and_others_left_alone(tenants_redis: RedisServer) -> None:
    stray = f"{installation_prefix()}stray"
    with tenants_redis.client() as admin:
        for name in (stray, "il_other_installation", "somebody"):
            admin.execute_command("ACL SETUSER", name, "on", ">x")
            admin.set(f"{name}:k", "v")
    assert caches.compare(tenants(), restarted=False) == [f"dropped stray {stray}"]
    users = ["il_other_installation", "somebody"]
    assert held(tenants_redis) == (users, [f"{name}:k" for name in users])


def test_a_rotation_that_was_cut_off_is_finished(made: dict[str, Any]) -> None:
    Cache.objects.rotate(Cache.objects.get().pk)  # and then the process died
    assert roles.finish_one(Cache) is None
    Cache.objects.update(role_stale_since=F("role_stale_since") - timedelta(seconds=11))
    assert roles.finish_one(Cache) == f"brought role {made['key_prefix']} up to date"
    assert not works(made)
    assert works({**made, "connection_url": Cache.objects.get().connection_url})


def test_a_change_while_redis_is_away_is_kept_and_follows(api: APIClient, own_redis: RedisServer) -> None:
    made = new(api)
    own_redis.freeze()
    answer = api.post(f"/cache/{made['token']}/rotate")
    assert (answer.status_code, answer.json()["error"]) == (503, "cache_unavailable")
    extended = api.post(f"/cache/{made['token']}/extend", {"ttl": "1h"})
    assert extended.status_code == 503  # it carries the rotation's mark, and tries that again
    assert api.get(f"/cache/{made['token']}").status_code == 200
    own_redis.thaw()
    Cache.objects.update(role_stale_since=Now() - timedelta(seconds=11))
    finish_all()
    assert not works(made)
    assert works(api.get(f"/cache/{made['token']}").json())


def test_delete_while_redis_is_away_succeeds_and_follows(api: APIClient, own_redis: RedisServer) -> None:
    made = new(api)
    own_redis.freeze()
    assert api.delete(f"/cache/{made['token']}").status_code == 200
    assert api.get(f"/cache/{made['token']}").status_code == 410
    own_redis.thaw()
    Cache.objects.update(lease_until=Now())
    assert reaper.reap_one(Cache) == f"dropped {made['key_prefix']}"
    assert held(own_redis) == ([], [])


def test_a_redis_that_stays_away_is_logged_once(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches.look_after_users()
    own_redis.kill()
    for _ in range(5):
        assert caches.look_after_users() is None
        assert reaper.reap_one(Cache) is None
    own_redis.start()
    caches.look_after_users()
    lines = [line for line in caplog.messages if "Redis" in line]
    assert [line.partition(":")[0] for line in lines] == [
        "Redis for caches is left alone for a moment",
        "Redis for caches answers again",
    ]


def test_an_open_redis_is_warned_of_once(
    tenants_redis: RedisServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    use_redis(settings, f"redis://127.0.0.1:{tenants_redis.port}")
    with tenants_redis.client() as admin:
        admin.execute_command("ACL SETUSER", "default", "nopass")
        try:
            for _ in range(3):
                caches.compare(tenants(), restarted=False)
        finally:
            admin.execute_command("ACL SETUSER", "default", "resetpass", f">{tenants_redis.password}")
    assert sum("administrator" in line for line in caplog.messages) == 1


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
