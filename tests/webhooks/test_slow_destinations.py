"""Destinations that hang, and how much one process sends at a time."""

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from tests.service import wait_for
from tests.webhooks import couriers
from tests.webhooks.couriers import Forwarding
from tests.webhooks.receivers import Connection, answering, ok, receiver
from webhooks import courier as courier_module
from webhooks import forward
from webhooks.courier import Courier
from webhooks.message import Message
from webhooks.models import Attempt, Delivery, DeliveryState, Endpoint


@pytest.fixture(autouse=True)
def _to_loopback(transactional_db: None, settings: Settings) -> None:
    couriers.to_loopback(settings)


class Held:
    """A receiver's handler that answers nobody before it is told."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.began: list[bytes] = []

    def __call__(self, connection: Connection) -> None:
        self.began.append(connection.request())
        self.go.wait(20)
        connection.send(ok())


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.go.set()


def test_destinations_that_hang_hold_no_other_one_up(held: Held) -> None:
    with receiver(held) as hanging, receiver(answering(ok())) as good, couriers.running() as courier:
        inbox = Forwarding()
        for number in range(19):
            inbox.to(hanging, f"/{number}", timeout_seconds=30)
        inbox.to(good)
        sent = [inbox.sent(body=b"x") for _ in range(20)]
        delivered = Delivery.objects.filter(url=f"{good.url}/hooks", state=DeliveryState.DELIVERED)
        wait_for(lambda: delivered.count() == len(sent), what="the good one to get all")
        # Each hanging one has the first of them, and waits with the others.
        assert len(held.began) == courier.under_way == 19
        held.go.set()
        wait_for(lambda: not couriers.open_deliveries(Endpoint.objects.get().pk), what="the others to get theirs")


def test_no_more_are_under_way_than_a_process_may_have(held: Held, settings: Settings) -> None:
    couriers.to_loopback(settings, in_flight=3)
    with receiver(held) as hanging, couriers.running() as courier:
        inbox = Forwarding()
        for number in range(5):
            inbox.to(hanging, f"/{number}")
        request_id = inbox.sent(body=b"x")
        wait_for(lambda: len(held.began) == 3, what="three to be sent")
        assert courier.under_way == 3
        assert Delivery.objects.filter(state=DeliveryState.PENDING).count() == 2
        held.go.set()
        assert {one["state"] for one in inbox.done(request_id)} == {"delivered"}


def test_bodies_in_memory_have_a_limit_and_it_comes_back(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of 600 kB go together, since the first leaves room; the third waits until one has left."""
    couriers.to_loopback(settings, in_flight_mb=1)
    go, began = threading.Event(), []

    def deliver(claimed: forward.Claimed, *arguments: Any, sent: Any) -> forward.Outcome:
        began.append(claimed.delivery_id)
        go.wait(20)
        sent()
        return original(claimed, *arguments, sent=sent)

    original = forward.deliver
    monkeypatch.setattr(forward, "deliver", deliver)
    with receiver(answering(ok())) as good, couriers.running() as courier:
        inbox = Forwarding()
        for number in range(3):
            inbox.to(good, f"/{number}")
        request_id = inbox.sent(body=b"x" * 600_000)
        wait_for(lambda: len(began) == 2, what="two to be sent")
        wait_for(lambda: courier._load.bytes == 1_200_000, what="their bodies to be counted")
        assert Delivery.objects.filter(state=DeliveryState.PENDING).count() == 1
        go.set()
        assert {one["state"] for one in inbox.done(request_id)} == {"delivered"}
        wait_for(lambda: courier._load.bytes == 0, what="the room to be given back")


def test_a_body_is_freed_when_it_is_sent_and_not_when_the_answer_comes(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[weakref.ref[Message]] = []
    original = Courier._start

    def start(courier: Courier, claimed: forward.Claimed) -> None:
        assert claimed.message
        kept.append(weakref.ref(claimed.message))
        original(courier, claimed)

    monkeypatch.setattr(Courier, "_start", start)
    with receiver(held) as hanging, couriers.running() as courier:
        inbox = Forwarding()
        inbox.to(hanging)
        request_id = inbox.sent(body=b"x" * 100_000)
        wait_for(lambda: held.began, what="it to arrive")
        wait_for(lambda: courier._load.bytes == 0, what="the room to be given back")
        gc.collect()
        wait_for(lambda: kept[0]() is None, seconds=3, what="the body to be freed")
        held.go.set()
        inbox.done(request_id)


def test_a_delivery_that_breaks_our_code_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = forward.deliver

    def deliver(claimed: forward.Claimed, *arguments: Any, **options: Any) -> forward.Outcome:
        if claimed.message and claimed.message.body == b"bad":
            raise RuntimeError("a fault of ours")
        return original(claimed, *arguments, **options)

    monkeypatch.setattr(forward, "deliver", deliver)
    with receiver(answering(ok())) as good, couriers.running():
        inbox = Forwarding()
        inbox.to(good, "/a")
        inbox.to(good, "/b")
        inbox.sent(body=b"bad")
        wait_for(lambda: len(caplog.records) == 2, what="the fault")
        monkeypatch.setattr(forward, "deliver", original)
        couriers.end_leases()
        wait_for(lambda: len(good.requests) == 2, what="them to be sent again")


def test_an_answer_that_cannot_be_stored_is_not_asked_for_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """jsonb knows no U+0000; whatever a destination finds to send, its delivery ends."""
    original = forward.deliver

    def deliver(*arguments: Any, **options: Any) -> forward.Outcome:
        outcome = original(*arguments, **options)
        assert outcome.answer
        object.__setattr__(outcome.answer, "headers", (("X-Odd", "a\0b"),))
        return outcome

    monkeypatch.setattr(forward, "deliver", deliver)
    with receiver(answering(ok())) as good, couriers.running():
        inbox = Forwarding()
        inbox.to(good)
        delivery = inbox.one(inbox.sent(body=b"x"))
    assert delivery["state"] == "delivered"
    assert "could not be stored" in delivery["attempts"][0]["error"]
    assert Attempt.objects.count() == 1


def test_a_courier_goes_on_after_a_fault_of_our_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(courier_module, "_PAUSE_SECONDS", 0.01)
    original = Courier._claim
    faults = [RuntimeError("a fault of ours")]

    def claim(courier: Courier, *arguments: Any) -> Any:
        if faults:
            raise faults.pop()
        return original(courier, *arguments)

    monkeypatch.setattr(Courier, "_claim", claim)
    with receiver(answering(ok())) as good, couriers.running():
        inbox = Forwarding()
        inbox.to(good)
        assert inbox.one(inbox.sent(body=b"x"))["state"] == "delivered"
    assert "a fault of ours" in caplog.text
