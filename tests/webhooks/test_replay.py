"""Replays: a captured request is sent again, as it came or changed, to destinations or to any URL."""

import base64
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from instantlite.uuid7 import uuid7
from tests.service import wait_for
from tests.webhooks import couriers, moments, sending
from tests.webhooks.couriers import Forwarding
from tests.webhooks.receivers import Connection, Receiver, answering, ok, receiver
from webhooks import replay
from webhooks.models import Delivery, DeliveryState, Destination, Endpoint
from webhooks.writer import Writer

OOPS = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def inbox(transactional_db: None, settings: Settings) -> Iterator[Forwarding]:
    couriers.to_loopback(settings)
    with couriers.running():
        yield Forwarding()


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver(answering(ok(b"thanks"))) as taking:
        yield taking


def again(inbox: Forwarding, request_id: str, status: int = 202, **wanted: Any) -> Any:
    return inbox.call("POST", f"/requests/{request_id}/replay", wanted, status=status)


def many(inbox: Forwarding, query: str = "", status: int = 202, **wanted: Any) -> Any:
    return inbox.call("POST", f"/replay{query}", wanted, status=status)


def head_of(got: bytes) -> list[str]:
    return got.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


class TestTarget:
    def test_to_all_that_are_on_and_the_outcome_is_waited_for(self, inbox: Forwarding, there: Receiver) -> None:
        request_id = inbox.sent("/a?b=1", b"hello", "PUT", X_Event="push")
        inbox.to(there, "/one")
        inbox.to(there, "/two")
        inbox.to(there, "/off", enabled=False)
        made = again(inbox, request_id)["deliveries"]
        assert [one["state"] for one in made] == ["delivered", "delivered"]
        assert {one["origin"] for one in made} == {"replay"}
        assert made[0]["attempts"][0]["answer"]["body"] == "thanks"
        assert sorted(head_of(got)[0] for got in there.requests) == [
            "PUT /one/a?b=1 HTTP/1.1",
            "PUT /two/a?b=1 HTTP/1.1",
        ]
        assert all(got.endswith(b"\r\n\r\nhello") for got in there.requests)
        assert [one["id"] for one in inbox.deliveries(request_id)] == [one["id"] for one in made]

    def test_to_one(self, inbox: Forwarding, there: Receiver) -> None:
        request_id = inbox.sent()
        inbox.to(there, "/one")
        two = inbox.to(there, "/two")
        (made,) = again(inbox, request_id, destination_id=two["id"])["deliveries"]
        assert made["destination_id"] == two["id"]
        assert len(there.requests) == 1

    def test_to_one_that_is_off_it_waits_until_that_is_on(self, inbox: Forwarding, there: Receiver) -> None:
        request_id = inbox.sent()
        off = inbox.to(there, enabled=False)
        (made,) = again(inbox, request_id, destination_id=off["id"], wait_seconds=0)["deliveries"]
        assert made["state"] == "pending"
        inbox.call("PATCH", f"/destinations/{off['id']}", {"enabled": True})
        assert inbox.one(request_id)["state"] == "delivered"

    def test_a_filter_does_not_hold_it_back(self, inbox: Forwarding, there: Receiver) -> None:
        inbox.to(there, filter={"method": "PUT"})
        request_id = inbox.sent()
        assert inbox.one(request_id)["state"] == "skipped"
        assert [one["state"] for one in again(inbox, request_id)["deliveries"]] == ["delivered"]

    def test_without_a_destination_there_is_nowhere_to_send_it(self, inbox: Forwarding, there: Receiver) -> None:
        inbox.to(there, enabled=False)
        assert again(inbox, inbox.sent(), 409)["error"] == "no_destination"
        assert many(inbox, status=409)["error"] == "no_destination"

    def test_another_inboxs_are_not_found(self, inbox: Forwarding, there: Receiver) -> None:
        request_id = inbox.sent()
        other = Forwarding()
        theirs = other.to(there)
        again(other, request_id, 404)
        again(other, str(uuid7()), 404)
        again(inbox, request_id, 409, destination_id=theirs["id"])
        assert there.requests == []

    def test_a_body_that_was_too_large_cannot_be_sent_again(self, inbox: Forwarding, there: Receiver) -> None:
        inbox.to(there)
        writer = Writer()
        too_large = sending.capture(Endpoint.objects.get().pk, too_large=True)
        request_id = str(writer.write([too_large], None)[0].request_id)
        writer.close()
        assert again(inbox, request_id, 409)["error"] == "body_not_kept"
        assert many(inbox, status=409)["error"] == "body_not_kept"
        assert again(inbox, request_id, body="shorter")["deliveries"][0]["state"] == "delivered"


class TestUrl:
    def test_to_any_url_once(self, inbox: Forwarding) -> None:
        request_id = inbox.sent("/x")
        with receiver(answering(OOPS)) as failing:
            (made,) = again(inbox, request_id, url=f"{failing.url}/typed")["deliveries"]
            assert (made["state"], made["url"]) == ("dead", f"{failing.url}/typed/x")
            # Asked for again, it is once more only.
            inbox.call("POST", f"/deliveries/{made['id']}/retry", status=202)
            delivery = inbox.one(request_id)
        assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 500]
        assert delivery["state"] == "dead"
        assert inbox.call("GET", "/destinations")["items"] == []

    @pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://169.254.169.254/", "ftp://example.com/", "x", ""])
    def test_not_to_one_that_may_not_be_reached(self, inbox: Forwarding, url: str) -> None:
        refused = again(inbox, inbox.sent(), 400, url=url)
        assert refused["message"].startswith("url: ")

    def test_it_has_its_own_time_limit(self, inbox: Forwarding) -> None:
        go = threading.Event()
        with receiver(lambda connection: _later(connection, go)) as hanging:
            (made,) = again(inbox, inbox.sent(), url=hanging.url, timeout_seconds=0.2)["deliveries"]
            go.set()
        assert made["state"] == "dead"
        assert made["attempts"][0]["error"]

    def test_only_so_many_urls_are_remembered(self, inbox: Forwarding, there: Receiver, settings: Settings) -> None:
        couriers.to_loopback(settings, destinations=3)
        request_id = inbox.sent()
        for number in range(6):
            again(inbox, request_id, url=f"{there.url}/{number}")
        again(inbox, request_id, url=f"{there.url}/5")
        assert Destination.objects.filter(listed=False).count() == 3
        assert [one["state"] for one in inbox.deliveries(request_id)] == ["delivered"] * 7


def _later(connection: Connection, go: threading.Event) -> None:
    connection.request()
    go.wait(10)


class TestEdited:
    def test_method_path_headers_and_body(self, inbox: Forwarding, there: Receiver) -> None:
        inbox.to(there)
        request_id = inbox.sent("/old?a=1", b"old", X_Old="1")
        inbox.done(request_id)
        lines = [["X-New", "1"], ["x-new", " caf\u00e9 "], ["Content-Type", "text/plain"]]
        (made,) = again(inbox, request_id, method="PATCH", path="/new?b=2", headers=lines, body="caf\u00e9")[
            "deliveries"
        ]
        assert made["edited"] is True
        head = head_of(there.requests[-1])
        assert head[0] == "PATCH /hooks/new?b=2 HTTP/1.1"
        assert [line for line in head if line.lower().startswith("x-new")] == ["X-New: 1", "x-new: caf\u00e9"]
        assert not [line for line in head if line.startswith("X-Old")]
        assert "Content-Type: text/plain" in head
        assert there.requests[-1].endswith("\r\n\r\ncaf\u00e9".encode())

    def test_what_is_left_out_stays_as_it_came(self, inbox: Forwarding, there: Receiver) -> None:
        inbox.to(there)
        request_id = inbox.sent("/old?a=1", b"old", X_Old="1")
        again(inbox, request_id, method="delete")
        head = head_of(there.requests[-1])
        assert head[0] == "delete /hooks/old?a=1 HTTP/1.1"
        assert "X-Old: 1" in head
        assert there.requests[-1].endswith(b"\r\n\r\nold")

    @pytest.mark.parametrize(
        ("path", "line"), [("", "/hooks"), ("?x=1", "/hooks?x=1"), ("/", "/hooks"), ("/%2e%2e/a", "/hooks/%2e%2e/a")]
    )
    def test_paths(self, inbox: Forwarding, there: Receiver, path: str, line: str) -> None:
        inbox.to(there)
        again(inbox, inbox.sent("/old?a=1"), path=path)
        assert head_of(there.requests[-1])[0] == f"POST {line} HTTP/1.1"

    def test_bytes(self, inbox: Forwarding, there: Receiver) -> None:
        inbox.to(there)
        body = bytes(range(256))
        again(inbox, inbox.sent(body=b"old"), body_base64=base64.b64encode(body).decode())
        assert there.requests[-1].endswith(b"\r\n\r\n" + body)

    def test_an_empty_body_is_a_body(self, inbox: Forwarding, there: Receiver) -> None:
        inbox.to(there)
        (made,) = again(inbox, inbox.sent(body=b"old"), body="")["deliveries"]
        assert there.requests[-1].endswith(b"\r\n\r\n")
        assert made["edited"] is True


_LONG = "x" * 9000


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("destination_id", ["x", None, [], {}, "\ud800", str(uuid7()) + "0", 2**200]),
        ("url", [1, None, [], {}, "x", "http://", "http://a\0b/", "http://" + _LONG, "http://\ud800/", "//a/"]),
        ("timeout_seconds", [0, -1, 31, "x", None, [], {}, True, float("1e308"), "NaN", "1e999", 2**2000]),
        ("wait_seconds", [-1, 31, "x", None, [], {}, True, "NaN", "Infinity"]),
        ("method", [None, [], {}, "", " ", "GE T", "GE\r\nT", "G" * 41, "\u00c9", "\0", True]),
        ("path", [None, [], {}, "x", "/ x", "/\r\nHost: a", "/\u00e9", "/\0", "/" + _LONG, "http://a/", "\ud800"]),
        ("headers", [1, None, {}, "x", [1], [["a"]], [["a", "b", "c"]], [["a", 1]], [[1, "a"]], [["a b", "c"]]]),
        ("headers", [[["a", "b\r\nc"]], [["", "a"]], [["a", "\u20ac"]], [["a", "\0"]], [["a", "\ud800"]]]),
        ("headers", [[["a", "x" * 70_000]], [["x" * 70_000, "a"]], [["a", None]], [[["a"], "b"]], [["a", "b"]] * 201]),
        ("body", [None, [], {}, True]),
        ("body_base64", [1, None, [], {}, "x", "====", "\u00e9\u00e9\u00e9\u00e9", "AA\n=="]),
        ("unknown", [1]),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_the_name_of_the_field(transactional_db: None, name: str, values: list[Any]) -> None:
    inbox = Forwarding()
    request_id = inbox.sent()
    moments.destination(Endpoint.objects.get())
    for value in values:
        refused = inbox.api.generic("POST", f"{inbox.path}/requests/{request_id}/replay", *_json({name: value}))
        assert refused.status_code == 400, (value, refused.content)
        assert refused.json()["message"].startswith(f"{name}"), (value, refused.content)
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    "sent",
    [b"[]x", b"{", b'"x"', b"[1]", b"\xff",
    b'{"body": "a", "body_base64": "AA=="}', b'{"url": "http://a/", "destination_id": "ID"}'],
)  # fmt: skip
def test_bad_bodies_are_refused(transactional_db: None, sent: bytes) -> None:
    inbox = Forwarding()
    request_id = inbox.sent()
    moments.destination(Endpoint.objects.get())
    data: Any = sent.replace(b"ID", str(uuid7()).encode())
    for path in (f"/requests/{request_id}/replay", "/replay"):
        refused = inbox.api.generic("POST", f"{inbox.path}{path}", data, "application/json")
        assert refused.status_code == 400, refused.content
        assert refused.json()["ok"] is False


def test_a_body_may_be_as_long_as_one_that_comes(inbox: Forwarding, there: Receiver, settings: Settings) -> None:
    inbox.to(there)
    request_id = inbox.sent()
    inbox.done(request_id)
    server = replace(settings.INSTANTLITE.server, max_body_bytes=1000)
    settings.INSTANTLITE = replace(settings.INSTANTLITE, server=server)
    with_base64 = base64.b64encode(b"x" * 700).decode()
    assert again(inbox, request_id, body_base64=with_base64[:900])["deliveries"][0]["state"] == "delivered"
    too_long = inbox.api.generic("POST", f"{inbox.path}/requests/{request_id}/replay", *_json({"body": "\u00e9" * 501}))
    assert too_long.status_code in (400, 413)


class TestMany:
    def test_all_that_match_the_query_oldest_first(self, inbox: Forwarding, there: Receiver) -> None:
        sent = [inbox.sent(f"/{number}", method="POST" if number % 2 else "PUT") for number in range(6)]
        inbox.to(there, ordered=True)
        answer = many(inbox, "?method=PUT")
        assert (answer["requests"], answer["deliveries"], answer["complete"]) == (3, 3, True)
        assert answer["newest"] == sent[4]
        wait_for(lambda: len(there.requests) == 3, what="them to arrive")
        assert [head_of(got)[0] for got in there.requests] == [f"PUT /hooks/{number} HTTP/1.1" for number in (0, 2, 4)]

    def test_to_a_url(self, inbox: Forwarding, there: Receiver) -> None:
        for _ in range(3):
            inbox.sent()
        assert many(inbox, url=there.url)["deliveries"] == 3
        wait_for(lambda: len(there.requests) == 3, what="them to arrive")

    def test_none(self, inbox: Forwarding, there: Receiver) -> None:
        inbox.to(there)
        answer = many(inbox)
        assert (answer["requests"], answer["newest"], answer["complete"]) == (0, None, True)

    def test_more_than_one_call_takes(
        self, inbox: Forwarding, there: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(replay, "MOST_REQUESTS", 2)
        sent = [inbox.sent() for _ in range(3)]
        inbox.to(there)
        first = many(inbox)
        assert (first["requests"], first["complete"], first["newest"]) == (2, False, sent[1])
        assert (second := many(inbox, f"?after={first['newest']}"))["requests"] == 1
        assert second["complete"] is True

    @pytest.mark.parametrize("query", ["?after=x", "?unknown=1", "?method=%00", "?since=never", "?limit=x"])
    def test_a_bad_query_is_refused(self, inbox: Forwarding, there: Receiver, query: str) -> None:
        inbox.sent()
        inbox.to(there)
        assert many(inbox, query, 400)["ok"] is False
        assert not Delivery.objects.filter(origin="replay").exists()


class TestWaiting:
    def test_it_ends_when_each_was_tried(self, inbox: Forwarding, settings: Settings) -> None:
        """A failure that is to be tried again is an outcome."""
        couriers.to_loopback(settings, first_retry=moments.SECOND * 60, longest_retry=moments.SECOND * 60)
        request_id = inbox.sent()
        with receiver(answering(OOPS)) as failing:
            inbox.to(failing)
            (made,) = again(inbox, request_id, wait_seconds=20)["deliveries"]
        assert (made["state"], [attempt["status"] for attempt in made["attempts"]]) == ("pending", [500])

    def test_or_when_its_time_is_up(self, transactional_db: None, settings: Settings, there: Receiver) -> None:
        couriers.to_loopback(settings)
        inbox = Forwarding()
        inbox.to(there)
        request_id = inbox.sent()
        (made,) = again(inbox, request_id, wait_seconds=0.1)["deliveries"]
        assert (made["state"], made["attempts"]) == ("pending", [])

    def test_no_connection_is_held_meanwhile(
        self, transactional_db: None, settings: Settings, there: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        couriers.to_loopback(settings)
        inbox = Forwarding()
        inbox.to(there)
        request_id = inbox.sent()
        held: list[bool] = []
        monkeypatch.setattr(time, "sleep", lambda _: held.append(connection.connection is not None))
        again(inbox, request_id, wait_seconds=0.05)
        assert set(held) == {False}


def test_a_destination_that_is_deleted_meanwhile_gets_none(inbox: Forwarding, there: Receiver) -> None:
    inbox.sent()
    there_is = Destination.objects.get(pk=inbox.to(there)["id"])
    inbox.call("DELETE", f"/destinations/{there_is.pk}")
    requests = sending.stored(Endpoint.objects.get().pk)
    with pytest.raises(replay.NoDestination):
        replay.replay(requests, [there_is])
    assert not Delivery.objects.filter(state=DeliveryState.PENDING).exists()


def _json(value: Any) -> tuple[Any, ...]:
    return couriers._json(value)
