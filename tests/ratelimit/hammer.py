"""One of the processes that strain a store: `python -m tests.ratelimit.hammer <store> <threads> <calls> <burst> <key>`.

Waits for a line on standard input, so that all of them begin together; then prints how many charges were admitted and
how many asked for, and when it began and ended.
"""

import os
import sys
import threading
import time
from datetime import timedelta

import django
import redis

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instantlite.settings")
django.setup()

from django.db import connection  # noqa: E402 — needs the settings

from instantlite.config import Rate  # noqa: E402
from ratelimit.gcra import Charge  # noqa: E402
from ratelimit.stores import PostgresStore, RedisStore, Store  # noqa: E402


def main(store_name: str, threads: str, calls: str, burst: str, key: str) -> None:
    """`store_name` is `postgresql` or the URL of a Redis."""
    store: Store = PostgresStore()
    if store_name != "postgresql":
        store = RedisStore(redis.Redis.from_url(store_name, decode_responses=True))
    # A day for each: nothing comes back while we look.
    charges = [
        Charge("provisions", key, Rate(1, timedelta(days=1), burst=int(burst))),
        Charge("requests", key, Rate(1, timedelta(days=1), burst=10_000)),
    ]
    admitted: list[bool] = []

    def work() -> None:
        for _ in range(int(calls)):
            admitted.append(store.charge(charges).allowed)
            connection.close()  # back to the pool, as at the end of a request

    workers = [threading.Thread(target=work) for _ in range(int(threads))]
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(sum(admitted), len(admitted), began, time.time(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
