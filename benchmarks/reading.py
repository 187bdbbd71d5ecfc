"""Reading an inbox among ten thousand stored captures and among millions: two instances, asked in turn.

The inbox has as many captures in both, a page of the disk to each: what differs is how much lies around it. A third
one, beside it in the large database, has so many that a search takes its time.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID

from benchmarks import inboxes
from benchmarks.inboxes import Inbox
from benchmarks.instance import Connection, Instance
from benchmarks.load import Client
from benchmarks.report import Report, percentile
from benchmarks.served import free_port

# Captures of the inbox that is read, of the large one, and of all in the small database; on how many days they lie.
OURS, BIG, SMALL, DAYS = 500, 10_000, 10_000, 5
_PAGE = 50

# Nothing older than an inbox is looked for: they are as old as their captures. None is trimmed.
_AGE = "UPDATE webhooks_endpoint SET created_at = now() - interval '5 days', requests_stored = 1000000"
_MORE_INBOXES = """
INSERT INTO webhooks_endpoint
    (id, name, fingerprint, state, created_at, expires_at, requests_stored, captured, stored, newest_us)
SELECT gen_random_uuid(), name, fingerprint, state, created_at, expires_at, requests_stored, 0, 0, 0
FROM webhooks_endpoint, generate_series(1, %s) WHERE id = %s
"""
# One day's, in the order of time. Of an inbox's, every tenth is a PUT, every hundredth has a word in its body.
_FILL = """
INSERT INTO webhooks_capturedrequest
    (id, endpoint_id, received_at, method, target, version, content_type, client, size, too_large, headers, body)
SELECT webhooks_uuid7(us), endpoint, to_timestamp(us / 1e6), CASE WHEN k %% 10 = 0 THEN 'PUT' ELSE 'POST' END,
    '/webhook/receive/0123456789abcdef0123456789abcdef' || CASE k %% 20 WHEN 0 THEN '/orders/' || k ELSE '' END, '1.1',
    'application/json', '192.0.2.1', octet_length(body), false,
    '[["Host", "example.com"], ["Content-Type", "application/json"], ["User-Agent", "sender/1.0"]]', body
FROM (
    SELECT endpoint, k, us,
        convert_to(format('{"event": "order.paid", "number": %%s%%s}', k,
            CASE WHEN k %% 100 = 0 THEN ', "note": "needle"' ELSE '' END), 'UTF8') AS body
    FROM (
        SELECT CASE WHEN n %% %(every)s = 0 THEN %(ours)s WHEN n %% %(big_every)s = 1 THEN %(big)s
                ELSE (%(others)s::uuid[])[1 + n::bigint * 7919 %% %(count)s] END AS endpoint,
            CASE WHEN n %% %(every)s = 0 THEN n / %(every)s ELSE n / %(big_every)s END AS k,
            (date_part('epoch', %(day)s::timestamptz) * 1000000)::bigint + n * (80000000000 / %(rows)s) AS us
        FROM generate_series(0, %(rows)s - 1) n
    ) placed
) made
"""
_NEWEST = """
SELECT id, endpoint_id, received_at, method, target, version, content_type, client, size, too_large
FROM webhooks_capturedrequest
WHERE endpoint_id = %s AND id >= webhooks_first_uuid7(now() - interval '5 days') ORDER BY id DESC LIMIT 51
"""
QUERIES = {
    "newest page": "",
    "a page in the middle": "&before={middle}",
    "method=PUT": "&method=PUT",
    "path=/orders": "&path=/orders",
    "q=needle": "&q=needle",
    "q=haystack, which is nowhere": "&q=haystack",
}


@dataclass
class Side:
    """One database: `stored` captures in all, of which `ours` has OURS, and `big` BIG where there are enough."""

    instance: Instance
    stored: int
    ours: Inbox = field(init=False)
    big: Inbox = field(init=False)

    def fill(self) -> None:
        """Makes inboxes and captures, two days at a time; then does what autovacuum would in time."""
        self.ours, self.big = inboxes.make(self.instance, 2)
        with self.instance.connect() as platform:
            platform.execute(_AGE)
            platform.execute(_MORE_INBOXES, [max(19, self.stored // 1000), self.ours.id])
            rows = platform.execute(
                "SELECT id FROM webhooks_endpoint WHERE id <> ALL (%s)", [[self.ours.id, self.big.id]]
            ).fetchall()
            others = [UUID(str(row[0])) for row in rows]
            days = platform.execute(
                "SELECT (now() AT TIME ZONE 'UTC')::date - ago FROM generate_series(0, %s) ago", [DAYS]
            ).fetchall()
            for day in days:
                platform.execute("SELECT webhooks_make_partition(%s)", day)
            named = [str(day[0]) for day in days[1:]]
            with ThreadPoolExecutor() as pool:
                for filled in [pool.submit(self._fill, named[half::2], others) for half in range(2)]:
                    filled.result()
            platform.execute("VACUUM ANALYZE webhooks_capturedrequest")
            platform.execute("ANALYZE webhooks_endpoint")
            rows = platform.execute("SELECT count(*) FROM webhooks_capturedrequest").fetchall()
            assert rows == [(self.stored,)], rows

    def _fill(self, days: list[str], others: list[UUID]) -> None:
        values = {
            "every": self.stored // OURS,
            # Where there are too few for it, a row a day.
            "big_every": self.stored // BIG if self.stored > 10 * BIG else 2**31,
            "ours": self.ours.id,
            "big": self.big.id,
            "others": others,
            "count": len(others),
            "rows": self.stored // DAYS,
        }
        with self.instance.connect() as platform:
            platform.execute("SET synchronous_commit = off")
            for day in days:
                platform.execute(_FILL, {**values, "day": f"{day} 00:00:00+00"})

    def middle(self, inbox: Inbox) -> str:
        """The id of a capture that has as many before it as after it."""
        with self.instance.connect() as platform:
            rows = platform.execute(
                "SELECT id FROM webhooks_capturedrequest WHERE endpoint_id = %s ORDER BY id", [inbox.id]
            ).fetchall()
        return str(rows[len(rows) // 2][0])


def measure(report: Report, stored: int, calls: int) -> None:
    """Fills both databases, then asks both in turn, through SQL and through the API."""
    with Instance() as small, Instance(port=free_port()) as large:
        sides = [Side(small, SMALL), Side(large, stored)]
        _prepare(large)
        started = time.monotonic()
        for side in sides:
            side.instance.start(**inboxes.SETTINGS)
            side.fill()
        report.title(
            f"Reading an inbox of {OURS}: of {SMALL:,} captures in all; of {stored:,}; "
            f"and one of {BIG:,}, of {stored:,}. p50 of each"
        )
        report.line("made in", f"{time.monotonic() - started:.0f} s")
        _through_sql(report, sides, calls)
        for name, query in QUERIES.items():
            _through_api(report, sides, name, query, calls if "q=" not in name else max(5, calls // 10))
        small.stop()
        large.stop()


def _prepare(instance: Instance) -> None:
    """So many rows at once shall not wait for a checkpoint every gigabyte."""
    with instance.connect("superuser") as admin:
        admin.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
        admin.execute("SELECT pg_reload_conf()")


def _in_turn(asked: list[Callable[[], object]], calls: int) -> list[list[float]]:
    """Milliseconds of each, one call after the other."""
    taken: list[list[float]] = [[] for _ in asked]
    for call in asked:
        call()  # what is read for the first time comes from the disk
    for _ in range(calls):
        for place, call in enumerate(asked):
            started = time.perf_counter()
            call()
            taken[place].append((time.perf_counter() - started) * 1000)
    return taken


def _through_sql(report: Report, sides: list[Side], calls: int) -> None:
    opened: list[Connection] = [side.instance.connect() for side in sides]
    asked = [(opened[0], sides[0].ours), (opened[1], sides[1].ours), (opened[1], sides[1].big)]

    def ask(connection: Connection, inbox: Inbox) -> Callable[[], object]:
        return lambda: connection.execute(_NEWEST, [inbox.id]).fetchall()

    _line(report, "newest page, SQL", _in_turn([ask(*one) for one in asked], calls), bounded=True)
    rows = opened[1].execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {_NEWEST}", [sides[1].ours.id])
    plan = [str(row[0]) for row in rows.fetchall()]
    scans = [line.strip() for line in plan if "Scan" in line]
    used = bool(scans) and all("Index Scan" in line or "never executed" in line for line in scans)
    report.line("its plan", "index scans, in order" if used else "OTHERWISE", "no other scan", reached=used)
    for line in scans[:2]:
        print(f"      {line[:110]}")
    for connection in opened:
        connection.close()


def _through_api(report: Report, sides: list[Side], name: str, query: str, calls: int) -> None:
    found: dict[int, int] = {}

    def ask(place: int, side: Side, inbox: Inbox) -> Callable[[], object]:
        client = Client(side.instance.port)
        path = f"{inbox.api}/requests?limit={_PAGE}{query.format(middle=side.middle(inbox))}"

        def call() -> None:
            answer = client.send("GET", path)
            assert answer.status == 200, answer
            found[place] = len(answer.json()["items"])

        return call

    asked = [(sides[0], sides[0].ours), (sides[1], sides[1].ours), (sides[1], sides[1].big)]
    taken = _in_turn([ask(place, *one) for place, one in enumerate(asked)], calls)
    assert found[0] == found[1], "both hold the same"
    _line(report, f"{name}, API ({found[0]}, {found[2]} found)", taken, bounded=name == "newest page")


def _line(report: Report, what: str, taken: list[list[float]], *, bounded: bool) -> None:
    small, large, big = (percentile(one, 50) for one in taken)
    ratio = large / small
    value = f"{small:6.2f} ms  {large:6.2f} ms  x {ratio:.2f}  {big:6.2f} ms"
    report.line(what, value, "<= 1.2" if bounded else "", reached=ratio <= 1.2 or not bounded)
