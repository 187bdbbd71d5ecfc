"""Sending on: what a destination gets of a request, to the byte, and what is written down of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.webhooks import couriers
from tests.webhooks.couriers import Forwarding
from tests.webhooks.receivers import Receiver, answering, ok, receiver


@pytest.fixture
def inbox(transactional_db: None, settings: Any) -> Iterator[Forwarding]:
    couriers.to_loopback(settings)
    with couriers.running():
        yield Forwarding()


@pytest.fixture
def sink() -> Iterator[Receiver]:
    with receiver(answering(ok(b"thanks"))) as taking:
        yield taking


def test_a_request_arrives_as_it_came(inbox: Forwarding, sink: Receiver) -> None:
    inbox.to(sink)
    body = bytes(range(256))
    request_id = inbox.sent("/orders//1%2F2?a=1&a=2", body, "PUT", X_Event="push", content_type="application/x-odd")
    delivery = inbox.one(request_id)
    assert delivery["state"] == "delivered"
    (got,) = sink.requests
    head, _, got_body = got.partition(b"\r\n\r\n")
    assert got_body == body
    assert head.split(b"\r\n")[0] == b"PUT /hooks/orders//1%2F2?a=1&a=2 HTTP/1.1"
    assert b"Content-Type: application/x-odd" in head
    assert b"X-Event: push" in head
    assert f"Instantlite-Request-Id: {request_id}".encode() in head
    assert b"Instantlite-Attempt: 1" in head
    assert b"X-Forwarded-For: 127.0.0.1" in head
    (attempt,) = delivery["attempts"]
    assert attempt["status"] == 200
    assert attempt["answer"]["body"] == "thanks"
    assert attempt["duration_ms"] > 0


def test_what_fails_is_tried_again_until_it_is_taken(inbox: Forwarding) -> None:
    answers = [b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", ok()]

    def handle(connection: Any) -> None:
        connection.request()
        connection.send(answers.pop(0))

    with receiver(handle) as failing:
        inbox.to(failing)
        delivery = inbox.one(inbox.sent(body=b"x"))
    assert delivery["state"] == "delivered"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 302, 200]
    assert "redirects are not followed" in delivery["attempts"][1]["error"]
