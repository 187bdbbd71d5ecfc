"""The circuit breaker: a destination in trouble is left alone, longer each time, and tried with one request."""

from tests.webhooks.moments import SECOND, Hands, captured, destination
from webhooks import destinations, replay
from webhooks.forward import Outcome
from webhooks.models import CapturedRequest, DeliveryState, Destination, Endpoint


def rest_of(there: Destination, ours: Hands) -> float:
    """Seconds from now on for which it is left alone."""
    there.refresh_from_db()
    return (there.rests_until - ours.now) / SECOND if there.rests_until else 0.0


def fail(ours: Hands) -> None:
    (one,) = ours.claim()
    ours.bad(one)


def test_it_rests_from_the_third_failure_in_a_row_on_up_to_a_minute(endpoint: Endpoint, ours: Hands) -> None:
    there = destination(endpoint)
    captured(endpoint)
    rests = []
    for _ in range(12):
        fail(ours)
        rests.append(rest_of(there, ours))
        assert not rests[-1] or ours.later(rests[-1] - 0.01).claim() == []
        ours.later(0.01)
    assert rests == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_half_open_it_gets_one_and_a_success_closes_it(endpoint: Endpoint, ours: Hands) -> None:
    there = destination(endpoint, room=8, failures=7)
    captured(endpoint, *[b""] * 5)
    ours.bad(*ours.claim(most=1))
    ours.later(60)
    (probe,) = ours.claim()
    assert ours.claim() == []
    ours.good(probe)
    assert rest_of(there, ours) == 0
    assert (there.failures, there.room) == (0, 2)
    assert len(ours.claim()) == 2


def test_what_arrives_meanwhile_does_not_wake_it(endpoint: Endpoint, ours: Hands) -> None:
    there = destination(endpoint, failures=6)
    captured(endpoint)
    fail(ours)
    captured(endpoint)
    there.refresh_from_db()
    assert there.wake_at == there.rests_until
    assert ours.later(10).claim() == []


def test_those_that_were_under_way_together_are_one_trouble(endpoint: Endpoint, ours: Hands) -> None:
    """A destination that is restarted with eight requests under way is tried again after a second."""
    there = destination(endpoint, room=8)
    captured(endpoint, *[b""] * 12)
    claimed = ours.claim()
    assert len(claimed) == 8
    ours.bad(*claimed[:5])
    assert (rest_of(there, ours), there.failures) == (1, 3)
    ours.later(0.5).bad(*claimed[5:])
    assert (rest_of(there, ours), there.failures) == (0.5, 3)


def test_what_was_not_sent_says_nothing_of_it(endpoint: Endpoint, ours: Hands) -> None:
    """A filter's `no` in the half-open moment is no failure: the next one is the probe, at once."""
    there = destination(endpoint, failures=9)
    captured(endpoint, b"1", b"2")
    skipped = ours.one()
    ours.record(Outcome(skipped, DeliveryState.SKIPPED, False, ours.now))
    assert rest_of(there, ours) == 0
    assert there.failures == 9
    assert len(ours.claim()) == 1


def test_any_answer_that_is_no_trouble_closes_it(endpoint: Endpoint, ours: Hands) -> None:
    there = destination(endpoint, failures=9)
    captured(endpoint)
    refused = ours.one()
    pending = DeliveryState.PENDING
    ours.record(Outcome(refused, pending, True, ours.now, status=400, next_at=ours.now, effect="alive"))
    assert rest_of(there, ours) == 0
    assert there.failures == 0


def test_it_is_left_alone_for_as_long_as_it_asks(endpoint: Endpoint, ours: Hands) -> None:
    there = destination(endpoint, room=3)
    captured(endpoint, *[b""] * 5)
    first, second, third = ours.claim()
    ours.bad(first, rest=600)
    # Neither a success that was under way, nor another failure, ends that.
    ours.good(second)
    assert rest_of(there, ours) == 600
    ours.bad(third)
    assert rest_of(there, ours) == 600
    assert ours.later(599).claim() == []
    assert len(ours.later(1).claim()) == 1


def test_who_changes_it_ends_its_rest(endpoint: Endpoint, ours: Hands) -> None:
    there = destination(endpoint, failures=9)
    captured(endpoint)
    fail(ours)
    destinations.change(there, {"url": "http://192.0.2.2/"})
    assert ours.later().one().url == "http://192.0.2.2/"


def test_one_that_says_410_is_off_and_what_waits_for_it_waits(endpoint: Endpoint, ours: Hands) -> None:
    there = destination(endpoint, room=2)
    captured(endpoint, *[b""] * 4)
    first, second = ours.claim()
    ours.record(Outcome(first, DeliveryState.DEAD, True, ours.now, status=410, effect="stop"))
    there.refresh_from_db()
    assert (there.enabled, there.stopped) == (False, "It answered 410 Gone.")
    ours.good(second)
    assert ours.later(1000).claim() == []
    destinations.change(there, {"enabled": True})
    there.refresh_from_db()
    assert there.stopped == ""
    assert len(ours.claim()) == 2


def test_a_url_that_was_only_typed_in_is_not_turned_off(endpoint: Endpoint, ours: Hands) -> None:
    captured(endpoint)
    there = destination(endpoint, listed=False)
    replay.replay(list(CapturedRequest.objects.of(endpoint.pk)), [there])
    ours.record(Outcome(ours.later().one(), DeliveryState.DEAD, True, ours.now, status=410, effect="stop"))
    there.refresh_from_db()
    assert (there.enabled, there.stopped) == (True, "")
