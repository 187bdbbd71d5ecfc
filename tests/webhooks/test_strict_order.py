"""Strict order: one at a time, the oldest first, and none before the one that precedes it is delivered or dead."""

import pytest

from tests.webhooks.moments import Hands, captured, destination, states
from webhooks import deliveries, destinations, replay
from webhooks.forward import Outcome
from webhooks.models import CapturedRequest, Delivery, DeliveryState, Endpoint


def test_the_next_goes_when_the_one_before_is_delivered(endpoint: Endpoint, ours: Hands, theirs: Hands) -> None:
    destination(endpoint, ordered=True, room=8)
    requests = captured(endpoint, b"1", b"2", b"3")
    sent = []
    for courier in (ours, theirs, ours):
        claimed = courier.later().one()
        assert theirs.claim() == ours.claim() == []
        courier.good(claimed)
        sent.append(claimed.request_id)
    assert sent == requests


def test_it_waits_for_one_that_is_to_be_tried_again(endpoint: Endpoint, ours: Hands, theirs: Hands) -> None:
    destination(endpoint, ordered=True)
    captured(endpoint, b"1", b"2")
    first = ours.one()
    ours.bad(first, wait=60)
    assert ours.later(59).claim() == theirs.later(59).claim() == []
    assert ours.later(2).one().delivery_id == first.delivery_id


@pytest.mark.parametrize("state", [DeliveryState.DEAD, DeliveryState.SKIPPED])
def test_it_does_not_wait_for_one_that_is_over(endpoint: Endpoint, ours: Hands, state: DeliveryState) -> None:
    destination(endpoint, ordered=True)
    captured(endpoint, b"1", b"2")
    first = ours.one()
    ours.record(Outcome(first, state, True, ours.now))
    assert ours.one().delivery_id > first.delivery_id


def test_a_dead_one_that_is_tried_again_does_not_overtake_what_is_under_way(endpoint: Endpoint, ours: Hands) -> None:
    """It is older than that one."""
    destination(endpoint, ordered=True)
    captured(endpoint, b"1", b"2", b"3")
    first = ours.one()
    ours.record(Outcome(first, DeliveryState.DEAD, True, ours.now))
    second = ours.one()
    assert deliveries.again(Delivery.objects.get(pk=first.delivery_id))
    assert ours.later().claim() == []
    ours.good(second)
    assert ours.one().delivery_id == first.delivery_id


def test_nor_does_a_destination_that_becomes_strict_send_beside_what_is_under_way(
    endpoint: Endpoint, ours: Hands
) -> None:
    there = destination(endpoint, room=8)
    captured(endpoint, b"1", b"2")
    first, second = ours.claim()
    captured(endpoint, b"3")
    destinations.change(there, {"ordered": True})
    ours.later().good(second)
    assert ours.later().claim() == []
    ours.good(first)
    assert len(ours.claim()) == 1


def test_replays_queue_up_in_the_order_of_their_requests(endpoint: Endpoint, ours: Hands) -> None:
    there = destination(endpoint, ordered=True)
    captured(endpoint, b"1", b"2", b"3")
    rows = list(CapturedRequest.objects.of(endpoint.pk).oldest_first())
    replay.replay(rows, [there])
    ours.later()
    bodies = []
    for _ in range(6):
        claimed = ours.one()
        assert claimed.message
        bodies.append(claimed.message.body)
        ours.good(claimed)
    assert bodies == [b"1", b"2", b"3"] * 2


def test_a_lease_that_ran_out_keeps_its_place(endpoint: Endpoint, ours: Hands, theirs: Hands) -> None:
    there = destination(endpoint, ordered=True)
    captured(endpoint, b"1", b"2")
    first = ours.one()
    theirs.later(100).put_back()
    assert theirs.one().delivery_id == first.delivery_id
    assert states(there) == ["delivering", "pending"]


def test_in_proxy_mode_only_who_comes_to_an_idle_one_waits(endpoint: Endpoint, ours: Hands) -> None:
    there = destination(endpoint, ordered=True)
    Endpoint.objects.filter(pk=endpoint.pk).update(proxy_seconds=5)
    captured(endpoint, b"1", b"2")
    captured(endpoint, b"3")
    assert states(there) == ["delivering", "pending", "pending"]
    assert ours.claim() == []
