"""A thousand open event streams in one instance: what they cost in memory, and how soon each hears of a request."""

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks import inboxes
from benchmarks.inboxes import Inbox
from benchmarks.instance import CONFIGURATION, Instance
from benchmarks.load import Client
from benchmarks.report import Report
from benchmarks.served import PROJECT, cpu_seconds

MEGABYTE = 2**20
# All of one inbox may come to one process.
_CONFIGURATION = f"{CONFIGURATION}webhooks:\n  streams: 10000\n  streams_per_inbox: 10000\n"
_LISTEN = [sys.executable, str(PROJECT / "benchmarks" / "watching_client.py")]


@dataclass(frozen=True)
class Pace:
    """How long requests are sent, and how many a second."""

    seconds: float
    rate: float


@dataclass(frozen=True)
class Heard:
    """What the client saw: milliseconds from before a request was sent to when a stream had it."""

    p50: float
    p99: float
    longest: float
    received: int
    missing: int
    repeated: int
    broken: int
    cpu_seconds: float


class Listeners:
    """A process of its own that holds streams open."""

    def __init__(self, port: int, paths: list[str]) -> None:
        self._process = subprocess.Popen(
            _LISTEN, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._say({"port": port, "paths": paths})
        self.opened: int = self._hear()["opened"]

    def heard(self, sent: list[dict[str, object]]) -> Heard:
        """Ends them. `sent`: of each request its id, when it was sent, and the places of the streams it was for."""
        self._say({"sent": sent})
        heard = Heard(**self._hear())
        self._process.wait(10)
        return heard

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _say(self, what: dict[str, object]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, int]:
        assert self._process.stdout
        said: dict[str, int] = json.loads(self._process.stdout.readline())
        return said


def measure(report: Report, streams: int, seconds: float, rate: float = 20) -> None:
    """As many inboxes as streams, then one inbox that all of them watch."""
    with Instance(_CONFIGURATION) as instance:
        instance.start(**inboxes.SETTINGS)
        if not _there(instance):
            report.title(f"{streams} event streams")
            report.line("GET /webhook/{token}/events", "is not there", "an event stream", reached=False)
        else:
            for number in (streams, 1):
                _phase(report, instance, inboxes.make(instance, number), streams, Pace(seconds, rate))
        instance.stop()


def _there(instance: Instance) -> bool:
    return Listeners(instance.port, [f"{inboxes.make(instance, 1)[0].api}/events"]).heard([]).broken == 0


def _phase(report: Report, instance: Instance, watched: list[Inbox], streams: int, pace: Pace) -> None:
    before, _ = instance.memory()
    listeners = Listeners(instance.port, [f"{watched[place % len(watched)].api}/events" for place in range(streams)])
    try:
        ours, theirs = instance.processes()
        idle = cpu_seconds(ours), cpu_seconds(theirs)
        sent = _publish(instance.port, watched, streams, pace)
        time.sleep(1)
        used = cpu_seconds(ours) - idle[0], cpu_seconds(theirs) - idle[1]
        during, postgres = instance.memory()
        heard = listeners.heard(sent)
    finally:
        listeners.kill()
    inboxes_said = "an inbox each" if len(watched) > 1 else "one inbox"
    report.title(
        f"{streams:,} event streams on {inboxes_said}, {pace.rate:.0f} requests a second for {pace.seconds:.0f} s"
    )
    report.line("opened", f"{listeners.opened}", f"{streams}", reached=listeners.opened == streams)
    whole = sum(during) / MEGABYTE
    parts = ", ".join(f"{size / MEGABYTE:.0f}" for size in during)
    report.line("memory (PSS) of the instance", f"{whole:.0f} MB ({parts})", "<= 400 MB", reached=whole <= 400)
    report.line("… before they were opened", f"{sum(before) / MEGABYTE:.0f} MB")
    report.line("PostgreSQL, beside it", f"{postgres / MEGABYTE:.0f} MB" if postgres is not None else "not readable")
    _delivery(report, heard)
    seconds = pace.seconds + 1
    shares = f"gunicorn {100 * used[0] / seconds:.0f} %, PostgreSQL {100 * used[1] / seconds:.0f} %"
    report.line("shares of a core", f"{shares}, the streams' client {100 * heard.cpu_seconds / seconds:.0f} %")


def _delivery(report: Report, heard: Heard) -> None:
    times = f"p50 {heard.p50:.1f} ms  p99 {heard.p99:.1f} ms  longest {heard.longest:.0f} ms"
    report.line("sent until received", times, "p99 <= 250 ms", reached=heard.p99 <= 250 and heard.received > 0)
    exact = heard.received > 0 and not (heard.missing or heard.repeated or heard.broken)
    value = f"{heard.received}, {heard.missing} missing, {heard.repeated} twice, {heard.broken} streams broken"
    report.line("events received", value, "all, once", reached=exact)


def _publish(port: int, watched: list[Inbox], streams: int, pace: Pace) -> list[dict[str, object]]:
    """Posts at a steady rate: of each request its id, when it was sent (time.monotonic()) and who is to hear of it."""
    client, sent = Client(port), []
    started = time.monotonic()
    for number in range(round(pace.seconds * pace.rate)):
        time.sleep(max(0.0, started + number / pace.rate - time.monotonic()))
        place = random.randrange(len(watched))
        moment = time.monotonic()
        answer = client.send("POST", watched[place].receive, b'{"event": "published"}')
        assert answer.status == 200, answer
        places = list(range(streams)) if len(watched) == 1 else [place]
        sent.append({"id": answer.json()["id"], "at": moment, "places": places})
    client.close()
    return sent
