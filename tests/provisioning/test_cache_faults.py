"""Caches and faults of real processes: the service killed under load, Redis killed and come back empty."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis
import requests

from tests.folders import open_folder
from tests.provisioning.leases import end_leases
from tests.redis_server import RedisServer
from tests.service import Service, under_load, wait_for

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Service, RedisServer]]:
    """A service, not started yet, and the Redis that it makes caches on."""
    with open_folder() as folder:
        server = RedisServer(folder).start()
        config = folder / "config.yaml"
        config.write_text("redis: {down_for: 1s}\nhousekeeping: {interval: 1s, repair_interval: 10s}\n")
        service = Service(folder, {"REDIS_URL": server.url, "CONFIG_PATH": str(config)})
        yield service, server
        service.close()
        server.kill()


def users(server: RedisServer) -> set[str]:
    with server.client() as admin:
        return set(admin.acl_users()) - {"default"}


def in_use(service: Service) -> set[str]:
    with psycopg.connect(service.urls.platform) as platform:
        rows = platform.execute("SELECT key_prefix FROM provisioning_cache WHERE state = 'active'").fetchall()
    return {str(row[0]) for row in rows}


def is_whole(service: Service, server: RedisServer) -> bool:
    """Redis has the users of caches in use and no others; one that could not be made has a lease of a minute."""
    return bool(wait_for(lambda: users(server) == in_use(service), seconds=90, what="users and rows to be the same"))


def works(made: dict[str, Any]) -> bool:
    try:
        with redis.Redis.from_url(made["connection_url"], socket_timeout=2) as tenant:
            return bool(tenant.set(f"{made['key_prefix']}:k", "v"))
    except redis.RedisError:
        return False


def test_sigkill_under_load_loses_no_acknowledged_cache_and_leaks_no_user(pair: tuple[Service, RedisServer]) -> None:
    service, server = pair
    answers: list[requests.Response] = []

    def call() -> None:
        try:
            answers.append(service.post("/cache/new"))
        except requests.RequestException:  # killed under it: the caller was told nothing
            time.sleep(0.02)

    def kill_and_start() -> None:
        for _ in range(3):
            before = len(answers)
            service.start()
            wait_for(lambda before=before: len(answers) >= before + 10, what="caches under load")
            service.kill()

    under_load(kill_and_start, *[call] * 4)
    assert Counter(answer.status_code for answer in answers).keys() == {201}
    end_leases(service, "provisioning_cache")
    service.start()
    assert all(works(answer.json()) for answer in answers)
    assert is_whole(service, server)


def test_a_redis_that_was_killed_has_its_users_again(pair: tuple[Service, RedisServer]) -> None:
    service, server = pair
    made: dict[str, Any] = service.post("/cache/new").json()
    server.kill()
    away = service.post("/cache/new")
    assert (away.status_code, away.json()["error"], away.json()["degraded"]) == (503, "cache_unavailable", True)
    assert int(away.headers["Retry-After"]) == away.json()["retry_after_seconds"] > 0
    assert service.post("/db/new").status_code == 201
    server.start()
    wait_for(lambda: works(made), what="the URL to work again")
    assert service.get(f"/cache/{made['token']}").json()["connection_url"] == made["connection_url"]
    assert is_whole(service, server)


def test_an_expired_cache_goes_within_seconds_by_itself(pair: tuple[Service, RedisServer]) -> None:
    service, server = pair
    made: dict[str, Any] = service.post("/cache/new").json()
    assert works(made)
    with psycopg.connect(service.urls.platform) as platform:
        platform.execute("UPDATE provisioning_cache SET expires_at = now() WHERE id = %s", [made["id"]])
    with server.client() as admin:
        name = made["key_prefix"]
        wait_for(lambda: not admin.keys(f"{name}:*") and name not in admin.acl_users(), what="user and keys to go")
    assert service.get(f"/cache/{made['token']}").status_code == 410
