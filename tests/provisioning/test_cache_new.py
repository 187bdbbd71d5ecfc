"""POST /cache/new: one call, one answer, a cache that works; and what is said where there is no Redis."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from django.core.cache.backends.redis import RedisCache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from instantlite.resource import State
from provisioning import reaper, redis_server
from provisioning.models import Cache, installation_prefix
from tests.folders import open_folder
from tests.provisioning.conftest import use_redis
from tests.redis_server import RedisServer


def new(api: APIClient, **body: Any) -> dict[str, Any]:
    answer = api.post("/cache/new", body, format="json")
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


def test_the_answer_is_complete(api: APIClient, tenants_redis: RedisServer) -> None:
    answer = api.post("/cache/new", {"name": "sessions", "ttl": "2h"}, format="json")
    assert answer.status_code == 201
    body = answer.json()
    fields = "ok id token name connection_url key_prefix tier limits expires_at note status_url"
    assert list(body) == fields.split()
    assert body["name"] == "sessions"
    assert body["limits"] == {"storage_mb": 25, "connections": 20, "expires_in": 7200}
    assert body["token"].startswith("cache_")
    assert body["status_url"] == f"http://localhost:8000/cache/{body['token']}"
    assert re.fullmatch(re.escape(installation_prefix()) + "[a-z0-9]{14}", body["key_prefix"])
    assert f"{body['key_prefix']}:" in body["note"]
    password = re.escape(Cache.objects.get().password)
    address = rf"redis://{body['key_prefix']}:{password}@127\.0\.0\.1:{tenants_redis.port}/0"
    assert re.fullmatch(address, body["connection_url"])
    lasts = datetime.fromisoformat(body["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=59) < lasts <= timedelta(hours=2)
    assert answer["Cache-Control"] == "no-store"


def test_the_url_works_in_redis_py_as_it_stands(api: APIClient, tenants_redis: RedisServer) -> None:
    made = new(api)
    key = f"{made['key_prefix']}:k"
    with redis.Redis.from_url(made["connection_url"], decode_responses=True) as tenant:
        assert tenant.set(key, "v", ex=60)
        assert tenant.get(key) == "v"
        with tenant.pipeline() as pipeline:
            pipeline.incr(f"{key}:n")
            pipeline.hset(f"{key}:h", mapping={"a": "1"})
            pipeline.rpush(f"{key}:l", "one")
            assert pipeline.execute() == [1, 1, 1]
        assert tenant.blpop([f"{key}:l"], timeout=1) == (f"{key}:l", "one")
        entry = tenant.xadd(f"{key}:s", {"f": "v"})
        assert tenant.xrange(f"{key}:s") == [(entry, {"f": "v"})]
        tenant.xgroup_create(f"{key}:s", "g", "0")
        assert tenant.xreadgroup("g", "c", {f"{key}:s": ">"})
        with tenant.pubsub() as channel:
            channel.subscribe(f"{key}:c")
            channel.psubscribe(f"{made['key_prefix']}:*")
            messages = [channel.get_message(timeout=1) for _ in range(2)]
            assert tenant.publish(f"{key}:c", "hello") == 2
            messages += [channel.get_message(timeout=1) for _ in range(2)]
            assert [message["data"] for message in messages if message] == [1, 2, "hello", "hello"]


def test_it_serves_as_django_s_cache(api: APIClient, tenants_redis: RedisServer) -> None:
    made = new(api)
    cache: Any = RedisCache(made["connection_url"], {"KEY_PREFIX": made["key_prefix"]})
    cache.set_many({"a": 1, "b": [2]}, timeout=60)
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": [2]}
    assert cache.incr("a") == 2
    assert cache.delete("a")
    assert cache.touch("b", 10)
    cache.close()


def test_plain_text_is_the_url_and_env_a_line(api: APIClient, tenants_redis: RedisServer) -> None:
    text = api.post("/cache/new", headers={"accept": "text/plain"})
    assert re.fullmatch(rb"redis://[^\s]+\n", text.content)
    assert re.fullmatch(rb"REDIS_URL=redis://[^\s]+\n", api.post("/cache/new/?format=env").content)


@pytest.mark.parametrize(
    ("url", "options", "starts", "ends"),
    [
        ("redis://:x@cache.internal:6380/3", {}, "redis://", "@cache.internal:6380/0"),
        ("rediss://:x@cache.internal", {"public_host": "cache.example.com"}, "rediss://", "@cache.example.com:6379/0"),
        ("unix:///run/redis.sock", {"public_port": 7000}, "redis://", "@localhost:7000/0"),
        ("redis://[::1]:7001", {}, "redis://", "@[::1]:7001/0"),
    ],
)
def test_the_url_leads_to_the_public_address(
    settings: Settings, url: str, options: dict[str, Any], starts: str, ends: str
) -> None:
    use_redis(settings, url, **options)
    made = Cache(key_prefix="il_aaaaa_b").connection_url
    assert made.startswith(f"{starts}il_aaaaa_b:")
    assert made.endswith(ends)


def test_tenants_and_we_are_on_database_0_whatever_number_our_url_has(
    api: APIClient, tenants_redis: RedisServer, settings: Settings
) -> None:
    use_redis(settings, tenants_redis.url[:-1] + "5")
    made = new(api)
    with redis.Redis.from_url(made["connection_url"]) as tenant:
        tenant.set(f"{made['key_prefix']}:k", "v")
    api.delete(f"/cache/{made['token']}")
    with tenants_redis.client() as admin:
        assert admin.exists(f"{made['key_prefix']}:k") == 0


def test_we_reach_redis_by_its_socket_and_tenants_by_its_port(
    api: APIClient, settings: Settings, transactional_db: None
) -> None:
    with open_folder() as folder:
        socket = folder / "redis.sock"
        server = RedisServer(folder, options={"unixsocket": str(socket)}).start()
        use_redis(settings, f"unix://{socket}?password={server.password}", public_port=server.port)
        made = new(api)
        with redis.Redis.from_url(made["connection_url"]) as tenant:
            assert tenant.set(f"{made['key_prefix']}:k", "v")
        server.kill()
        redis_server.close()


def test_it_takes_one_statement_and_one_round_trip(
    api: APIClient, tenants_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    new(api)  # asks once what this server understands
    trips: list[object] = []
    send: Any = redis.Connection.send_packed_command

    def counted(*arguments: Any, **options: Any) -> Any:
        trips.append(arguments)
        return send(*arguments, **options)

    monkeypatch.setattr(redis.Connection, "send_packed_command", counted)
    with CaptureQueriesContext(connection) as statements:
        new(api)
    assert len(statements) == 1
    assert len(trips) == 1


def test_redis_is_not_told_the_password_and_our_tables_hold_no_secret(
    api: APIClient, tenants_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    send: Any = redis.Connection.send_packed_command

    def overheard(connection: Any, command: Any, **options: Any) -> Any:
        said.append(str(command))
        return send(connection, command, **options)

    monkeypatch.setattr(redis.Connection, "send_packed_command", overheard)
    made = api.post("/cache/new", headers={"idempotency-key": "a-key-of-the-caller"}).json()
    rotated = api.post(f"/cache/{made['token']}/rotate").json()
    passwords = [answer["connection_url"].split(":")[2].split("@")[0] for answer in (made, rotated)]
    assert made["key_prefix"] in "".join(said)
    assert not [password for password in passwords if password in "".join(said)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(c)::text FROM provisioning_cache c")
        dump = str(cursor.fetchall())
    assert made["id"] in dump
    for secret in (made["token"], made["connection_url"], *passwords, "a-key-of-the-caller"):
        assert secret not in dump


def test_another_secret_key_gives_another_prefix(settings: Settings) -> None:
    ours = installation_prefix()
    settings.SECRET_KEY = "another key that has more than thirty-two characters"
    assert installation_prefix() != ours


class TestWithoutRedis:
    """No Redis in the configuration."""

    pytestmark = pytest.mark.django_db

    def test_a_new_cache_is_refused_and_the_rest_works(self, api: APIClient) -> None:
        answer = api.post("/cache/new")
        assert answer.status_code == 503
        body = answer.json()
        assert body.pop("request_id")
        assert body == {
            "ok": False,
            "error": "cache_unavailable",
            "message": "This server has no Redis, so it hands out no caches. Databases (POST /db/new) and webhooks "
            "work.",
            "degraded": True,
        }
        assert "Retry-After" not in answer
        assert not Cache.objects.exists()

    def test_a_cache_from_earlier_can_be_looked_at_and_deleted(self, api: APIClient, monkeypatch: Any) -> None:
        from instantlite.resource import Wish  # noqa: PLC0415 — one use

        cache = Cache.objects.start(Wish(fingerprint="f"))
        status = api.get(f"/cache/{cache.token}")
        assert status.status_code == 200
        assert (status.json()["connection_url"], status.json()["key_prefix"]) == (None, cache.key_prefix)
        for answer in (
            api.get(f"/cache/{cache.token}?format=text"),
            api.post(f"/cache/{cache.token}/rotate"),
            api.post(f"/cache/{cache.token}/extend", {"ttl": "1h"}),
        ):
            assert (answer.status_code, answer.json()["error"]) == (503, "cache_unavailable")
        before = Cache.objects.get(pk=cache.pk)
        assert (before.generation, before.expires_at) == (0, cache.expires_at)
        assert api.delete(f"/cache/{cache.token}").status_code == 200
        assert api.get(f"/cache/{cache.token}").status_code == 410
        assert reaper.reap_one(Cache) is None


def away(server: RedisServer) -> None:
    server.kill()


def frozen(server: RedisServer) -> None:
    server.freeze()


def full(server: RedisServer) -> None:
    with server.client() as admin:
        admin.set("filler", "x" * 2_000_000)
        admin.config_set("maxmemory", "1mb")


def replica(server: RedisServer) -> None:
    with server.client() as admin:
        admin.replicaof("127.0.0.1", "1")


@pytest.mark.parametrize("fault", [away, frozen, full, replica])
def test_a_redis_that_cannot_is_503_and_leaks_nothing(
    api: APIClient, own_redis: RedisServer, settings: Settings, fault: Callable[[RedisServer], None]
) -> None:
    settings.INSTANTLITE = replace(
        settings.INSTANTLITE, redis=replace(settings.INSTANTLITE.redis, down_for=timedelta(seconds=2))
    )
    fault(own_redis)
    answer = api.post("/cache/new", headers={"idempotency-key": "k"})
    assert answer.status_code == 503
    assert answer.json()["error"] == "cache_unavailable"
    assert answer.json()["degraded"] is True
    assert answer.json()["retry_after_seconds"] == int(answer["Retry-After"]) == 2
    assert "Databases (POST /db/new) and webhooks work" in answer.json()["message"]
    row = Cache.objects.get()
    assert (row.state, row.idempotency_mac) == (State.DROPPING, None)

    own_redis.restart() if fault is away else own_redis.thaw()
    with own_redis.client() as admin:
        admin.config_set("maxmemory", "0")
        admin.replicaof("NO", "ONE")
    use_redis(settings, own_redis.url)
    Cache.objects.update(lease_until=row.lease_until.replace(year=2020) if row.lease_until else None)
    assert reaper.reap_one(Cache) == f"dropped {row.key_prefix}"
    with own_redis.client() as admin:
        assert admin.acl_users() == ["default"]
    assert api.post("/cache/new", headers={"idempotency-key": "k"}).status_code == 201


def test_a_redis_that_failed_is_left_alone_for_a_moment(
    api: APIClient, own_redis: RedisServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    use_redis(settings, own_redis.url, timeout=timedelta(seconds=1), down_for=timedelta(seconds=60))
    own_redis.freeze()
    assert api.post("/cache/new").status_code == 503
    own_redis.thaw()
    # Nobody else waits for it, and no row is made that the reaper would have to look after.
    assert {api.post("/cache/new").status_code for _ in range(3)} == {503}
    assert Cache.objects.count() == 1
    assert reaper.reap_one(Cache) is None
    assert sum("Redis for caches is left alone" in line for line in caplog.messages) == 1


def test_on_a_redis_that_anybody_administers_none_is_handed_out(
    api: APIClient, settings: Settings, tenants_redis: RedisServer
) -> None:
    use_redis(settings, f"redis://127.0.0.1:{tenants_redis.port}", allow_open=False)
    with tenants_redis.client() as admin:
        admin.execute_command("ACL SETUSER", "default", "nopass")
        try:
            refused = api.post("/cache/new")
        finally:
            admin.execute_command("ACL SETUSER", "default", "resetpass", f">{tenants_redis.password}")
    assert (refused.status_code, refused.json()["error"]) == (503, "cache_unavailable")
    assert refused.json()["degraded"] is True
    assert "checkcache" in refused.json()["message"]
    assert not Cache.objects.exists()
    use_redis(settings, tenants_redis.url)
    assert api.post("/cache/new").status_code == 201


def test_a_fault_of_ours_hands_nobody_another_s_cache(tenants_redis: RedisServer) -> None:
    """A row that cannot be made for another reason than a key that is taken."""
    api = APIClient(raise_request_exception=False)
    theirs = new(api)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE provisioning_cache ADD COLUMN novel integer NOT NULL DEFAULT 0")
        cursor.execute("ALTER TABLE provisioning_cache ALTER COLUMN novel DROP DEFAULT")
        try:
            answer = api.post("/cache/new", REMOTE_ADDR="192.0.2.77")
        finally:
            cursor.execute("ALTER TABLE provisioning_cache DROP COLUMN novel")
    assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")
    assert theirs["token"] not in str(answer.content)
