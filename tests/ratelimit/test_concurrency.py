"""64 threads in two processes on one key: not one more than the limit admits, and not one fewer than it allows."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

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
    admitted, asked = sum(one[0] for one in results), sum(one[1] for one in results)
    assert asked == 2 * 32 * 15
    assert admitted == BURST
    # Both processes had a share, or they did not run at the same time.
    assert all(one[0] > 0 for one in results)
    # A denial has charged none: the wider limit has been charged exactly as often.
    wide = Charge("requests", key, Rate(1, timedelta(days=1), burst=10_000))
    assert [one.remaining for one in store.charge([wide]).outcomes] == [10_000 - BURST - 1]


def hammer(address: str, key: str) -> list[tuple[int, int]]:
    """Admitted and asked, of each of two processes with 32 threads."""
    command = [sys.executable, "-m", "tests.ratelimit.hammer", address, "32", "15", str(BURST), key]
    environ = os.environ | {"DATABASE_URL": url_of_this_run()}
    processes = [
        subprocess.Popen(command, cwd=PROJECT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return [(int(output.split()[0]), int(output.split()[1])) for output in outputs]


def url_of_this_run() -> str:
    """The URL of the database that this run tests with."""
    return os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{connection.settings_dict['NAME']}"
