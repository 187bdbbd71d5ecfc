"""A Redis that is killed, frozen, full or restarted: every decision is taken, each change of side is seen once."""

import logging
import pickle
from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from django.core.cache import cache
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from instantlite import redislink, telemetry
from instantlite.config import Rate
from ratelimit import stores
from ratelimit.gcra import Charge, Decision
from tests.ratelimit.conftest import configure
from tests.redis_server import RedisServer
from tests.service import wait_for

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _counted_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics that nobody has counted in yet."""
    for name in ("REDIS_SWITCHES", "RATELIMIT_STORE"):
        known = getattr(telemetry, name)
        monkeypatch.setattr(telemetry, name, telemetry.Counter(known.name, known.says, *known.labels))


def decide(partition: str = "someone") -> Decision:
    charge = Charge("requests", partition, Rate(1, timedelta(days=1), burst=1000))
    return stores.store.charge([charge])


def switches() -> tuple[int, int]:
    """To PostgreSQL, and back to Redis."""
    return telemetry.REDIS_SWITCHES.total(to="postgresql"), telemetry.REDIS_SWITCHES.total(to="redis")


def test_with_a_redis_that_answers_it_decides(with_redis: RedisServer) -> None:
    assert [decide().store for _ in range(3)] == ["redis"] * 3
    assert telemetry.RATELIMIT_STORE.total(store="redis") == 3
    assert switches() == (0, 0)


def test_without_one_postgresql_decides_and_nothing_is_degraded(settings: Settings, api: APIClient) -> None:
    configure(settings)
    assert decide().store == "postgresql"
    ready = api.get("/readyz").json()
    assert ready["degraded"] is False
    assert "redis" not in ready["checks"]


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_the_request_that_finds_redis_gone_is_decided_by_postgresql(
    with_redis: RedisServer, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    assert decide().store == "redis"
    getattr(with_redis, fault)()
    with caplog.at_level(logging.INFO, "instantlite.redis"):
        assert [decide().store for _ in range(20)] == ["postgresql"] * 20
        assert switches() == (1, 0)
        with_redis.thaw() if fault == "freeze" else with_redis.start()
        wait_for(lambda: decide().store == "redis", what="Redis to be used again")
    assert switches() == (1, 1)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert len(said) == 2
    assert said[0].startswith("Redis failed, PostgreSQL stands in")
    assert said[1].startswith("Redis answers again")
    assert with_redis.password not in str(said)


def test_a_redis_that_was_never_there_costs_no_request(settings: Settings, with_redis: RedisServer) -> None:
    with_redis.kill()
    assert decide().store == "postgresql"
    assert switches() == (1, 0)


def test_a_full_redis_is_left_until_it_takes_writes_again(with_redis: RedisServer) -> None:
    """It still answers PING, so that only a write shows it."""
    with with_redis.client() as admin:
        admin.config_set("maxmemory-policy", "noeviction")
        admin.config_set("maxmemory", "1")
        assert decide().store == "postgresql"
        for _ in range(5):
            redislink.link._probe()
            assert decide().store == "postgresql"
        assert switches() == (1, 0)
        admin.config_set("maxmemory", "0")
    wait_for(lambda: decide().store == "redis", what="Redis to be used again")
    assert switches() == (1, 1)


def test_a_redis_whose_scripts_are_forbidden_is_left_alone(with_redis: RedisServer) -> None:
    with with_redis.client() as admin:
        admin.execute_command("ACL", "SETUSER", "default", "-@scripting")
        assert decide().store == "postgresql"
        for _ in range(5):
            redislink.link._probe()
            assert decide().store == "postgresql"
        assert switches() == (1, 0)
        admin.execute_command("ACL", "SETUSER", "default", "+@all")
    wait_for(lambda: decide().store == "redis", what="Redis to be used again")


def test_a_redis_that_was_restarted_empty_goes_on_at_once(with_redis: RedisServer) -> None:
    """The script is not known to the new process, and the pooled connection leads to the old one."""
    decide()
    with_redis.restart()
    assert decide().allowed
    wait_for(lambda: decide().store == "redis", what="Redis to be used again")


def test_while_redis_is_left_alone_no_request_asks_it(
    with_redis: RedisServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings.INSTANTLITE
    settings.INSTANTLITE = replace(config, redis=replace(config.redis, down_for=timedelta(hours=1)))
    with_redis.freeze()
    decide()

    def asked(*_: object) -> None:
        raise AssertionError("a request waited for a Redis that is known to be away")

    monkeypatch.setattr(redislink.Link, "_connect", asked)
    assert {decide().store for _ in range(5)} == {"postgresql"}
    cache.set("key", "value")
    assert cache.get("key") == "value"
    with_redis.thaw()


def test_what_redis_charged_is_not_given_back_to_postgresql(with_redis: RedisServer) -> None:
    charge = Charge("provisions", "someone", Rate(1, timedelta(days=1), burst=2))
    decision = stores.store.charge([charge])
    with_redis.kill()
    stores.store.give_back(decision)
    after = [stores.store.charge([charge]).allowed for _ in range(3)]
    assert after == [True, True, False]


def test_readyz_says_degraded_and_stays_200(with_redis: RedisServer, api: APIClient) -> None:
    healthy = api.get("/readyz").json()
    assert (healthy["degraded"], healthy["checks"]["redis"]) == (False, "ok")
    with_redis.kill()
    answer = api.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ok"] is True
    assert answer.json()["degraded"] is True
    assert "PostgreSQL stands in" in answer.json()["checks"]["redis"]
    assert switches() == (1, 0)
    with_redis.start()
    wait_for(lambda: api.get("/readyz").json()["degraded"] is False, what="readiness without a but")


def test_the_cache_goes_where_the_link_leads(with_redis: RedisServer) -> None:
    cache.set("where", "redis", 60)
    with with_redis.client() as admin:
        assert admin.keys("instantlite:cache:*")
    with_redis.kill()
    assert cache.get("where") is None
    cache.set("where", "postgresql", 60)
    assert cache.get("where") == "postgresql"
    assert cache.add("where", "x") is False
    assert cache.incr("count", 1) == 1 if cache.add("count", 0) else False
    assert cache.get_many(["where", "count"]) == {"where": "postgresql", "count": 1}
    assert cache.set_many({"a": 1, "b": 2}) == []
    assert cache.touch("a", 60)
    cache.delete_many(["a"])
    assert cache.has_key("b")
    assert not cache.has_key("a")
    assert cache.delete("b")
    assert switches() == (1, 0)
    with_redis.start()
    wait_for(lambda: redislink.link.client() is not None, what="Redis to be used again")
    assert cache.get("where") is None
    cache.clear()


def test_clearing_the_cache_leaves_limits_and_tenants_alone(with_redis: RedisServer) -> None:
    cache.set("key", "value", 60)
    decide()
    with with_redis.client() as admin:
        admin.set("il_abcde_tenant:key", "theirs")
        cache.clear()
        assert cache.get("key") is None
        assert admin.get("il_abcde_tenant:key") == "theirs"
        assert admin.keys("instantlite:limit:*")


def test_what_somebody_else_put_into_the_cache_is_not_unpickled(with_redis: RedisServer, settings: Settings) -> None:
    cache.set("key", ["value"], 60)
    with with_redis.client() as admin:
        (name,) = admin.keys("instantlite:cache:*")
    with redis.Redis.from_url(with_redis.url) as raw:
        ours = raw.get(name)
        assert isinstance(ours, bytes)
        raw.set(name, ours[:-1] + b"!")
        assert cache.get("key") is None
        raw.set(name, pickle.dumps(["another's"]))
        assert cache.get("key") is None
        raw.set(name, ours)
        assert cache.get("key") == ["value"]
    settings.SECRET_KEY = "another installation's key, as long as it has to be"
    assert cache.get("key") is None


@pytest.mark.parametrize("url", ["", None])
def test_the_cache_is_a_table_without_redis(settings: Settings, url: str | None) -> None:
    configure(settings, url or "")
    cache.set("key", {"a": 1}, 60)
    assert cache.get("key") == {"a": 1}
    assert settings.CACHES["default"]["BACKEND"].endswith("DatabaseCache")
