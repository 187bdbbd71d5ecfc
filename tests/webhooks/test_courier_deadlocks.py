"""Everything that touches deliveries, done at once by many: no deadlock, and everything accounted for."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from instantlite import platformdb
from tests.service import wait_for
from tests.webhooks import couriers, moments, sending
from tests.webhooks.couriers import at_once
from tests.webhooks.receivers import Connection, receiver
from webhooks import courier, deliveries, destinations, endpoints, replay
from webhooks.models import CapturedRequest, Delivery, Destination, Endpoint
from webhooks.writer import Writer

SECONDS = 4


class Moody:
    """A receiver that takes half of what it gets, until it has `calmed`."""

    calmed = False

    def __call__(self, connection: Connection) -> None:
        connection.request()
        statuses = (b"200 OK", b"200 OK", b"200 OK", b"500 Oops", b"400 No", b"410 Gone")
        status = statuses[0] if self.calmed else random.choice(statuses)
        connection.send(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)


@dataclass
class Everybody:
    """What senders, owners, operators and housekeepers do, each with an inbox of theirs at random."""

    url: str
    inboxes: list[Endpoint] = field(default_factory=lambda: [sending.endpoint(requests_stored=10) for _ in range(2)])
    over: float = field(default_factory=lambda: time.monotonic() + SECONDS)

    def again_and_again(self, work: Callable[[Endpoint], object], pause: float = 0.05) -> Callable[[], None]:
        def call() -> None:
            while time.monotonic() < self.over:
                work(random.choice(self.inboxes))
                platformdb.let_go_of_connection()
                time.sleep(random.uniform(0, pause))

        return call

    def capture(self) -> None:
        writer = Writer()
        try:
            while time.monotonic() < self.over:
                writer.write([sending.capture(random.choice(self.inboxes).pk) for _ in range(6)], None)
        finally:
            writer.close()

    def add_destinations(self, inbox: Endpoint) -> None:
        if Destination.objects.of(inbox.pk).count() < 4:
            moments.destination(inbox, url=self.url, ordered=random.random() < 0.3)

    def delete_a_destination(self, inbox: Endpoint) -> None:
        row = Destination.objects.of(inbox.pk).order_by("?").first()
        if row and random.random() < 0.3:
            destinations.remove(row)

    def change_a_destination(self, inbox: Endpoint) -> None:
        row = Destination.objects.of(inbox.pk).order_by("?").first()
        if row:
            destinations.change(row, {"enabled": True, "ordered": random.random() < 0.5})

    def replay_some(self, inbox: Endpoint) -> None:
        rows = list(CapturedRequest.objects.of(inbox.pk)[:5])
        try:
            replay.replay(rows, replay.targets(inbox))
            replay.replay(rows[:1], replay.targets(inbox, url=f"{self.url}/{random.randrange(30)}"))
        except replay.NoDestination:
            return

    def delete_requests(self, inbox: Endpoint) -> None:
        found = CapturedRequest.objects.of(inbox.pk).order_by("?").values_list("pk", flat=True)[:4]
        endpoints.delete_requests(inbox.pk, list(found))

    def try_again(self, inbox: Endpoint) -> None:
        deliveries.all_again(inbox.pk)
        row = Delivery.objects.filter(endpoint_id=inbox.pk).order_by("?").first()
        if row:
            deliveries.again(row)

    def end_leases(self, _: Endpoint) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE webhooks_delivery SET next_at = clock_timestamp() WHERE id IN ("
                " SELECT id FROM webhooks_delivery WHERE state = 'delivering' FOR UPDATE SKIP LOCKED)"
            )
        deliveries.put_back()

    def keep_house(self, _: Endpoint) -> None:
        endpoints.trim_one()
        deliveries.give_up()
        deliveries.purge_one_batch()

    def end_an_inbox(self, _: Endpoint) -> None:
        mortal = sending.endpoint()
        for _number in range(3):
            moments.destination(mortal, url=self.url)
        moments.captured(mortal, *[b""] * 5)
        endpoints.expire(mortal)

    def do(self) -> None:
        at_once(
            self.capture,
            self.capture,
            self.again_and_again(self.keep_house, 0.01),
            self.again_and_again(self.keep_house),
            self.again_and_again(self.add_destinations),
            self.again_and_again(self.delete_a_destination),
            self.again_and_again(self.change_a_destination),
            self.again_and_again(self.replay_some),
            self.again_and_again(self.delete_requests),
            self.again_and_again(self.try_again, 0.2),
            self.again_and_again(self.end_leases, 0.2),
            self.again_and_again(self.end_an_inbox, 0.2),
        )


def test_everybody_at_once_waits_for_no_deadlock(
    transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    couriers.to_loopback(settings, backlog=5, concurrency=4)
    monkeypatch.setattr(courier, "_LOOK_SECONDS", 0.5)
    before = deadlocks()
    moody = Moody()
    with receiver(moody) as there, couriers.running(), couriers.running():
        everybody = Everybody(there.url)
        everybody.do()
        moody.calmed = True
        for inbox in everybody.inboxes:
            wait_for(lambda inbox=inbox: all_sent(inbox), seconds=60, what="all to be sent")
    assert deadlocks() == before
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")], caplog.text
    for inbox in everybody.inboxes:
        inbox.refresh_from_db()
        assert inbox.stored == len(sending.stored(inbox.pk))


def all_sent(inbox: Endpoint) -> bool:
    """Whether nothing waits any more. What is off or rests, because of what went before, is turned on."""
    there = Destination.objects.filter(endpoint_id=inbox.pk)
    for row in there.exclude(enabled=True, rests_until=None):
        destinations.change(row, {"enabled": True})
    left = couriers.open_deliveries(inbox.pk)
    stuck = there.filter(wake_at__lt=Now() - timedelta(seconds=20))
    assert not stuck.exists(), list(stuck.values())
    return not left


def deadlocks() -> int:
    with platformdb.connect() as other:
        row: Any = other.execute(
            "SELECT pg_stat_force_next_flush(), deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    return int(row[1])
