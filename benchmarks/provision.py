"""Measures how fast databases are handed out: `make bench-provision`, with ARGS=--quick for a short run.

One run on one machine: the raw CREATE ROLE + CREATE DATABASE and the service are measured on the same PostgreSQL, the
raw one again around each phase, because CREATE DATABASE slows down as a server fills. docs/benchmarks.md explains the
lines.
"""

import argparse
import os
import re
import statistics
import sys
import time
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, and the project is not installed

from benchmarks import load
from benchmarks.instance import Instance
from benchmarks.load import Load
from benchmarks.report import Report, percentile, run

MEGABYTE = 2**20


class Raw:
    """CREATE ROLE and CREATE DATABASE by hand, as the provisioner, over one connection that is open already."""

    def __init__(self, instance: Instance, template: str | None = None) -> None:
        self._instance = instance
        self._template = template
        self.milliseconds: list[float] = []

    def measure(self, times: int) -> float:
        """Makes so many, drops them again (not counted), and gives the median of these in milliseconds."""
        names = [f"raw_{number}" for number in range(times)]
        taken: list[float] = []
        with self._instance.connect("customer") as admin:
            for name in names:
                started = time.perf_counter()
                self._create(admin, name)
                taken.append((time.perf_counter() - started) * 1000)
        self._instance.drop(names)
        self.milliseconds += taken
        return statistics.median(taken)

    def _create(self, admin: psycopg.Connection[tuple[object, ...]], name: str) -> None:
        admin.execute(SQL("CREATE ROLE {} LOGIN PASSWORD 'raw'").format(Identifier(name)))
        suffix = SQL(" TEMPLATE {}").format(Identifier(self._template)) if self._template else SQL("")
        admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)) + suffix)

    @property
    def p50(self) -> float:
        return percentile(self.milliseconds, 50)

    @property
    def rate(self) -> float:
        """In a second, one after the other."""
        return 1000 * len(self.milliseconds) / sum(self.milliseconds)


def from_pool(instance: Instance, done: Load) -> int:
    """How many of the requests got a database that was finished before they were sent."""
    with instance.connect() as platform:
        rows = platform.execute("SELECT id::text, extract(epoch FROM built_at) FROM provisioning_database").fetchall()
    built = {str(key): float(str(moment)) for key, moment in rows if moment is not None}
    return sum(built.get(answer.json().get("id", ""), answer.begun + 1) <= answer.begun for answer in done.good)


def private_template(instance: Instance) -> str:
    """The template that the service copies, once it has made it."""
    with instance.connect("customer") as admin:
        row = admin.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE 'il\\_%\\_template\\_%' AND NOT datallowconn"
        ).fetchone()
    assert row, "the service has not made its template"
    return str(row[0])


def raw_phase(instance: Instance, report: Report, times: int) -> None:
    """The reference on an empty server, from either template."""
    instance.start(POOL_SIZE="1")
    instance.fill_pool(1)
    instance.stop()
    default, private = Raw(instance), Raw(instance, private_template(instance))
    default.measure(3)  # the first copies read the template from the disk
    for _ in range(4):
        default.measure(times // 4)
        private.measure(times // 4)
    report.title("Raw: CREATE ROLE + CREATE DATABASE, one connection, one after the other, empty server")
    report.times("from template1 (the reference)", default.milliseconds, f"{default.rate:.1f} a second")
    report.times("from the service's private template", private.milliseconds, f"{private.rate:.1f} a second")
    instance.clear()


def statements_phase(instance: Instance, report: Report, requests: int = 10) -> None:
    """Counts what the server logs for claims alone: the pool is filled before, and no housekeeping runs meanwhile."""
    instance.start(POOL_SIZE=str(requests + 8))
    instance.fill_pool(requests + 8)
    instance.stop()
    instance.start(POOL_SIZE=str(requests + 8), HOUSEKEEPING_MODE="off", WEB_CONCURRENCY="1")
    load.run(instance.port, 1, requests=3)  # connections are made, catalogs are read
    with instance.connect("superuser") as admin:
        admin.execute("ALTER SYSTEM SET log_statement = 'all'")
        admin.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)  # the server's processes have seen it
        start = instance.server_log().stat().st_size
        done = load.run(instance.port, 1, requests=requests)
        log = instance.server_log().read_bytes()[start:].decode(errors="replace")
        admin.execute("ALTER SYSTEM RESET log_statement")
        admin.execute("SELECT pg_reload_conf()")
    instance.stop()
    sent = statements(log)
    each = len(sent) / max(1, len(done.good))
    report.title("Statements per claim, BEGIN and COMMIT included, from the server's log")
    report.line("statements", f"{each:.1f}", "<= 3", reached=each <= 3 and len(done.good) == requests)
    for text in sent[: round(each)]:
        print(f"      {text[:110]}")
    instance.clear()


def statements(log: str) -> list[str]:
    """The statements of the platform's role and of the provisioner's, each on one line."""
    # A line that begins with a date begins an entry; a statement of several lines goes on in the next ones.
    entries = re.split(r"^(?=\d{4}-\d\d-\d\d )", log, flags=re.MULTILINE)
    ours = re.compile(
        r"\] (instantlite|instantlite_provisioner)@\S+ LOG:  (?:statement|execute [^:]*): (.*)", re.DOTALL
    )
    found = (" ".join(match[2].split()) for entry in entries if (match := ours.search(entry)))
    # The pool tries a connection with an empty query before it hands it out: a round trip, and no statement.
    return [text for text in found if text]


def warm_phase(instance: Instance, report: Report, clients: int, requests: int, pause: float = 0.0) -> None:
    """Every request finds a finished database. The refill runs meanwhile, as it does in service."""
    raw = Raw(instance)
    raw.measure(max(10, requests // 10))
    instance.start(POOL_SIZE=str(requests + 10))
    instance.fill_pool(requests + 10)
    done = load.run(instance.port, clients, requests=requests, pause=pause)
    served = from_pool(instance, done)
    instance.stop()
    instance.clear()
    raw.measure(max(10, requests // 10))
    p50 = percentile(done.milliseconds, 50)
    ratio = p50 / raw.p50
    pace = f", one every {pause * 1000:.0f} ms" if pause else ", back to back"
    report.title(f"POST /db/new, warm, {clients} client{'s' if clients > 1 else ''}{pace}, {requests} requests")
    report.times("answer", done.milliseconds, f"{done.rate:.0f} a second; load generator {generator(done)}")
    report.line("raw, around this phase", f"p50 {raw.p50:7.2f} ms")
    target = "<= 0.1" if clients == 1 else ""
    report.line("warm p50 / raw p50", f"{ratio:.3f}", target, reached=ratio <= 0.1 or not target)
    report.line("from the pool / built meanwhile", f"{served} / {requests - served}")
    verify(report, done, requests)


def burst_phase(instance: Instance, report: Report, clients: int = 50) -> None:
    """As many at once, with the pool as it comes."""
    instance.start()
    instance.fill_pool(10)
    done = load.run(instance.port, clients, requests=clients)
    served = from_pool(instance, done)
    instance.stop()
    report.title(f"A burst of {clients} at once, pool of 10")
    report.times("answer", done.milliseconds, f"all done after {done.seconds:.2f} s")
    report.line("from the pool / built meanwhile", f"{served} / {len(done.good) - served}")
    verify(report, done, clients)
    instance.clear()


def sustained_phase(instance: Instance, report: Report, seconds: float, clients: int = 8, total: int = 1000) -> None:
    """Far beyond the pool: the rate is that of building. Then on, to so many requests, for the memory."""
    raw = Raw(instance)
    raw.measure(20)
    instance.start()
    instance.fill_pool(10)
    done = load.run(instance.port, clients, seconds=seconds)
    raw_beside = Raw(instance)
    tokens = [str(answer.json()["token"]) for answer in done.good]
    more = max(0, total - len(done.answers))
    load.run(instance.port, clients, method="GET", paths=[f"/db/{token}" for token in tokens], requests=more)
    ours, postgres = instance.memory()
    instance.stop()
    # With the databases of the phase still there, then without: what the phase saw lies between.
    raw_beside.measure(20)
    instance.clear()
    raw.measure(20)
    raw.milliseconds += raw_beside.milliseconds * 2
    ratio = done.rate / raw.rate
    report.title(f"Sustained: {clients} clients for {seconds:.0f} s, pool of 10, {len(done.good)} databases")
    report.times("answer", done.milliseconds, f"load generator {generator(done)}")
    report.line("rate", f"{done.rate:.1f} a second")
    report.line("raw serial rate, empty and full server", f"{raw.rate:.1f} a second")
    report.line("sustained / raw", f"{ratio:.2f}", ">= 0.8", reached=ratio >= 0.8)
    verify(report, done, len(done.answers))
    report.title(f"Memory (PSS) after {max(total, len(done.answers))} requests")
    names = ["master", *(f"worker {number}" for number in range(1, len(ours)))]
    parts = ", ".join(f"{name} {size / MEGABYTE:.0f}" for name, size in zip(names, ours, strict=True))
    whole = sum(ours) / MEGABYTE
    report.line("master, workers with housekeeping", f"{whole:.0f} MB", "<= 350 MB", reached=whole <= 350)
    print(f"  {'':<44} {parts}")
    report.line("PostgreSQL, beside it", f"{postgres / MEGABYTE:.0f} MB" if postgres is not None else "not readable")


def generator(done: Load) -> str:
    """What the load generator took of one core."""
    return f"{100 * done.cpu_seconds / done.seconds:.0f} % of a core"


def verify(report: Report, done: Load, requests: int) -> None:
    """Every request is to be answered with 201."""
    others = sorted({answer.status for answer in done.answers} - {201})
    shown = f"{len(done.good)} of {requests}" + (f", others {others}" if others else "")
    report.line("answered 201", shown, "all", reached=len(done.good) == requests)


def main() -> int:
    """Runs every phase; the exit status is 0 also when a target is missed: the table says so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer requests: a look, not a measurement")
    quick = parser.parse_args().quick
    report = Report()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, PostgreSQL with fsync on, gunicorn with 2 workers")
    with Instance() as instance:
        raw_phase(instance, report, 20 if quick else 100)
        statements_phase(instance, report)
        warm_phase(instance, report, 1, 30 if quick else 200)
        warm_phase(instance, report, 1, 20 if quick else 60, pause=0.25)
        warm_phase(instance, report, 8, 40 if quick else 200)
        burst_phase(instance, report)
        sustained_phase(instance, report, 5 if quick else 15, total=300 if quick else 1000)
    report.conclude()
    return 0


if __name__ == "__main__":
    run(main)
