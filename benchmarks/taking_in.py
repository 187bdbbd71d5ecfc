"""Capturing beside its limit and its ceiling: pgbench, a bare view and the service, in turn, round by round."""

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

from benchmarks import http_load, inboxes, inserts, load
from benchmarks.http_load import Fired
from benchmarks.inboxes import Inbox
from benchmarks.inserts import Inserted
from benchmarks.instance import Instance
from benchmarks.report import Report
from benchmarks.served import Served, cpu_seconds, free_port, wait_for

CONNECTIONS = (16, 64)
INBOXES = 20
BODY = http_load.body(880)
# More than any inbox here is sent.
_ALL = 1_000_000


class Shares:
    """What of a core each took while phases of one kind ran, by its name."""

    def __init__(self) -> None:
        self.used: dict[str, float] = defaultdict(float)
        self.seconds = 0.0

    def __str__(self) -> str:
        return ", ".join(f"{name} {100 * used / self.seconds:.0f} %" for name, used in self.used.items())


class Bench:
    """The two services side by side, one idle while the other is measured, and what was seen."""

    def __init__(self, instance: Instance, bare: Served, bare_port: int, pgbench: Path | None) -> None:
        self._instance, self._bare, self._bare_port, self._pgbench = instance, bare, bare_port, pgbench
        self._inboxes = inboxes.make(instance, INBOXES)
        self._paths = [inbox.receive for inbox in self._inboxes]
        self.inserted: dict[int, list[Inserted]] = defaultdict(list)
        self.bare: dict[int, list[Fired]] = defaultdict(list)
        self.captured: dict[int, list[Fired]] = defaultdict(list)
        self.shares = {connections: Shares() for connections in CONNECTIONS}
        self.counted = True

    def round(self, seconds: float) -> None:
        """Each of them once, so long."""
        for connections in CONNECTIONS:
            if self._pgbench:
                done = inserts.run(self._pgbench, self._instance, connections, seconds, BODY)
                self.inserted[connections].append(done)
            self.bare[connections].append(http_load.fire(self._bare_port, connections, seconds, self._paths, BODY))
            self.captured[connections].append(self._capture(connections, seconds))

    def _capture(self, connections: int, seconds: float) -> Fired:
        before, counted = self._cpu(), taken(self._instance, self._inboxes)
        fired = http_load.fire(self._instance.port, connections, seconds, self._paths, BODY)
        shares = self.shares[connections]
        shares.seconds += fired.seconds
        shares.used["generator"] += fired.cpu
        for name, used in self._cpu().items():
            shares.used[name] += used - before[name]
        self.settle()
        counted = taken(self._instance, self._inboxes) - counted
        # What was under way as the generator hung up is stored too, and was answered to nobody.
        self.counted &= fired.good <= counted <= fired.good + connections and fired.bad == 0
        return fired

    def settle(self) -> None:
        """Until housekeeping has removed what this phase left too much of: the next one shall not pay for it."""
        wait_for(lambda: self._most_stored() <= 1.5 * 100 + 20, 30, "the inboxes to be trimmed")

    def _most_stored(self) -> int:
        with self._instance.connect() as platform:
            row = platform.execute(
                "SELECT max(stored) FROM webhooks_endpoint WHERE requests_stored < %s", [_ALL]
            ).fetchone()
        return int(str(row[0])) if row else 0

    def _cpu(self) -> dict[str, float]:
        gunicorn, postgres = self._instance.processes()
        return {"gunicorn": cpu_seconds(gunicorn), "PostgreSQL": cpu_seconds(postgres)}


def taken(instance: Instance, of: Sequence[Inbox]) -> int:
    """How many requests these inboxes say that they have ever taken in."""
    with instance.connect() as platform:
        row = platform.execute(
            "SELECT sum(captured) FROM webhooks_endpoint WHERE id = ANY (%s)", [[inbox.id for inbox in of]]
        ).fetchone()
    return int(str(row[0])) if row else 0


def measure(instance: Instance, report: Report, rounds: int, seconds: float) -> None:
    """The phases in turn, then whether every row is there. Serves, and stops serving."""
    pgbench = inserts.program()
    with ExitStack() as stack:
        instance.start(**inboxes.SETTINGS)
        stack.callback(instance.stop)
        port = free_port()
        environ = instance.environ({"PORT": str(port)})
        bare = Served("benchmarks/bare_gunicorn.py", "benchmarks.bare", port, environ, instance.folder / "bare.log")
        stack.callback(bare.stop)
        bench = Bench(instance, bare, port, pgbench)
        for _ in range(rounds):
            bench.round(seconds)
        for connections in CONNECTIONS:
            lines(report, bench, connections, f"{rounds} rounds of {seconds:.0f} s each, in turn")
        report.line(
            "captures counted, in every phase", "as 2xx" if bench.counted else "NOT AS 2xx", "equal", bench.counted
        )
        exactly(instance, report, seconds)


def lines(report: Report, bench: Bench, connections: int, how: str) -> None:
    """What was seen at so many connections."""
    report.title(f"{len(BODY)} bytes of JSON, {INBOXES} inboxes, {connections} connections: {how}")
    inserted, bare, captured = bench.inserted[connections], bench.bare[connections], bench.captured[connections]
    if inserted:
        mean = statistics.median(one.latency for one in inserted)
        rate = statistics.median(one.rate for one in inserted)
        report.line("pgbench, one prepared insert (the limit)", f"{rate:6.0f}/s  mean {mean:6.2f} ms")
    else:
        report.line("pgbench", "not found: apt-get install postgresql-contrib")
    _line(report, "a bare view (the ceiling)", bare)
    rate = _line(report, "capture", captured)
    ratio = statistics.median(one.rate / other.rate for one, other in zip(captured, bare, strict=True))
    report.line("capture / bare view", f"{ratio:.2f}", ">= 0.5", reached=ratio >= 0.5)
    report.line("capture a second", f"{rate:.0f}", ">= 2500", reached=rate >= 2500)
    if inserted:
        limit = statistics.median(one.rate / other.rate for one, other in zip(captured, inserted, strict=True))
        report.line("capture / pgbench", f"{limit:.2f}")
    report.line("shares of a core while capturing", str(bench.shares[connections]))


def _line(report: Report, name: str, fired: list[Fired]) -> float:
    rate = statistics.median(one.rate for one in fired)
    p50, p99 = statistics.median(one.p50 for one in fired), statistics.median(one.p99 for one in fired)
    report.line(name, f"{rate:6.0f}/s  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms")
    return rate


def exactly(instance: Instance, report: Report, seconds: float) -> None:
    """Inboxes that let nothing go: rows beside answers, and how many rows share a commit."""
    report.title("Rows beside answers, in inboxes that keep all")
    for connections in CONNECTIONS:
        ours = inboxes.make(instance, INBOXES, kept=_ALL)
        fired = http_load.fire(instance.port, connections, seconds, [inbox.receive for inbox in ours], BODY)
        time.sleep(1)  # what was under way is committed, or never
        rows, commits, _ = stored(instance, ours)
        reached = fired.good <= rows <= fired.good + connections
        value = f"{rows} rows, {fired.good} 2xx, {rows - fired.good} under way at the end"
        report.line(f"{http_load.generator()}, {connections} connections", value, "0 lost", reached)
        report.line("captures a commit", f"{rows / max(1, commits):.1f}")
    ours = inboxes.make(instance, INBOXES, kept=_ALL)
    done = load.run(instance.port, 64, paths=[inbox.receive for inbox in ours], body=BODY, requests=5000)
    rows, _, ids = stored(instance, ours)
    equal = {UUID(answer.json()["id"]) for answer in done.good} == ids and rows == len(done.good) == len(done.answers)
    report.line("5,000 requests, ids compared", f"{rows} rows, {len(done.good)} 2xx", "the same ids", equal)


def stored(instance: Instance, of: Sequence[Inbox]) -> tuple[int, int, set[UUID]]:
    """Their rows, the transactions that these came with, and their ids."""
    with instance.connect() as platform:
        rows = platform.execute(
            "SELECT id, xmin::text FROM webhooks_capturedrequest WHERE endpoint_id = ANY (%s)",
            [[inbox.id for inbox in of]],
        ).fetchall()
    return len(rows), len({row[1] for row in rows}), {UUID(str(row[0])) for row in rows}
