"""Faults with real processes: our service is killed, Redis is killed, and neither loses a cache that was handed out."""

import threading
import time
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
import requests

from tests.folders import open_folder
from tests.provisioning.caching import works
from tests.redis_server import RedisServer
from tests.service import Service, wait_for


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with open_folder() as folder:
        started = RedisServer(folder).start()
        yield started
        started.kill()


@pytest.fixture
def caching(own_service: Service, server: RedisServer) -> Service:
    """A service with a Redis, whose housekeeping looks every second."""
    config = own_service.folder / "config.yaml"
    config.write_text("housekeeping: {interval: 1s, repair_interval: 10s}\npool: {size: 0}\nredis: {down_for: 1s}\n")
    own_service.settings |= {"CONFIG_PATH": str(config), "CUSTOMER_REDIS_URL": server.url, "POOL_SIZE": "0"}
    return own_service


def is_whole(service: Service, server: RedisServer) -> bool:
    """Redis has the users of living rows, and no others."""
    with psycopg.connect(service.urls.platform) as platform, server.client() as admin:
        rows = platform.execute("SELECT key_prefix FROM provisioning_cache WHERE state = 'active'").fetchall()
        between = platform.execute("SELECT 1 FROM provisioning_cache WHERE state = 'dropping'").fetchall()
        return not between and {str(row[0]) for row in rows} == set(admin.acl_users()) - {"default"}


def test_sigkill_while_caches_are_made_loses_and_leaks_nothing(caching: Service, server: RedisServer) -> None:
    answers: list[requests.Response] = []
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            try:
                answers.append(caching.post("/cache/new"))
            except requests.RequestException:  # nobody listens: the caller was told nothing
                time.sleep(0.02)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for round_ in range(3):
        caching.start()
        before = len(answers)
        wait_for(lambda before=before: len(answers) > before + 20, what="some caches")
        time.sleep(0.01 * round_)  # another moment each time
        caching.kill()
    done.set()
    for thread in threads:
        thread.join()
    assert Counter(answer.status_code for answer in answers).keys() == {201}
    caching.start()
    assert wait_for(lambda: is_whole(caching, server), seconds=60, what="the house to be whole again")
    assert all(works(answer.json()) for answer in answers)


def test_a_redis_that_was_killed_and_started_empty_serves_the_old_urls(caching: Service, server: RedisServer) -> None:
    caching.start()
    made = [caching.post("/cache/new").json() for _ in range(5)]
    server.kill()
    away = wait_for(lambda: _refusal(caching), what="a refusal")
    assert (away["error"], away["degraded"], away["retry_after_seconds"]) == ("cache_unavailable", True, 1)
    assert caching.post("/db/new").status_code == 201
    server.start()
    assert wait_for(lambda: all(works(one) for one in made), seconds=60, what="every old URL to work again")
    assert wait_for(lambda: caching.post("/cache/new").status_code == 201, what="a new cache")


def _refusal(service: Service) -> dict[str, object] | None:
    answer = service.post("/cache/new")
    body: dict[str, object] = answer.json()
    return body if answer.status_code == 503 else None


def test_an_expired_cache_goes_within_seconds_by_itself(caching: Service, server: RedisServer) -> None:
    caching.start()
    made = caching.post("/cache/new").json()
    assert works(made)
    with psycopg.connect(caching.urls.platform) as platform:
        platform.execute("UPDATE provisioning_cache SET expires_at = now()")
    with server.client() as admin:
        wait_for(lambda: not admin.keys("il_*_*") and admin.acl_users() == ["default"], what="user and keys to go")
    assert caching.get(f"/cache/{made['token']}").status_code == 410
