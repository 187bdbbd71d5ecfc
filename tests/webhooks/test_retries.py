"""Trying again, as the owner sees it: dead deliveries, retries asked for, destinations turned off and on."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils.dateparse import parse_datetime
from pytest_django.fixtures import Settings

from tests.service import free_port, wait_for
from tests.webhooks import couriers, moments
from tests.webhooks.couriers import Forwarding
from tests.webhooks.receivers import Connection, Receiver, receiver
from webhooks.models import Delivery, DeliveryState, Endpoint


class Answers:
    """A receiver's handler that gives this status, which may change."""

    status = b"500 Oops"
    headers = b""

    def __call__(self, connection: Connection) -> None:
        connection.request()
        connection.send(b"HTTP/1.1 %b\r\n%bContent-Length: 0\r\n\r\n" % (self.status, self.headers))


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def there(answers: Answers) -> Iterator[Receiver]:
    with receiver(answers) as taking:
        yield taking


@pytest.fixture
def inbox(transactional_db: None, settings: Settings) -> Iterator[Forwarding]:
    """What fails is dead within a second."""
    couriers.to_loopback(settings, retry_for=timedelta(seconds=0.3))
    with couriers.running():
        yield Forwarding()


def again(inbox: Forwarding, delivery: Any, status: int = 202) -> Any:
    return inbox.call("POST", f"/deliveries/{delivery['id']}/retry", status=status)


def again_all(inbox: Forwarding, **of: str) -> int:
    """How many of the inbox's, or of one destination's."""
    return int(inbox.call("POST", "/deliveries/retry", of, status=202)["retried"])


def test_after_the_last_try_it_is_dead_and_each_attempt_visible(
    inbox: Forwarding, there: Receiver, answers: Answers
) -> None:
    made = inbox.to(there)
    delivery = inbox.one(inbox.sent(body=b"x"))
    assert (delivery["state"], delivery["next_at"]) == ("dead", None)
    assert delivery["note"] == "Not delivered in the time that there was for it."
    attempts = delivery["attempts"]
    assert [attempt["number"] for attempt in attempts] == list(range(1, len(attempts) + 1))
    assert {attempt["status"] for attempt in attempts} == {500}
    assert len(there.requests) == len(attempts) > 1
    assert parse_datetime(delivery["finished_at"]) >= parse_datetime(attempts[-1]["started_at"])  # type: ignore[operator]
    shown = inbox.call("GET", f"/destinations/{made['id']}")
    assert (shown["dead"], shown["waiting"]) == (1, 0)
    assert shown["failures"] >= 1


def test_one_call_tries_a_dead_one_again(inbox: Forwarding, there: Receiver, answers: Answers) -> None:
    inbox.to(there)
    request_id = inbox.sent(body=b"x")
    dead = inbox.one(request_id)
    answers.status = b"200 OK"
    assert again(inbox, dead)["id"] == dead["id"]
    delivery = inbox.one(request_id)
    assert delivery["state"] == "delivered"
    assert len(delivery["attempts"]) == len(dead["attempts"]) + 1
    assert b"Instantlite-Attempt: %d\r\n" % len(delivery["attempts"]) in there.requests[-1]


def test_and_one_call_all_that_are_dead(inbox: Forwarding, there: Receiver, answers: Answers) -> None:
    one, other = inbox.to(there, "/a"), inbox.to(there, "/b")
    sent = [inbox.sent(body=b"x") for _ in range(3)]
    for request_id in sent:
        assert {delivery["state"] for delivery in inbox.done(request_id)} == {"dead"}
    answers.status = b"200 OK"
    assert again_all(inbox, destination_id=one["id"]) == 3
    for request_id in sent:
        states = {delivery["destination_id"]: delivery["state"] for delivery in inbox.done(request_id)}
        assert states == {one["id"]: "delivered", other["id"]: "dead"}
    assert again_all(inbox) == 3
    for request_id in sent:
        assert [delivery["state"] for delivery in inbox.done(request_id)] == ["delivered", "delivered"]
    assert again_all(inbox) == 0
    assert inbox.call("GET", f"/destinations/{other['id']}")["dead"] == 0


def test_one_that_was_delivered_is_not_tried_again_by_that(
    inbox: Forwarding, there: Receiver, answers: Answers
) -> None:
    answers.status = b"200 OK"
    inbox.to(there)
    delivered = inbox.one(inbox.sent(body=b"x"))
    again(inbox, delivered, status=409)
    assert len(there.requests) == 1


def test_nor_one_whose_destination_was_deleted(inbox: Forwarding, there: Receiver) -> None:
    made = inbox.to(there)
    dead = inbox.one(inbox.sent(body=b"x"))
    inbox.call("DELETE", f"/destinations/{made['id']}")
    again(inbox, dead, status=409)
    assert again_all(inbox) == 0


def test_a_destination_that_says_410_is_off_until_its_owner_turns_it_on(
    inbox: Forwarding, there: Receiver, answers: Answers, settings: Settings
) -> None:
    couriers.to_loopback(settings)
    made = inbox.to(there)
    waiting = inbox.sent(body=b"1")
    wait_for(lambda: there.requests, what="the first try")
    answers.status = b"410 Gone"
    inbox.one(waiting)
    shown = inbox.call("GET", f"/destinations/{made['id']}")
    assert (shown["enabled"], shown["stopped"]) == (False, "It answered 410 Gone.")
    assert not Delivery.objects.filter(request_id=inbox.sent(body=b"2")).exists()
    answers.status = b"200 OK"
    changed = inbox.call("PATCH", f"/destinations/{made['id']}", {"enabled": True})
    assert (changed["enabled"], changed["stopped"]) == (True, None)
    assert inbox.one(inbox.sent(body=b"3"))["state"] == "delivered"


def test_what_waits_while_a_destination_is_off_goes_when_it_is_on(
    inbox: Forwarding, there: Receiver, answers: Answers, settings: Settings
) -> None:
    couriers.to_loopback(settings, first_retry=timedelta(seconds=0.2))
    made = inbox.to(there)
    request_id = inbox.sent(body=b"x")
    wait_for(lambda: there.requests, what="the first try")
    inbox.call("PATCH", f"/destinations/{made['id']}", {"enabled": False})
    answers.status = b"200 OK"
    wait_for(lambda: Delivery.objects.get().state == DeliveryState.PENDING, what="the first try to be over")
    assert inbox.call("GET", f"/destinations/{made['id']}")["waiting"] == 1
    inbox.call("PATCH", f"/destinations/{made['id']}", {"enabled": True})
    assert inbox.one(request_id)["state"] == "delivered"


def test_a_blocked_address_is_dead_at_once_and_the_record_says_why(inbox: Forwarding) -> None:
    moments.destination(Endpoint.objects.get(), url="http://10.0.0.1/")
    delivery = inbox.one(inbox.sent(body=b"x"))
    (attempt,) = delivery["attempts"]
    assert (delivery["state"], attempt["status"], attempt["answer"]) == ("dead", None, None)
    assert "10.0.0.1" in attempt["error"]
    assert "not tried again" in delivery["note"]


def test_nobody_listening_is_said_in_words(inbox: Forwarding) -> None:
    inbox.to(f"http://127.0.0.1:{free_port()}/")
    delivery = inbox.one(inbox.sent(body=b"x"))
    assert delivery["state"] == "dead"
    assert "refused" in delivery["attempts"][0]["error"]


def test_deliveries_go_with_their_request(inbox: Forwarding, there: Receiver) -> None:
    inbox.to(there)
    request_id = inbox.sent(body=b"x")
    delivery = inbox.one(request_id)
    assert inbox.api.delete(f"{inbox.path}/requests/{request_id}").status_code == 200
    inbox.call("GET", f"/deliveries/{delivery['id']}", status=404)
    inbox.call("GET", f"/requests/{request_id}/deliveries", status=404)


@pytest.mark.parametrize("wanted", ["not-an-id", "01a21275-80f9-7b4c-b7ff-d7f505c60317"])
def test_what_is_not_this_inboxs_is_not_found(inbox: Forwarding, wanted: str) -> None:
    for method, path in (("GET", ""), ("POST", "/retry")):
        answer = inbox.api.generic(method, f"{inbox.path}/deliveries/{wanted}{path}")
        assert answer.status_code in (400, 404), answer.content
        assert answer.json()["ok"] is False


def test_nor_is_what_is_another_inboxs(inbox: Forwarding, there: Receiver) -> None:
    made = inbox.to(there)
    delivery = inbox.one(inbox.sent(body=b"x"))
    other = Forwarding()
    other.call("GET", f"/deliveries/{delivery['id']}", status=404)
    again(other, delivery, status=404)
    other.call("GET", f"/destinations/{made['id']}", status=404)
    other.call("PATCH", f"/destinations/{made['id']}", {"enabled": False}, status=404)
    other.call("DELETE", f"/destinations/{made['id']}", status=404)
    assert again_all(other, destination_id=made["id"]) == 0
    assert inbox.one(delivery["request_id"])["state"] == "dead"
