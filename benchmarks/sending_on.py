"""Forwarding measured: how many deliveries a second, what it costs capturing, how long one is on its way."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks import http_load, inboxes
from benchmarks.http_load import Fired
from benchmarks.inboxes import Inbox
from benchmarks.instance import Instance
from benchmarks.load import Client
from benchmarks.report import Report, percentile
from benchmarks.served import PROJECT, cpu_seconds, free_port, wait_for

BODY = http_load.body(880)
NUMBERS = (1, 8, 64)
_OPEN = "SELECT count(*) FROM webhooks_delivery WHERE state IN ('pending', 'delivering')"


class Receiver:
    """The sink's process."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen([sys.executable, "-m", "benchmarks.sink", str(self.port)], cwd=PROJECT)
        wait_for(self._listens, 10, "the sink to listen")

    def seen(self) -> dict[str, Any]:
        """What came since the last time."""
        return Client(self.port).send("GET", "/seen").json()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def cpu(self) -> float:
        return cpu_seconds([self._process.pid])

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        return Client(self.port).send("GET", "/seen").status == 200


@contextmanager
def sink() -> Iterator[Receiver]:
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def measure(instance: Instance, report: Report, *, rounds: int, seconds: float) -> None:
    """All phases. Serves, and stops serving."""
    instance.start(**inboxes.SETTINGS, FORWARDING_ALLOW_NETWORKS="127.0.0.0/8")
    try:
        with sink() as receiver:
            for number in NUMBERS:
                rate(instance, report, receiver, number, round(1000 * seconds))
            on_its_way(instance, report, receiver, seconds * rounds)
            beside_a_hanging_one(instance, report, receiver, rounds, seconds)
            beside_capturing(instance, report, receiver, rounds, seconds)
    finally:
        instance.stop()


def rate(instance: Instance, report: Report, receiver: Receiver, number: int, deliveries: int) -> None:
    """A backlog to so many destinations, and how fast it is worked off."""
    ours = with_destinations(instance, [receiver.url(f"/{place}") for place in range(number)])
    for inbox in ours:
        send(instance, inbox)
    settle(instance)
    receiver.seen()
    before, used = time.monotonic(), (cpu(instance), receiver.cpu)
    with instance.connect() as platform:
        platform.execute(
            "INSERT INTO webhooks_delivery (id, endpoint_id, request_id, destination_id, url, origin, state, attempts,"
            " tries, created_at, next_at, until, note)"
            " SELECT webhooks_uuid7(date_part('epoch', clock_timestamp())::bigint * 1000000 + n), c.endpoint_id, c.id,"
            "  d.id, '', 'forward', 'pending', 0, 0, now(), now(), now() + interval '1 d', ''"
            " FROM webhooks_destination d JOIN webhooks_capturedrequest c ON c.endpoint_id = d.endpoint_id"
            " CROSS JOIN generate_series(1, %s) n WHERE d.endpoint_id = ANY (%s)",
            [deliveries // number, [inbox.id for inbox in ours]],
        )
        platform.execute(
            "UPDATE webhooks_destination SET wake_at = now() WHERE endpoint_id = ANY (%s)",
            [[inbox.id for inbox in ours]],
        )
        platform.execute("NOTIFY instantlite_deliveries")
    settle(instance)
    length = time.monotonic() - before
    sent = deliveries // number * number
    came = receiver.seen()["count"]
    now = cpu(instance)
    shares = {name: f"{100 * (now[name] - used[0][name]) / length:.0f} %" for name in now}
    report.title(f"{sent} deliveries to {number} destinations")
    report.line("delivered", f"{sent / length:.0f}/s, {came} came", "all came", came >= sent)
    report.line("shares of a core", f"{shares}, sink {100 * (receiver.cpu - used[1]) / length:.0f} %")


def on_its_way(instance: Instance, report: Report, receiver: Receiver, seconds: float) -> None:
    """From the moment that a sender begins to send until the destination has all of it, ten a second."""
    ours = with_destinations(instance, [receiver.url(f"/{place}") for place in range(8)])
    receiver.seen()
    paced(instance, ours, seconds)
    settle(instance)
    taken = receiver.seen()["milliseconds"]
    report.title(f"Sender to destination, 20 a second to 8 destinations, {len(taken)} requests")
    p50 = percentile(taken, 50)
    report.line("on its way", f"p50 {p50:.1f} ms  p99 {percentile(taken, 99):.1f} ms", "p50 <= 50 ms", p50 <= 50)


def beside_a_hanging_one(instance: Instance, report: Report, receiver: Receiver, rounds: int, seconds: float) -> None:
    """The same with and without a destination that never answers, in turn."""
    ours = with_destinations(instance, [receiver.url(f"/{place}") for place in range(8)])
    (hung,) = with_destinations(instance, [receiver.url("/hang")], timeout_seconds=30)
    ratios, alone, beside = [], [], []
    for _ in range(rounds):
        figures = []
        for senders in (ours, [*ours, hung]):
            receiver.seen()
            paced(instance, senders, seconds * 2)
            time.sleep(0.3)
            figures.append(receiver.seen()["milliseconds"])
        alone += figures[0]
        beside += figures[1]
        ratios.append(percentile(figures[1], 99) / percentile(figures[0], 99))
    forget(instance, [hung])
    report.title("Eight destinations, and a ninth that never answers, in turn")
    for name, taken in (("without it", alone), ("with it", beside)):
        report.line(name, f"p50 {percentile(taken, 50):.1f} ms  p99 {percentile(taken, 99):.1f} ms")
    ratio = percentile(beside, 99) / percentile(alone, 99)
    report.line("the others' p99, with / without", f"{ratio:.2f} (rounds: {shown(ratios)})", "<= 1.2", ratio <= 1.2)


def beside_capturing(instance: Instance, report: Report, receiver: Receiver, rounds: int, seconds: float) -> None:
    """As many captures as possible with and without a destination each, in turn."""
    off = inboxes.make(instance, 20)
    on = with_destinations(instance, [receiver.url(f"/{place}") for place in range(20)])
    fired: dict[str, list[Fired]] = {"off": [], "on": []}
    delivered = []
    for _ in range(rounds):
        for name, ours in (("off", off), ("on", on)):
            receiver.seen()
            paths = [inbox.receive for inbox in ours]
            fired[name].append(http_load.fire(instance.port, 16, seconds, paths, BODY))
            if name == "on":
                delivered.append(receiver.seen()["count"] / fired[name][-1].seconds)
            settle(instance)
    report.title("Captures over 16 connections, forwarding off and on, in turn")
    for name, runs in fired.items():
        median = statistics.median(one.rate for one in runs)
        p99 = statistics.median(one.p99 for one in runs)
        report.line(f"forwarding {name}", f"{median:.0f}/s  p99 {p99:.1f} ms")
    report.line("delivered meanwhile", f"{statistics.median(delivered):.0f}/s")
    ratios = [one.rate / other.rate for one, other in zip(fired["on"], fired["off"], strict=True)]
    ratio = statistics.median(ratios)
    report.line("captures, on / off", f"{ratio:.2f} (rounds: {shown(ratios)})", ">= 0.7", ratio >= 0.7)


def with_destinations(instance: Instance, urls: Sequence[str], **wanted: Any) -> list[Inbox]:
    """An inbox for each URL, which sends there."""
    ours = inboxes.make(instance, len(urls))
    client = Client(instance.port)
    for inbox, url in zip(ours, urls, strict=True):
        answer = client.send("POST", f"{inbox.api}/destinations", json.dumps({"url": url, **wanted}).encode())
        assert answer.status == 201, answer
    client.close()
    return ours


def forget(instance: Instance, ours: Sequence[Inbox]) -> None:
    """What these have still to send is not sent any more."""
    client = Client(instance.port)
    for inbox in ours:
        client.send("DELETE", inbox.api)
    client.close()


def send(instance: Instance, inbox: Inbox) -> None:
    """One request, which says when it was sent."""
    client = Client(instance.port)
    answer = client.send("POST", inbox.receive, stamped())
    client.close()
    assert answer.status == 200, answer


def stamped() -> bytes:
    return b'{"sent_ns": %d, ' % time.monotonic_ns() + BODY[1:]


def paced(instance: Instance, ours: Sequence[Inbox], seconds: float) -> None:
    """Twenty requests a second, to each in turn."""
    client = Client(instance.port)
    began = time.monotonic()
    for place in range(round(seconds * 20)):
        time.sleep(max(0.0, began + place / 20 - time.monotonic()))
        answer = client.send("POST", ours[place % len(ours)].receive, stamped())
        assert answer.status == 200, answer
    client.close()


def settle(instance: Instance, seconds: float = 300) -> None:
    """Until nothing waits to be delivered."""

    def done() -> bool:
        with instance.connect() as platform:
            row = platform.execute(_OPEN).fetchone()
        return row is not None and row[0] == 0

    wait_for(done, seconds, "the deliveries")


def cpu(instance: Instance) -> dict[str, float]:
    gunicorn, postgres = instance.processes()
    return {"gunicorn": cpu_seconds(gunicorn), "PostgreSQL": cpu_seconds(postgres)}


def shown(values: Sequence[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)
