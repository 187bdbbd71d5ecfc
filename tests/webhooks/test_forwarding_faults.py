"""The whole service while it sends on: killed under load, without its PostgreSQL, told to end, beside another.

What was acknowledged arrives at least once, and every delivery is accounted for. Leases are not waited for: what a
killed process has left is given a lease that has run out, while no process is there that might hold it.
"""

import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
import requests
from psycopg.sql import SQL, Identifier

from tests.folders import open_folder
from tests.service import PROJECT, Service, under_load, wait_for
from tests.webhooks.receivers import Connection, ok, receiver

pytestmark = pytest.mark.timeout(180)

_ID = re.compile(rb"Instantlite-Request-Id: ([0-9a-f-]{36})")
_OPTIONS = {
    "forwarding": {"first_retry": "1s", "longest_retry": "1s"},
    "housekeeping": {"interval": "1s"},
}


@dataclass
class Arrivals:
    """A receiver's handler: how often each request came, and the order of those that it took."""

    seconds: float = 0.0
    came: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, connection: Connection) -> None:
        found = _ID.search(connection.request())
        if not found:
            return
        with self.lock:
            self.came[found[1].decode()] += 1
            self.order.append(found[1].decode())
        time.sleep(self.seconds)
        connection.send(ok())


@dataclass
class Sender:
    """An inbox of a service with destinations, and the ids of what it has acknowledged."""

    service: Service
    acknowledged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        with psycopg.connect(self.service.urls.platform) as platform:
            for table in ("delivery", "destination", "capturedrequest"):
                platform.execute(SQL("DELETE FROM {}").format(Identifier(f"webhooks_{table}")))
        made = self.service.post("/webhook/new").json()
        self.path = f"/webhook/{made['token']}"
        self.receive_path = made["receive_url"].removeprefix(self.service.url)
        with psycopg.connect(self.service.urls.platform) as platform:
            platform.execute("UPDATE webhooks_endpoint SET requests_stored = 100000")

    def to(self, url: str, **wanted: Any) -> None:
        answer = self.service.post(f"{self.path}/destinations", json={"url": url, "timeout_seconds": 0.5, **wanted})
        assert answer.status_code == 201, answer.text

    def send(self, service: Service | None = None) -> None:
        """One request; what is not acknowledged is not asked for."""
        to = service or self.service
        try:
            answer = requests.post(f"{to.url}{self.receive_path}/x", b"body", timeout=5)
        except requests.RequestException:
            time.sleep(0.2)
            return
        if answer.status_code == 200:
            self.acknowledged.append(answer.json()["id"])

    def open(self) -> int:
        return self._ask("SELECT count(*) FROM webhooks_delivery WHERE state IN ('pending', 'delivering')")

    def held(self) -> int:
        return self._ask("SELECT count(*) FROM webhooks_delivery WHERE state = 'delivering'")

    def _ask(self, question: str) -> int:
        with psycopg.connect(self.service.urls.platform) as platform:
            row: Any = platform.execute(question.encode()).fetchone()
        return int(row[0])

    def all_arrived(self, *arrivals: Arrivals) -> None:
        """Every acknowledged request came to each, nothing is stuck, and each stored request has its deliveries."""
        wait_for(lambda: self.open() == 0, seconds=30, what="nothing to be left")
        for one in arrivals:
            assert not set(self.acknowledged) - one.came.keys()
        assert self._ask("SELECT count(*) FROM webhooks_delivery WHERE state <> 'delivered'") == 0
        expected = self._ask("SELECT count(*) FROM webhooks_capturedrequest") * len(arrivals)
        assert self._ask("SELECT count(*) FROM webhooks_delivery") == expected


def end_leases(service: Service) -> int:
    """Of deliveries in the hands of processes that were killed; how many."""
    with psycopg.connect(service.urls.platform) as platform:
        return platform.execute("UPDATE webhooks_delivery SET next_at = now() WHERE state = 'delivering'").rowcount


@pytest.fixture(scope="module")
def served() -> Iterator[Service]:
    """A service that sends to this machine, tries again soon, and survives the end of its PostgreSQL."""
    with open_folder() as folder:
        config = folder / "config.yaml"
        config.write_text(json.dumps(_OPTIONS))
        options = {"CONFIG_PATH": str(config), "FORWARDING_ALLOW_NETWORKS": "127.0.0.0/8", "POOL_SIZE": "0"}
        service = Service(folder, {**options, "durable": "yes"}).start()
        yield service
        service.close()


def test_killed_under_load_it_loses_no_delivery_and_keeps_strict_order(served: Service) -> None:
    quick, slow, strict = Arrivals(), Arrivals(seconds=0.05), Arrivals(seconds=0.005)
    with receiver(quick) as there, receiver(slow) as other, receiver(strict) as last:
        sender = Sender(served)
        sender.to(there.url)
        sender.to(other.url)
        sender.to(last.url, ordered=True)
        left = 0

        def kill_and_start() -> None:
            nonlocal left
            for _ in range(2):
                already = len(sender.acknowledged)
                wait_for(lambda already=already: len(sender.acknowledged) > already + 30, what="some load")
                served.kill()
                left += end_leases(served)
                served.start()

        under_load(kill_and_start, sender.send, sender.send, sender.send)
        sender.all_arrived(quick, slow, strict)
    assert left > 0  # it was killed with deliveries under way
    assert list(dict.fromkeys(strict.order)) == sorted(strict.came)


def test_postgresql_killed_under_load_loses_no_delivery(served: Service) -> None:
    arrivals = Arrivals()
    with receiver(arrivals) as there:
        sender = Sender(served)
        sender.to(there.url)

        def kill_postgresql() -> None:
            wait_for(lambda: len(sender.acknowledged) > 30, what="some load")
            served.postgres.kill()
            time.sleep(0.2)
            served.postgres.start()
            already = len(sender.acknowledged)
            wait_for(lambda: len(sender.acknowledged) > already + 30, what="it to go on")

        under_load(kill_postgresql, sender.send, sender.send)
        # What a claim was about to hand out as the server went is in nobody's hands.
        wait_for(lambda: sender.open() == sender.held(), what="the rest to be sent")
        end_leases(served)
        sender.all_arrived(arrivals)


def test_told_to_end_it_records_what_is_under_way_and_another_goes_on(served: Service) -> None:
    arrivals = Arrivals(seconds=0.2)
    with receiver(arrivals) as there:
        sender = Sender(served)
        sender.to(there.url, timeout_seconds=20)
        for _ in range(12):
            sender.send()
        assert served.terminate() == 0
        # Whatever was under way was recorded: no lease is left behind.
        assert end_leases(served) == 0
        assert sender.open() > 0
        served.start()
        sender.all_arrived(arrivals)
    assert max(arrivals.came.values()) == 1


def test_with_a_process_for_housekeeping_that_one_sends(served: Service) -> None:
    served.kill()
    served.settings["HOUSEKEEPING_MODE"] = "worker"
    arrivals = Arrivals()
    try:
        served.start()
        with receiver(arrivals) as there:
            sender = Sender(served)
            sender.to(there.url)
            for _ in range(3):
                sender.send()
            assert couriers_of(served) == 0
            keeping = subprocess.Popen([sys.executable, "manage.py", "housekeeping"], cwd=PROJECT, env=served.environ)
            try:
                sender.all_arrived(arrivals)
                assert couriers_of(served) == 1
            finally:
                keeping.terminate()
                assert keeping.wait(20) == 0
    finally:
        del served.settings["HOUSEKEEPING_MODE"]


def couriers_of(service: Service) -> int:
    with psycopg.connect(service.urls.platform) as platform:
        row: Any = platform.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'instantlite courier'"
        ).fetchone()
    return int(row[0])
