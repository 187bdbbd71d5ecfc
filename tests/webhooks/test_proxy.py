"""Proxy mode: a sender gets what the first destination answers, or else its inbox's own answer."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django.fixtures import Settings

from tests.service import free_port, wait_for
from tests.webhooks import couriers, moments
from tests.webhooks.couriers import Forwarding
from tests.webhooks.receivers import Connection, Receiver, answering, ok, receiver
from webhooks import answers, proxy
from webhooks.models import Attempt, Delivery, DeliveryState, Destination, Endpoint

TEAPOT = b"HTTP/1.1 218 This is fine\r\nContent-Type: text/plain\r\nX-Its-Own: 1\r\nContent-Length: 3\r\n\r\ntea"


@pytest.fixture
def inbox(transactional_db: None, settings: Settings) -> Forwarding:
    """In proxy mode, without a courier."""
    couriers.to_loopback(settings)
    made = Forwarding()
    waiting(made, 10)
    return made


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver(answering(TEAPOT)) as taking:
        yield taking


def waiting(inbox: Forwarding, seconds: float) -> None:
    inbox.call("PATCH", "", {"proxy": {"timeout_seconds": seconds}})


def own(inbox: Forwarding, answer: Any) -> str:
    """It is the inbox's own answer; the request's id."""
    assert answer.status_code == 200
    request_id = inbox.listed()[0]
    assert answer.json() == {"ok": True, "id": request_id}
    return request_id


def recorded(inbox: Forwarding) -> Any:
    """The only delivery, once its outcome is on record."""
    rows = Delivery.objects.filter(state=DeliveryState.DELIVERING)
    wait_for(lambda: not rows.exists(), what="the outcome")
    (delivery,) = inbox.deliveries(inbox.listed()[0])
    return delivery


def with_headers(*lines: bytes, status: bytes = b"200 OK", body: bytes = b"body") -> bytes:
    head = b"".join(line + b"\r\n" for line in lines)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, head, len(body), body)


class TestRelayed:
    def test_status_headers_and_body_are_the_destinations(self, inbox: Forwarding, there: Receiver) -> None:
        inbox.to(there)
        answer = inbox.send("/x?y=1", b"hello")
        assert (answer.status_code, answer.content, answer["X-Its-Own"]) == (218, b"tea", "1")
        assert answer["Content-Type"] == "text/plain"
        assert there.requests[0].startswith(b"POST /hooks/x?y=1 HTTP/1.1\r\n")
        assert there.requests[0].endswith(b"\r\n\r\nhello")
        assert b"Instantlite-Attempt: 1\r\n" in there.requests[0]
        delivery = recorded(inbox)
        assert delivery["state"] == "delivered"
        assert [attempt["status"] for attempt in delivery["attempts"]] == [218]

    def test_only_the_first_destinations_answer_is_waited_for(self, inbox: Forwarding, there: Receiver) -> None:
        inbox.to(there)
        with receiver(answering(ok())) as other:
            inbox.to(other)
            assert inbox.send().status_code == 218
            assert other.requests == []
            with couriers.running():
                delivered = inbox.done(inbox.listed()[0])
        assert [one["state"] for one in delivered] == ["delivered", "delivered"]

    def test_what_acts_beyond_the_answer_is_left_out(self, inbox: Forwarding) -> None:
        lines = (
            b"Set-Cookie: admin=1", b"Strict-Transport-Security: max-age=9", b"Clear-Site-Data: *", b"X-Sendfile: /",
            b"Content-Security-Policy: default-src *", b"X-Frame-Options: ALLOWALL", b"Refresh: 0;url=/", b"NEL: {}",
            b"WWW-Authenticate: Basic", b"Connection: close", b"X-Content-Type-Options: sniff", b"X-Kept: yes",
        )  # fmt: skip
        with receiver(with_headers(b"Content-Type: text/html", *lines)) as there:
            inbox.to(there)
            answer = inbox.send()
        assert not answer.cookies
        for line in lines[1:4] + lines[5:10]:
            assert line.partition(b":")[0].decode() not in answer
        assert answer["X-Kept"] == "yes"
        assert answer["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Cache-Control"] == "no-store"

    @pytest.mark.parametrize(
        ("given", "sent"),
        [
            (b"text/javascript", "text/plain"),
            (b"Application/JavaScript; charset=utf-8", "text/plain"),
            (b"text/css", "text/plain"),
            (b"text/plain, text/javascript", "application/octet-stream"),
            (b'text/plain; x="a, text/javascript"', "application/octet-stream"),
            (b"application/json; charset=utf-8", "application/json; charset=utf-8"),
        ],
    )
    def test_nothing_that_a_page_could_run(self, inbox: Forwarding, given: bytes, sent: str) -> None:
        with receiver(with_headers(b"Content-Type: " + given)) as there:
            inbox.to(there)
            assert inbox.send()["Content-Type"] == sent

    def test_lines_of_one_name_become_one_and_odd_values_none(self) -> None:
        pairs = [("Vary", "A"), ("vary", "B"), ("X-Odd", "a\x01b"), ("X-Latin", "caf\xe9"), ("Content-Type", "a/b\x7f")]
        headers = dict(answers.relayed(200, pairs, b"", "POST", "http://there.example/").headers)
        assert headers["vary"] == "A, B"
        assert "X-Odd" not in headers
        assert headers["X-Latin"] == "caf\xe9"
        assert headers["Content-Type"] == "application/octet-stream"

    @pytest.mark.parametrize(
        ("given", "sent"),
        [
            ("/admin/", "https://there.example/admin/"),
            ("next?a=1", "https://there.example/hooks/next?a=1"),
            ("//other.example/", "https://other.example/"),
            ("https://other.example/x", "https://other.example/x"),
            ("javascript:alert(1)", None),
            ("https://a@there.example/", None),
            ("http://[", None),
        ],
    )
    def test_a_location_leads_where_the_destination_meant(self, given: str, sent: str | None) -> None:
        answer = answers.relayed(302, [("Location", given)], b"", "POST", "https://there.example/hooks/orders")
        assert dict(answer.headers).get("Location") == sent

    @pytest.mark.parametrize(
        ("method", "status", "body"), [("HEAD", b"200 OK", b""), ("POST", b"204 None", b""), ("GET", b"304 Same", b"")]
    )
    def test_an_answer_without_a_body(self, inbox: Forwarding, method: str, status: bytes, body: bytes) -> None:
        with receiver(with_headers(b"ETag: 1", status=status, body=body)) as there:
            inbox.to(there)
            answer = inbox.send(method=method)
        assert (answer.status_code, answer.content, answer["ETag"]) == (int(status[:3]), b"", "1")

    def test_a_failure_is_the_senders_to_try_again_and_not_ours(self, inbox: Forwarding) -> None:
        with receiver(with_headers(status=b"503 Busy", body=b"later")) as there:
            inbox.to(there)
            answer = inbox.send()
        assert (answer.status_code, answer.content) == (503, b"later")
        delivery = recorded(inbox)
        assert (delivery["state"], delivery["note"], delivery["next_at"]) == ("dead", proxy.TAKEN, None)
        assert Destination.objects.get().failures == 1

    def test_gone_is_relayed_and_turns_the_destination_off(self, inbox: Forwarding) -> None:
        with receiver(with_headers(status=b"410 Gone")) as there:
            inbox.to(there)
            assert inbox.send().status_code == 410
        recorded(inbox)
        assert Destination.objects.get().stopped


class TestOwnAnswer:
    def test_after_the_time_limit_and_the_delivery_goes_on(self, inbox: Forwarding) -> None:
        go = threading.Event()

        def late(connection: Connection) -> None:
            connection.request()
            go.wait(10)
            connection.send(TEAPOT)

        waiting(inbox, 0.1)
        with receiver(late) as there:
            inbox.to(there)
            own(inbox, inbox.send())
            assert Delivery.objects.get().state == DeliveryState.DELIVERING
            go.set()
            assert recorded(inbox)["state"] == "delivered"

    def test_where_nobody_listens_and_the_courier_tries_again(self, inbox: Forwarding) -> None:
        inbox.to(f"http://127.0.0.1:{free_port()}/")
        own(inbox, inbox.send())
        delivery = recorded(inbox)
        assert delivery["state"] == "pending"
        assert delivery["attempts"][0]["error"]

    def test_where_it_may_not_be_sent(self, inbox: Forwarding) -> None:
        moments.destination(Endpoint.objects.get(), url="http://10.0.0.1/")
        own(inbox, inbox.send())
        assert recorded(inbox)["state"] == "dead"

    def test_where_the_filter_does_not_want_it(self, inbox: Forwarding, there: Receiver) -> None:
        inbox.to(there, filter={"method": "PUT"})
        own(inbox, inbox.send())
        assert recorded(inbox)["state"] == "skipped"
        assert there.requests == []

    def test_where_there_is_no_destination_that_is_on(self, inbox: Forwarding, there: Receiver) -> None:
        own(inbox, inbox.send())
        inbox.to(there, enabled=False)
        own(inbox, inbox.send())
        assert not Delivery.objects.exists()

    def test_where_one_of_strict_order_is_busy(self, inbox: Forwarding, there: Receiver) -> None:
        inbox.to(there, ordered=True)
        inbox.call("PATCH", "", {"proxy": None})
        own(inbox, inbox.send())
        waiting(inbox, 10)
        own(inbox, inbox.send())
        assert there.requests == []
        with couriers.running():
            inbox.done(inbox.listed()[0])
        assert inbox.send().status_code == 218

    def test_where_too_many_wait_already(self, inbox: Forwarding, there: Receiver, settings: Any) -> None:
        couriers.to_loopback(settings, proxied=0)
        inbox.to(there)
        request_id = own(inbox, inbox.send())
        assert there.requests == []
        with couriers.running():
            delivery = inbox.one(request_id)
        assert [attempt["number"] for attempt in delivery["attempts"]] == [1]

    def test_where_the_process_is_killed_meanwhile(
        self, inbox: Forwarding, there: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(proxy, "_send", lambda *_: None)
        waiting(inbox, 0.1)
        inbox.to(there)
        request_id = own(inbox, inbox.send())
        assert Delivery.objects.get().state == DeliveryState.DELIVERING
        couriers.end_leases()
        with couriers.running():
            delivery = inbox.one(request_id)
        assert [attempt["status"] for attempt in delivery["attempts"]] == [None, 218]

    def test_where_the_database_goes_away_after_the_commit(
        self, inbox: Forwarding, there: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The request is stored: an error would have its sender send it again."""

        def away(*_: Any) -> None:
            raise OperationalError("the connection is closed")

        inbox.to(there)
        monkeypatch.setattr(proxy, "_claimed", away)
        own(inbox, inbox.send())

    def test_where_the_answer_is_longer_than_a_request_may_be(self, inbox: Forwarding, settings: Settings) -> None:
        server = replace(settings.INSTANTLITE.server, max_body_bytes=1000)
        settings.INSTANTLITE = replace(settings.INSTANTLITE, server=server)
        with receiver(with_headers(body=b"x" * 1001)) as there:
            inbox.to(there)
            own(inbox, inbox.send())
        assert recorded(inbox)["state"] == "delivered"

    @pytest.mark.parametrize("status", [b"600 Odd", b"999 Odd"])
    def test_where_the_status_is_none_of_http(self, inbox: Forwarding, status: bytes) -> None:
        with receiver(with_headers(status=status)) as there:
            inbox.to(there)
            own(inbox, inbox.send())
        delivery = recorded(inbox)
        assert (delivery["state"], delivery["attempts"][0]["status"]) == ("pending", int(status[:3]))


def test_a_long_answer_is_relayed_whole_and_its_beginning_kept(inbox: Forwarding) -> None:
    body = bytes(range(256)) * 1000
    with receiver(with_headers(body=body)) as there:
        inbox.to(there)
        assert inbox.send().content == body
    recorded(inbox)
    attempt = Attempt.objects.get()
    assert bytes(attempt.answer_body) == body[:65536]
    assert attempt.answer_truncated
