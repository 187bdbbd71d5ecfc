"""64 threads in two processes on one key: not one more than the limit admits, and not one fewer than it allows."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import pytest
import redis
from django.db import connection

from instantlite.config import Rate
from ratelimit.gcra import Charge
from ratelimit.stores import PostgresStore, RedisStore, Store
from tests.redis_server import RedisServer
from tests.service import PROJECT

BURST = 300


@pytest.mark.parametrize("name", ["postgresql", "redis 6.2", "redis 7.0"])
@pytest.mark.django_db(transaction=True)
def test_a_limit_is_exact_under_concurrency(name: str, redis_servers: Callable[[str], RedisServer]) -> None:
    store: Store = PostgresStore()
    address = "postgresql"
    if name != "postgresql":
        address = redis_servers(name.removeprefix("redis ")).url
        store = RedisStore(redis.Redis.from_url(address, decode_responses=True))
    key = f"hammered-{name.replace(' ', '-').replace('.', '-')}"
    results = hammer(address, key)
    assert sum(one.asked for one in results) == 2 * 32 * 15
    assert sum(one.admitted for one in results) == BURST
    # They ran at the same time, or this would say nothing.
    assert max(one.began for one in results) < min(one.ended for one in results)
    # A denial has charged none: the wider limit has been charged exactly as often.
    wide = Charge("requests", key, Rate(1, timedelta(days=1), burst=10_000))
    assert [one.remaining for one in store.charge([wide]).outcomes] == [10_000 - BURST - 1]


class Result(NamedTuple):
    """What one process did, and when, in seconds since the Unix epoch."""

    admitted: int
    asked: int
    began: float
    ended: float


def hammer(address: str, key: str) -> list[Result]:
    """Two processes with 32 threads each."""
    command = [sys.executable, "-m", "tests.ratelimit.hammer", address, "32", "15", str(BURST), key]
    environ = os.environ | {"DATABASE_URL": url_of_this_run()}
    processes = [
        subprocess.Popen(command, cwd=PROJECT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        words = [process.communicate(timeout=120)[0].split() for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0]
    return [Result(int(one[0]), int(one[1]), float(one[2]), float(one[3])) for one in words]


def url_of_this_run() -> str:
    """The URL of the database that this run tests with."""
    return os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{connection.settings_dict['NAME']}"
