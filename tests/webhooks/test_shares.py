"""What one inbox may take of a process, so that others have their turn."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from pytest_django.fixtures import Settings

from tests.service import wait_for
from tests.webhooks import couriers, moments
from tests.webhooks.couriers import Forwarding
from tests.webhooks.receivers import Connection, answering, ok, receiver
from tests.webhooks.sending import endpoint
from webhooks import forwarding_shapes, proxy, replay
from webhooks.load import Load
from webhooks.models import Attempt, Endpoint
from webhooks.outbound import Answer


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


class TestReplays:
    def test_no_more_is_taken_than_an_inbox_may_have_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(replay, "MOST_WAITING", 3)
        inbox = Forwarding()
        to = inbox.to("http://127.0.0.1:1999/", enabled=False)["id"]
        request_id = inbox.sent(body=b"x")
        for _ in range(3):
            inbox.call("POST", f"/requests/{request_id}/replay", {"destination_id": to, "wait_seconds": 0}, status=202)
        refused = inbox.call("POST", "/replay", {"destination_id": to}, status=409)
        assert refused["error"] == "too_many_deliveries"
        assert couriers.open_deliveries(Endpoint.objects.get().pk) == 3

    def test_nor_more_bytes_of_edited_bodies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(replay, "MOST_EDITED_BYTES", 250)
        inbox = Forwarding()
        to = {"destination_id": inbox.to("http://127.0.0.1:1999/", enabled=False)["id"], "wait_seconds": 0}
        path = f"/requests/{inbox.sent(body=b'x')}/replay"
        for status in (202, 202, 409):
            inbox.call("POST", path, {**to, "body": "y" * 100}, status=status)
        inbox.call("POST", path, to, status=202)

    def test_of_a_request_the_newest_that_are_done_stay_on_record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(replay, "MOST_KEPT", 3)
        inbox = Forwarding()
        request_id = inbox.sent(body=b"x")
        with receiver(answering(ok())) as good, couriers.running():
            calls = [
                inbox.call("POST", f"/requests/{request_id}/replay", {"url": good.url}, status=202) for _ in range(6)
            ]
        made = [answer["deliveries"][0]["id"] for answer in calls]
        # The last call found five that were done, and let two of them go.
        assert [delivery["id"] for delivery in inbox.deliveries(request_id)] == made[2:]

    def test_a_call_that_may_not_wait_answers_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(replay, "_waiters", threading.BoundedSemaphore(0))
        inbox = Forwarding()
        request_id = inbox.sent(body=b"x")
        with receiver(answering(ok())) as good:
            (made,) = inbox.call("POST", f"/requests/{request_id}/replay", {"url": good.url}, status=202)["deliveries"]
        assert made["state"] == "pending"


class TestAnswers:
    def test_a_list_counts_headers_too_and_says_what_it_leaves_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        inbox = Forwarding()
        answer = b"HTTP/1.1 200 OK\r\nX-Long: " + b"h" * 3000 + b"\r\nContent-Length: 2\r\n\r\nok"
        with receiver(answering(answer)) as good, couriers.running():
            inbox.to(good)
            sent = [inbox.sent(body=b"x") for _ in range(2)]
            for request_id in sent:
                inbox.done(request_id)
        monkeypatch.setattr(forwarding_shapes.deliveries, "__defaults__", (4000,))
        listed = inbox.call("GET", "/deliveries")["items"]
        answers = [delivery["attempts"][0]["answer"] for delivery in listed]
        assert sorted(answer["omitted"] for answer in answers) == [False, True]
        assert {(answer["body"], len(answer["headers"])) for answer in answers} == {("ok", 2), (None, 0)}
        assert inbox.call("GET", f"/deliveries/{listed[0]['id']}")["attempts"][0]["answer"]["body"] == "ok"

    def test_only_the_newest_attempts_keep_what_was_answered(self) -> None:
        ours = endpoint()
        moments.destination(ours)
        moments.captured(ours)
        answer = Answer(500, (("X-A", "b"),), b"oops", False, 1.0)
        with moments.hands() as hands:
            for _ in range(7):
                failed = hands.failed(hands.later(100).one())
                hands.record(replace(failed, status=500, answer=answer))
        kept = [bytes(body) for body in Attempt.objects.order_by("number").values_list("answer_body", flat=True)]
        assert kept == [b"", b"", b"oops", b"oops", b"oops", b"oops", b"oops"]
