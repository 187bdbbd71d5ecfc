"""What one inbox may take of a process, so that others have their turn."""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from pytest_django.fixtures import Settings

from tests.service import wait_for
from tests.webhooks import couriers, moments
from tests.webhooks.couriers import Forwarding
from tests.webhooks.receivers import Connection, answering, ok, receiver
from tests.webhooks.sending import endpoint
from webhooks import proxy
from webhooks.load import Load


@pytest.fixture(autouse=True)
def _to_loopback(transactional_db: None, settings: Settings) -> None:
    couriers.to_loopback(settings)


@pytest.fixture
def hanging() -> Iterator[Any]:
    """A receiver that answers nobody before the test ends."""
    go = threading.Event()

    def handle(connection: Connection) -> None:
        connection.request()
        go.wait(20)
        connection.send(ok())

    with receiver(handle) as made:
        yield made
        go.set()


class TestLoad:
    def test_an_inbox_is_full_at_half_of_its_eighth(self, settings: Settings) -> None:
        couriers.to_loopback(settings, in_flight=160, in_flight_mb=100)
        load, ours, others = Load(), uuid4(), uuid4()
        for _ in range(9):
            load.add(ours, 10)
        load.add(others, 10)
        room = load.room()
        assert (room.most, room.most_of_one, room.full) == (150, 10, frozenset())
        load.add(ours, 10)
        assert load.room().full == {ours}
        load.end(ours)
        assert load.room().full == frozenset()

    def test_or_by_the_bytes_that_it_has_still_to_send(self, settings: Settings) -> None:
        couriers.to_loopback(settings, in_flight_mb=64)
        load, ours = Load(), uuid4()
        load.add(ours, 4_000_000)
        assert load.room().full == {ours}
        load.free(ours, 4_000_000)
        assert load.room().full == frozenset()
        assert load.room().budget == 64_000_000

    def test_nothing_is_remembered_of_who_has_nothing_under_way(self) -> None:
        load = Load()
        for _ in range(3):
            ours = uuid4()
            load.add(ours, 5)
            load.free(ours, 5)
            load.end(ours)
        assert vars(load) == vars(Load())


class TestClaims:
    def test_one_of_each_inbox_comes_before_a_second_of_any(self) -> None:
        many, few = endpoint(), endpoint()
        for _ in range(3):
            moments.destination(many, room=8)
        moments.destination(few)
        for _ in range(4):
            moments.captured(many)
        moments.captured(few)
        with moments.hands() as ours:
            claimed = ours.later().claim(most=2)
            assert {one.endpoint_id for one in claimed} == {many.pk, few.pk}
            assert len(ours.claim(most_of_one=5)) == 5

    def test_of_one_inbox_so_many_bytes_and_a_full_one_gets_nothing(self) -> None:
        many = endpoint()
        moments.destination(many, room=8)
        for _ in range(4):
            moments.captured(many, b"x" * 1000)
        with moments.hands() as ours:
            assert ours.later().claim(full=[many.pk]) == []
            assert len(ours.claim(budget_of_one=1500)) == 2


def test_an_inbox_whose_destinations_hang_leaves_room_for_others(hanging: Any, settings: Settings) -> None:
    couriers.to_loopback(settings, in_flight=16)
    with receiver(answering(ok())) as good, couriers.running() as courier:
        greedy, other = Forwarding(), Forwarding()
        for number in range(20):
            greedy.to(hanging, f"/{number}")
        other.to(good)
        greedy.sent(body=b"x")
        wait_for(lambda: courier.under_way >= 4, what="some to hang")
        for _ in range(3):
            assert other.one(other.sent(body=b"y"))["state"] == "delivered"
        assert courier.under_way <= 8


class TestProxy:
    def test_a_permit_is_held_until_the_destination_is_done(
        self, hanging: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And not only for as long as the sender waits."""
        couriers.to_loopback(settings, proxied=8)
        monkeypatch.setattr(proxy, "_permits", proxy._Permits())
        inbox = Forwarding()
        inbox.to(hanging)
        inbox.call("PATCH", "", {"proxy": {"timeout_seconds": 0.1}})
        for _ in range(5):
            assert inbox.send(body=b"x").status_code == 200
        # A quarter of eight.
        assert len([one for one in threading.enumerate() if one.name == "proxied delivery"]) == 2

    def test_an_inbox_takes_a_quarter_and_leaves_the_others(self) -> None:
        permits = proxy._Permits()
        ours, others = uuid4(), uuid4()
        assert [permits.take(ours) for _ in range(26)] == [True] * 25 + [False]
        assert permits.take(others)
        permits.give_back(ours)
        assert permits.take(ours)
