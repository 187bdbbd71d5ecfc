"""Who holds a delivery: one process at a time, as many as a destination has room for, until its lease runs out."""

from dataclasses import replace

from tests.webhooks import moments
from tests.webhooks.moments import Hands, captured, destination, hands, states
from webhooks import deliveries, destinations
from webhooks.endpoints import delete_requests
from webhooks.forward import Outcome
from webhooks.models import Attempt, Delivery, DeliveryState, Destination, Endpoint


class TestRoom:
    def test_a_new_destination_gets_one_at_a_time(self, endpoint: Endpoint, ours: Hands, theirs: Hands) -> None:
        destination(endpoint)
        captured(endpoint, b"1", b"2")
        assert [claimed.number for claimed in ours.claim()] == [1]
        assert theirs.claim() == []

    def test_each_success_makes_room_for_one_more(self, endpoint: Endpoint, ours: Hands, theirs: Hands) -> None:
        destination(endpoint)
        captured(endpoint, *[b""] * 12)
        ours.good(*ours.claim())
        two = theirs.claim()
        assert len(two) == 2
        ours.good(*two)
        assert len(ours.claim()) == 4

    def test_as_many_as_are_configured_at_most(self, endpoint: Endpoint, ours: Hands, theirs: Hands) -> None:
        destination(endpoint, room=50)
        captured(endpoint, *[b""] * 12)
        assert len(ours.claim(room=3)) == 3
        assert theirs.claim(room=3) == []

    def test_a_failure_leaves_room_for_one(self, endpoint: Endpoint, ours: Hands) -> None:
        destination(endpoint, room=8)
        captured(endpoint, *[b""] * 12)
        first, *_, last = ours.claim()
        ours.bad(first)
        ours.good(last)
        assert len(ours.claim()) == 0  # six are under way still

    def test_one_of_each_destination_comes_before_a_second_of_any(self, endpoint: Endpoint, ours: Hands) -> None:
        there = [destination(endpoint, room=8) for _ in range(3)]
        captured(endpoint, *[b""] * 5)
        claimed = ours.claim(most=4)
        assert {one.destination_id for one in claimed} == {one.pk for one in there}
        assert len(claimed) == 4

    def test_bodies_have_room_together(self, endpoint: Endpoint, ours: Hands) -> None:
        """One that alone is larger goes when nothing else is there."""
        destination(endpoint, room=8)
        captured(endpoint, b"x" * 300, b"x" * 300, b"x" * 300)
        assert len(ours.claim(budget=301)) == 2
        assert len(ours.claim(budget=1)) == 1

    def test_what_there_was_no_room_for_is_claimed_by_another(
        self, endpoint: Endpoint, ours: Hands, theirs: Hands
    ) -> None:
        destination(endpoint, room=8)
        captured(endpoint, b"1", b"2", b"3")
        assert len(ours.claim(most=1)) == 1
        assert len(theirs.claim()) == 2


class TestLease:
    def test_nobody_else_claims_it_while_it_lasts(self, endpoint: Endpoint, ours: Hands, theirs: Hands) -> None:
        destination(endpoint, timeout_seconds=2)
        captured(endpoint)
        ours.claim()
        theirs.later(31)
        assert theirs.put_back() == 0
        assert theirs.claim() == []

    def test_one_that_ran_out_is_put_back_with_an_attempt_on_record(
        self, endpoint: Endpoint, ours: Hands, theirs: Hands
    ) -> None:
        there = destination(endpoint, timeout_seconds=2)
        captured(endpoint)
        lost = ours.one()
        theirs.later(33)
        assert theirs.put_back() == 1
        assert theirs.put_back() == 0
        assert states(there) == ["pending"]
        attempt = Attempt.objects.get(delivery=lost.delivery_id)
        assert "may have arrived" in attempt.error
        again = theirs.one()
        # Who was killed has not tried: a replay to a URL, which is tried once, goes again.
        assert (again.delivery_id, again.number, again.tries) == (lost.delivery_id, 2, 1)

    def test_an_outcome_after_that_counts_where_nobody_has_claimed_it_since(
        self, endpoint: Endpoint, ours: Hands, theirs: Hands
    ) -> None:
        """As where PostgreSQL was away for longer than the lease."""
        there = destination(endpoint)
        captured(endpoint)
        late = ours.one()
        theirs.later(100).put_back()
        ours.later(100).good(late)
        assert states(there) == ["delivered"]
        assert theirs.claim() == []

    def test_an_outcome_after_that_is_on_record_and_changes_nothing_where_somebody_has(
        self, endpoint: Endpoint, ours: Hands, theirs: Hands
    ) -> None:
        there = destination(endpoint)
        captured(endpoint)
        late = ours.one()
        theirs.later(100).put_back()
        theirs.one()
        ours.later(100).good(late)
        assert states(there) == ["delivering"]
        assert Attempt.objects.filter(status=200, number=1).count() == 1

    def test_of_one_that_is_tried_again_and_again_the_newest_attempts_stay(
        self, endpoint: Endpoint, ours: Hands
    ) -> None:
        destination(endpoint)
        captured(endpoint)
        for _ in range(33):
            ours.bad(ours.later(100).one())
        numbers = Attempt.objects.order_by("number").values_list("number", flat=True)
        assert list(numbers) == list(range(4, 34))

    def test_recorded_twice_it_is_one_attempt(self, endpoint: Endpoint, ours: Hands) -> None:
        """As where a connection breaks after the commit."""
        there = destination(endpoint)
        captured(endpoint)
        outcome = Outcome(ours.one(), DeliveryState.DELIVERED, True, ours.now, status=200, effect="good")
        ours.record(outcome)
        ours.record(outcome)
        assert Attempt.objects.count() == 1
        there.refresh_from_db()
        assert there.room == 2

    def test_a_crash_between_claim_and_sending_leaves_it_to_the_lease(self, endpoint: Endpoint, ours: Hands) -> None:
        there = destination(endpoint)
        captured(endpoint)
        with hands() as crashed:
            crashed.later().claim()
        assert states(there) == ["delivering"]
        ours.later(100).put_back()
        assert ours.one().number == 2

    def test_a_proxied_one_is_leased_for_as_long_as_its_destination_may_take(
        self, endpoint: Endpoint, theirs: Hands
    ) -> None:
        there = destination(endpoint, timeout_seconds=30)
        Endpoint.objects.filter(pk=endpoint.pk).update(proxy_seconds=0.1)
        captured(endpoint)
        assert states(there) == ["delivering"]
        assert theirs.later(58).put_back() == 0
        assert theirs.later(4).put_back() == 1


class TestWaking:
    """What waited for room is looked at when there is some, however it came about."""

    def test_when_the_one_under_way_is_deleted_with_its_request(self, endpoint: Endpoint, ours: Hands) -> None:
        destination(endpoint)
        first, _ = captured(endpoint, b"1", b"2")
        gone = ours.one()
        delete_requests(endpoint.pk, [first])
        assert ours.later().one().delivery_id != gone.delivery_id
        ours.good(gone)
        assert Attempt.objects.count() == 0

    def test_when_the_first_of_a_strict_order_is_deleted_while_it_waits(self, endpoint: Endpoint, ours: Hands) -> None:
        destination(endpoint, ordered=True)
        first, _ = captured(endpoint, b"1", b"2")
        ours.bad(ours.one(), wait=3600)
        assert ours.claim() == []
        delete_requests(endpoint.pk, [first])
        assert ours.later().one().message is not None

    def test_when_the_lease_of_the_one_under_way_runs_out(self, endpoint: Endpoint, ours: Hands) -> None:
        destination(endpoint)
        captured(endpoint, b"1", b"2")
        first = ours.one()
        ours.later(100).put_back()
        # What was due before comes first.
        second = ours.one()
        ours.good(second)
        assert {one.delivery_id for one in ours.later().claim()} == {first.delivery_id}

    def test_when_the_destination_is_turned_on_again(self, endpoint: Endpoint, ours: Hands) -> None:
        there = destination(endpoint)
        captured(endpoint)
        destinations.change(there, {"enabled": False})
        assert ours.later().claim() == []
        destinations.change(there, {"enabled": True})
        assert len(ours.later().claim()) == 1


class TestDeletedDestination:
    def test_what_waits_is_dead(self, endpoint: Endpoint, ours: Hands) -> None:
        there = destination(endpoint)
        captured(endpoint, b"1", b"2")
        destinations.remove(there)
        assert states(there) == ["dead", "dead"]
        assert {row.note for row in Delivery.objects.all()} == {"Its destination was deleted."}
        assert ours.later().claim() == []

    def test_what_is_under_way_is_dead_when_it_has_failed(self, endpoint: Endpoint, ours: Hands) -> None:
        there = destination(endpoint)
        captured(endpoint)
        claimed = ours.one()
        destinations.remove(there)
        assert states(there) == ["delivering"]
        ours.bad(claimed)
        (row,) = Delivery.objects.all()
        assert (row.state, row.note, row.next_at) == ("dead", "Its destination was deleted.", None)
        assert row.finished_at

    def test_and_delivered_when_it_was_taken(self, endpoint: Endpoint, ours: Hands) -> None:
        there = destination(endpoint)
        captured(endpoint)
        claimed = ours.one()
        destinations.remove(there)
        ours.good(claimed)
        assert states(there) == ["delivered"]

    def test_and_dead_when_its_process_was_killed(self, endpoint: Endpoint, ours: Hands) -> None:
        there = destination(endpoint)
        captured(endpoint)
        ours.claim()
        destinations.remove(there)
        ours.later(100).put_back()
        assert states(there) == ["dead"]

    def test_what_a_crash_left_of_it_is_swept(self, endpoint: Endpoint) -> None:
        """The destination goes first, in a transaction of its own."""
        there = destination(endpoint)
        captured(endpoint)
        Destination.objects.filter(pk=there.pk).delete()
        assert deliveries.give_up()
        assert states(there) == ["dead"]
        assert deliveries.give_up() is None


def test_what_was_put_off_untouched_was_not_tried(endpoint: Endpoint, ours: Hands) -> None:
    destination(endpoint)
    captured(endpoint)
    claimed = ours.one()
    ours.record(Outcome(claimed, DeliveryState.PENDING, False, ours.now, next_at=ours.now))
    again = ours.one()
    assert (again.number, again.tries) == (1, 1)
    assert Attempt.objects.count() == 0


def test_an_inbox_that_has_ended_sends_nothing(endpoint: Endpoint, ours: Hands) -> None:
    destination(endpoint)
    captured(endpoint)
    Endpoint.objects.filter(pk=endpoint.pk).expire_now()
    assert ours.claim() == []


def test_outcomes_of_deleted_deliveries_are_passed_over(endpoint: Endpoint, ours: Hands) -> None:
    there = destination(endpoint, room=8)
    requests = captured(endpoint, b"1", b"2")
    first, second = ours.claim()
    delete_requests(endpoint.pk, requests[:1])
    ours.good(first, replace(second))
    assert states(there) == ["delivered"]
    assert Attempt.objects.count() == 1


def test_the_time_of_the_next_look_is_that_of_the_next_delivery(endpoint: Endpoint, ours: Hands) -> None:
    there = destination(endpoint, room=8)
    captured(endpoint, b"1", b"2")
    first, second = ours.claim()
    ours.bad(first, wait=50)
    ours.bad(second, wait=20)
    ours.claim()
    there.refresh_from_db()
    assert there.wake_at == ours.now + 20 * moments.SECOND
