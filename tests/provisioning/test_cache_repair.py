"""What a crash, a restart of Redis or its absence left behind, and the step that takes it on from there."""

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db.models import F
from django.db.models.functions import Now
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from instantlite.resource import Wish
from provisioning import caches, reaper, roles
from provisioning.models import Cache, installation_prefix
from provisioning.redis_server import tenants
from tests.provisioning.caching import held, new, open_, overdue, works
from tests.provisioning.conftest import use_redis
from tests.redis_server import RedisServer


@pytest.fixture
def made(api: APIClient, tenants_redis: RedisServer) -> dict[str, Any]:
    """A cache in its owner's hands: the answer to POST /cache/new."""
    return new(api)


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
    assert extended.status_code == 200, "sent again, it would extend again"
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
