"""When a delivery is tried again, and when not any more: what each answer means, at moments of the test's choice."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import UUID

import pytest
from pytest_django.fixtures import Settings

from instantlite.uuid7 import uuid7
from tests.webhooks import couriers
from webhooks import forward, outbound
from webhooks.forward import Claimed, Outcome
from webhooks.message import Message
from webhooks.models import DeliveryState
from webhooks.outbound import Answer, Failed, Refused

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)
IDS = [uuid7() for _ in range(4)]


def claimed(**parts: Any) -> Claimed:
    message = Message("POST", "/webhook/receive/key/x", "1.1", (("Host", "a"),), b"body")
    given: dict[str, Any] = {
        "number": 1,
        "tries": 1,
        "until": NOW + DAY,
        "url": "https://example.com/",
        "timeout_seconds": 10.0,
        "message": message,
        "path": "/x",
        "client": None,
        **parts,
    }
    first, second, third, fourth = IDS
    return Claimed(first, second, third, fourth, **given)


def outcome(monkeypatch: pytest.MonkeyPatch, came: Answer | Exception, **parts: Any) -> Outcome:
    """What becomes of a delivery to which this is the answer."""

    def send(*_: Any, **__: Any) -> Answer:
        if isinstance(came, Exception):
            raise came
        return came

    monkeypatch.setattr(outbound, "send", send)
    return forward.deliver(claimed(**parts), NOW)


def answer(status: int, *headers: tuple[str, str]) -> Answer:
    return Answer(status, headers, b"", False, 0.0)


class TestWait:
    @pytest.mark.parametrize(("tries", "seconds"), [(1, 5), (2, 10), (3, 20), (11, 5120), (12, 10240), (13, 10800)])
    def test_it_doubles_up_to_the_longest_less_or_more_a_quarter(self, tries: int, seconds: int) -> None:
        waits = [forward.backoff(tries).total_seconds() for _ in range(200)]
        assert min(waits) >= seconds * 0.75
        assert max(waits) <= seconds * 1.25
        assert max(waits) - min(waits) > seconds * 0.25

    def test_it_has_no_end(self) -> None:
        assert forward.backoff(10**9) <= timedelta(hours=3) * 1.25

    def test_the_last_try_is_within_the_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        near = outcome(monkeypatch, answer(500), until=NOW + timedelta(seconds=3))
        assert (near.state, near.next_at, near.note) == (DeliveryState.DEAD, None, forward.GIVEN_UP)
        far = outcome(monkeypatch, answer(500), until=NOW + timedelta(seconds=7))
        assert far.state == DeliveryState.PENDING
        assert far.next_at
        assert NOW + timedelta(seconds=3.75) <= far.next_at <= NOW + timedelta(seconds=6.25)

    def test_what_comes_up_too_late_is_not_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        late = outcome(monkeypatch, AssertionError("it was sent"), until=NOW, tries=2)
        assert (late.state, late.attempted, late.note) == (DeliveryState.DEAD, False, forward.GIVEN_UP)

    def test_the_first_try_is_always_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert outcome(monkeypatch, answer(200), until=NOW - DAY).state == DeliveryState.DELIVERED


@pytest.mark.parametrize(
    ("status", "state", "effect"),
    [
        (200, "delivered", "good"),
        (201, "delivered", "good"),
        (204, "delivered", "good"),
        (299, "delivered", "good"),
        (300, "pending", "alive"),
        (301, "pending", "alive"),
        (304, "pending", "alive"),
        (400, "pending", "alive"),
        (401, "pending", "alive"),
        (404, "pending", "alive"),
        (408, "pending", "bad"),
        (410, "dead", "stop"),
        (422, "pending", "alive"),
        (429, "pending", "bad"),
        (500, "pending", "bad"),
        (503, "pending", "bad"),
        (599, "pending", "bad"),
        (999, "pending", "bad"),
    ],
)
def test_what_each_status_means(monkeypatch: pytest.MonkeyPatch, status: int, state: str, effect: str) -> None:
    found = outcome(monkeypatch, answer(status, ("Location", "https://example.com/elsewhere")))
    assert (found.state, found.effect, found.status, found.attempted) == (state, effect, status, True)
    assert ("redirects are not followed" in found.error) is (300 <= status < 400)
    assert bool(found.next_at) is (state == "pending")


def test_no_answer_is_tried_again_and_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    found = outcome(monkeypatch, Failed("nobody listens there"))
    assert (found.state, found.effect, found.error) == (DeliveryState.PENDING, "bad", "nobody listens there")


def test_what_may_not_be_sent_is_dead_at_once_and_its_destination_not_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    found = outcome(monkeypatch, Refused("10.0.0.1 is private"))
    assert (found.state, found.effect, found.error) == (DeliveryState.DEAD, "none", "10.0.0.1 is private")
    assert "not tried again" in found.note


def test_a_request_that_was_deleted_is_dead_without_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    found = outcome(monkeypatch, AssertionError("it was sent"), message=None)
    assert (found.state, found.attempted, found.effect) == (DeliveryState.DEAD, False, "none")
    assert "deleted" in found.note


def test_one_that_runs_in_a_circle_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    through = tuple((forward.REQUEST_ID, str(UUID(int=number))) for number in range(3))
    found = outcome(monkeypatch, AssertionError("it was sent"), message=Message("GET", "/", "1.1", through, b""))
    assert found.state == DeliveryState.DEAD
    assert "circle" in found.error
    fewer = Message("GET", "/", "1.1", through[1:], b"")
    assert outcome(monkeypatch, answer(200), message=fewer).state == DeliveryState.DELIVERED


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("120", 120),
            (" 120 ", 120),
            ("0", 0),
            ("000", 0),
            (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
            ("Saturday, 31-Jan-26 12:01:30 GMT", 90),
            ("Sat Jan 31 12:01:30 2026", 90),
            (format_datetime(NOW - DAY, usegmt=True), 0),
            ("9" * 400, 86_400),
            ("86401", 86_400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
            ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400),
        ],
    )
    def test_seconds_and_dates_are_read(self, value: str, seconds: int) -> None:
        assert forward.retry_after((("retry-after", value),), NOW) == timedelta(seconds=seconds)

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "-5",
            "1.5",
            "soon",
            "120, 240",
            "\u00b2",
            "Mon, 99 Foo 2026",
            "1e9",
            "0x10",
            "Fri, 31 Dec 99999 23:59:59",
        ],
    )
    def test_what_is_neither_is_passed_over(self, value: str) -> None:
        assert forward.retry_after((("Retry-After", value),), NOW) is None

    def test_the_next_try_is_not_before_that(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = outcome(monkeypatch, answer(503, ("Retry-After", "600")))
        assert found.next_at == NOW + timedelta(seconds=600)
        assert found.rest_seconds == 600

    def test_nor_sooner_than_without_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = outcome(monkeypatch, answer(503, ("Retry-After", "0")))
        assert found.next_at
        assert found.next_at >= NOW + timedelta(seconds=3.75)
        assert found.rest_seconds == 0

    def test_all_that_goes_there_is_put_off_for_an_hour_at_most(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert outcome(monkeypatch, answer(429, ("Retry-After", "7200"))).rest_seconds == 3600

    def test_of_a_refusal_it_is_about_that_request_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = outcome(monkeypatch, answer(400, ("Retry-After", "600")))
        assert (found.next_at, found.rest_seconds) == (NOW + timedelta(seconds=600), 0)

    @pytest.mark.parametrize("value", ["86400", "9" * 30])
    def test_one_for_longer_than_there_is_time_leaves_a_last_try(
        self, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        """Not dead at the first answer for an absurd one."""
        found = outcome(monkeypatch, answer(503, ("Retry-After", value)), until=NOW + timedelta(hours=20))
        assert found.state == DeliveryState.PENDING
        assert found.next_at == NOW + timedelta(hours=10)

    def test_one_when_the_time_is_over_is_dead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = outcome(monkeypatch, answer(503, ("Retry-After", "9")), until=NOW + timedelta(seconds=1))
        assert found.state == DeliveryState.DEAD


def test_the_waits_are_configurable(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    couriers.to_loopback(settings, first_retry=timedelta(seconds=1), longest_retry=timedelta(seconds=2))
    assert forward.backoff(1) <= timedelta(seconds=1.25)
    assert timedelta(seconds=1.5) <= forward.backoff(7) <= timedelta(seconds=2.5)
