"""The measuring half of ratelimit.py, in a process that has Django and knows both servers:

`latency <rounds>`, `throughput <seconds>`, `table <decisions>`, or `overshoot <contender> <threads> <calls> <burst>`.
"""

import itertools
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instantlite.settings")
django.setup()

from django.db import connection  # noqa: E402 — needs the settings

from benchmarks import contenders as field  # noqa: E402
from benchmarks.report import Report, percentile  # noqa: E402
from instantlite import redislink  # noqa: E402
from ratelimit.stores import PostgresStore  # noqa: E402

PLENTY = 10**6
URL = os.environ["REDIS_URL"]


def in_turn(calls: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Microseconds of each call: one of each in turn, so that all meet the same machine."""
    taken: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds + rounds // 10):
        for place, call in enumerate(calls):
            started = time.perf_counter()
            call()
            if turn >= rounds // 10:  # the first ones open connections and plan statements
                taken[place].append((time.perf_counter() - started) * 1e6)
    return taken


BARE = {"postgresql": field.bare_postgres, "redis": field.bare_redis}


def latency(report: Report, rounds: int) -> None:
    """p50 and p99 of each, in turn with a bare round trip to the same server, and how many of those it takes."""
    report.title(f"One decision at a time, {rounds} of each, in turn with a bare round trip to the same server")
    paired(report, "psycopg without Django", "postgresql", field.bare_psycopg, rounds)
    for one in field.contenders(URL, PLENTY):
        key, turn = secrets.token_hex(8), itertools.count()
        # DRF's list of times and the moving window grow with every call: a new key every hundred calls.
        paired(report, one.name, one.server, lambda: one.take(f"{key}-{next(turn) // 100}"), rounds)  # noqa: B023
    for one in field.contenders(URL, 1):
        if one.name.startswith("ours") and "together" not in one.name:
            one.take(key)
            paired(report, f"{one.name}, denied", one.server, lambda: one.take(key), rounds)  # noqa: B023


def paired(report: Report, name: str, server: str, call: Callable[[], object], rounds: int) -> None:
    """One line: the call, the bare round trip beside it, and how many of those it takes."""
    bare, taken = in_turn([BARE[server], call], rounds)
    ratio = percentile(taken, 50) / percentile(bare, 50)
    target = "<= 1.5" if name in ("ours, postgresql", "ours, redis") else ""
    p50, p99 = percentile(taken, 50), percentile(taken, 99)
    value = f"p50 {p50:4.0f} us  p99 {p99:4.0f} us  bare {percentile(bare, 50):4.0f} us"
    report.line(name, f"{value}  x {ratio:.2f}", target, reached=ratio <= 1.5 or not target)


def throughput(report: Report, seconds: float, threads: int = 4) -> None:
    """Decisions a second of one process with four threads, on four keys: a process has four connections."""
    report.title(f"As fast as {threads} threads of one process go, {seconds:.0f} s each")
    for one in field.contenders(URL, PLENTY):
        done = [0] * threads
        deadline = time.monotonic() + seconds

        def work(place: int, one: field.Contender = one, done: list[int] = done, deadline: float = deadline) -> None:
            key = secrets.token_hex(8)
            while time.monotonic() < deadline:
                one.take(f"{key}-{done[place] // 100}")
                done[place] += 1
            connection.close()

        workers = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        report.line(one.name, f"{sum(done) / seconds:8.0f} a second")


def table(report: Report, decisions: int, keys: int = 1000) -> None:
    """How the table bears so many decisions: half of them on one key, the rest on a thousand."""
    mine = field.ours(PostgresStore(), "postgresql", PLENTY)

    def p50() -> tuple[float, float]:
        bare, taken = in_turn([field.bare_postgres, lambda: mine.take("hot0")], 2000)
        return percentile(taken, 50), percentile(bare, 50)

    before, bare_before = p50()
    started = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(
            "DO $$ BEGIN FOR i IN 1.." + str(decisions) + " LOOP "
            "PERFORM ratelimit_charge(ARRAY['limit0:hot' || CASE WHEN i % 2 = 0 THEN 0 ELSE i % " + str(keys) + " END, "
            "'1000000', '1000000000000000'], clock_timestamp()); COMMIT; END LOOP; END $$"
        )
        took = time.monotonic() - started
        cursor.execute("SELECT pg_relation_size('ratelimit_bucket'), pg_indexes_size('ratelimit_bucket')")
        size, index = cursor.fetchone()
    after, bare_after = p50()
    report.title(f"{decisions:,} decisions on {keys + 1} keys, each its own transaction, inside the server")
    report.line("rate", f"{decisions / took:.0f} a second")
    report.line("table, index", f"{size / 1024:.0f} kB, {index / 1024:.0f} kB")
    report.line("p50 before, in bare round trips", f"{before:.0f} us  x {before / bare_before:.2f}")
    report.line("p50 after, in bare round trips", f"{after:.0f} us  x {after / bare_after:.2f}")


def overshoot(name: str, threads: int, calls: int, burst: int, key: str) -> None:
    """Takes part in straining one contender: waits for a line, then prints how many it was admitted."""
    one = next(one for one in field.contenders(URL, burst) if one.name == name)
    admitted: list[bool] = []

    def work() -> None:
        for _ in range(calls):
            admitted.append(one.take(key))
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    redislink.link._connect().ping()
    print("ready", flush=True)
    sys.stdin.readline()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(sum(admitted), flush=True)


def main(words: list[str]) -> int:
    """The exit status is 1 where a target was missed, so that the parent can say so."""
    report = Report()
    match words:
        case ["latency", rounds]:
            latency(report, int(rounds))
        case ["throughput", seconds]:
            throughput(report, float(seconds))
        case ["table", decisions]:
            table(report, int(decisions))
        case ["overshoot", name, threads, calls, burst, key]:
            overshoot(name, int(threads), int(calls), int(burst), key)
        case ["names"]:
            print("\n".join(one.name for one in field.contenders(URL, 1)))
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
