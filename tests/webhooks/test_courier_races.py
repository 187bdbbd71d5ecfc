"""Several couriers and senders at once: nothing is lost, sent twice, or out of order."""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import connection

from tests.service import wait_for
from tests.webhooks import couriers, moments, sending
from tests.webhooks.couriers import at_once
from tests.webhooks.receivers import Connection, ok, receiver
from webhooks import courier as courier_module
from webhooks.models import Attempt, Endpoint
from webhooks.writer import Writer

_ID = re.compile(rb"Instantlite-Request-Id: ([0-9a-f-]{36})")


class Counting:
    """A receiver's handler: which requests came, and how many at once."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.came: list[str] = []
        self.most = self._now = 0
        self._lock = threading.Lock()

    def __call__(self, connection: Connection) -> None:
        head = connection.request()
        found = _ID.search(head)
        assert found
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.came.append(found[1].decode())
        time.sleep(self.seconds)
        with self._lock:
            self._now -= 1
        connection.send(ok())


@pytest.fixture
def two_couriers(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    couriers.to_loopback(settings, concurrency=3)
    # Without looking by themselves: whatever is done here was done because somebody was told.
    monkeypatch.setattr(courier_module, "_LOOK_SECONDS", 600.0)
    with couriers.running(), couriers.running():
        yield


def written(endpoint: Endpoint, number: int) -> list[str]:
    """Requests of one sender, one after the other."""
    writer = Writer()
    try:
        verdicts = [writer.write([sending.capture(endpoint.pk, target="/x")], None)[0] for _ in range(number)]
    finally:
        writer.close()
    return [str(verdict.request_id) for verdict in verdicts]


def all_done(endpoint: Endpoint) -> None:
    wait_for(lambda: not couriers.open_deliveries(endpoint.pk), what="all deliveries to be done")


def test_no_wake_up_is_lost_between_capturing_and_claiming(two_couriers: None, endpoint: Endpoint) -> None:
    counting = Counting()
    with receiver(counting) as there:
        moments.destination(endpoint, url=there.url)
        sent = [one for sent in at_once(*[lambda: written(endpoint, 25)] * 4) for one in sent]
        all_done(endpoint)
    assert Counter(counting.came) == Counter(sent)
    assert Attempt.objects.count() == len(sent)


def test_no_more_than_there_is_room_for_are_under_way_at_one_destination(
    two_couriers: None, endpoint: Endpoint
) -> None:
    counting = Counting(seconds=0.01)
    with receiver(counting) as there:
        moments.destination(endpoint, url=there.url)
        sent = written(endpoint, 40)
        all_done(endpoint)
    assert counting.most == 3
    assert Counter(counting.came) == Counter(sent)


def test_strict_order_holds_with_failures_and_several_couriers(two_couriers: None, endpoint: Endpoint) -> None:
    """Each request fails twice; none overtakes it."""
    counting = Counting()
    tries: Counter[str] = Counter()
    lock = threading.Lock()

    def handle(connection: Connection) -> None:
        found = _ID.search(connection.request())
        assert found
        with lock:
            tries[found[1].decode()] += 1
            number = tries[found[1].decode()]
        if number == 1:
            return connection.send(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")
        return counting(connection)

    with receiver(handle) as there:
        moments.destination(endpoint, url=there.url, ordered=True)
        at_once(*[lambda: written(endpoint, 8)] * 3)
        all_done(endpoint)
    stored = [str(one.pk) for one in sending.stored(endpoint.pk)]
    assert counting.came == stored
    assert counting.most == 1
    assert set(tries.values()) == {2}


def test_what_one_that_ends_leaves_is_sent_by_another_at_once(
    endpoint: Endpoint, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    couriers.to_loopback(settings)
    monkeypatch.setattr(courier_module, "_LOOK_SECONDS", 600.0)
    counting, go = Counting(), threading.Event()

    def handle(connection: Connection) -> None:
        connection.request()
        go.wait(10)
        counting(connection)

    with receiver(handle) as there, couriers.running() as first:
        moments.destination(endpoint, url=there.url)
        moments.captured(endpoint, b"1", b"2")
        wait_for(lambda: first.under_way == 1, what="the first to send")
        with couriers.running():
            wait_for(lambda: listening() == 2, what="the second to wait")
            first.stop()
            go.set()
            all_done(endpoint)
    assert len(counting.came) == 2


def listening() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'instantlite courier'"
            " AND state = 'idle' AND query LIKE 'SELECT least(%'"
        )
        row: Any = cursor.fetchone()
    return int(row[0])


def test_processes_that_claim_at_once_never_have_the_same(endpoint: Endpoint) -> None:
    there = [moments.destination(endpoint, room=20) for _ in range(3)]
    moments.captured(endpoint, *[b""] * 60)
    claimed: list[Any] = []
    with ExitStack() as stack:
        hands = [stack.enter_context(moments.hands()).later(5) for _ in range(4)]

        def claim(mine: moments.Hands) -> None:
            deadline = time.monotonic() + 20
            while len(claimed) < 20 * len(there) and time.monotonic() < deadline:
                claimed.extend(one.delivery_id for one in mine.claim(most=3, room=20))

        at_once(*[lambda mine=mine: claim(mine) for mine in hands])
    assert len(claimed) == len(set(claimed)) == 20 * len(there)
