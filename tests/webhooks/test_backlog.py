"""What an inbox keeps because a delivery of it is not done yet, and what becomes of deliveries as requests go."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.webhooks import couriers, moments, sending
from tests.webhooks.moments import Hands, captured, destination, hands
from webhooks import deliveries, endpoints, forward
from webhooks.models import Attempt, CapturedRequest, Delivery, DeliveryState, Destination, Endpoint

KEPT, BACKLOG = 10, 5


@pytest.fixture
def ours(transactional_db: None, settings: Settings) -> Iterator[Hands]:
    couriers.to_loopback(settings, backlog=BACKLOG)
    with hands() as made:
        yield made.later()


@pytest.fixture
def inbox(transactional_db: None) -> Endpoint:
    return sending.endpoint(requests_stored=KEPT)


def quiet(inbox: Endpoint) -> None:
    """Its newest request came some seconds ago."""
    moment = timezone.now().timestamp() - 10
    Endpoint.objects.filter(pk=inbox.pk).update(newest_us=round(moment * 1_000_000))


def trim(inbox: Endpoint) -> None:
    quiet(inbox)
    while endpoints.trim_one():
        pass
    inbox.refresh_from_db()


def kept(inbox: Endpoint) -> list[UUID]:
    return list(CapturedRequest.objects.of(inbox.pk).oldest_first().values_list("pk", flat=True))


class TestTrim:
    def test_what_waits_is_kept_up_to_the_backlog(self, inbox: Endpoint, ours: Hands) -> None:
        there = destination(inbox)
        sent = captured(inbox, *[b""] * (KEPT + BACKLOG))
        trim(inbox)
        assert kept(inbox) == sent
        assert (inbox.stored, inbox.held) == (KEPT + BACKLOG, BACKLOG)
        there.refresh_from_db()
        assert there.lost == 0

    def test_beyond_it_the_oldest_go_and_are_counted(self, inbox: Endpoint, ours: Hands) -> None:
        first, second = destination(inbox), destination(inbox)
        sent = captured(inbox, *[b""] * (KEPT + BACKLOG + 7))
        trim(inbox)
        assert kept(inbox) == sent[7:]
        assert (inbox.stored, inbox.held) == (KEPT + BACKLOG, BACKLOG)
        for there in (first, second):
            there.refresh_from_db()
            assert there.lost == 7
        assert Delivery.objects.count() == 2 * (KEPT + BACKLOG)
        # They are not stuck behind those that went.
        assert len(ours.later().claim()) == 2

    def test_what_is_done_goes_with_its_deliveries_and_attempts(self, inbox: Endpoint, ours: Hands) -> None:
        there = destination(inbox, room=100)
        sent = captured(inbox, *[b""] * 15)
        ours.good(*ours.claim(room=100))
        trim(inbox)
        assert kept(inbox) == sent[5:]
        assert (inbox.stored, inbox.held) == (KEPT, 0)
        assert Delivery.objects.count() == Attempt.objects.count() == KEPT
        there.refresh_from_db()
        assert there.lost == 0

    def test_what_was_kept_goes_when_nothing_waits_any_more(self, inbox: Endpoint, ours: Hands) -> None:
        destination(inbox, room=100)
        sent = captured(inbox, *[b""] * 15)
        trim(inbox)
        ours.good(*ours.claim(room=100))
        trim(inbox)
        assert kept(inbox) == sent[5:]
        assert (inbox.stored, inbox.held) == (KEPT, 0)

    def test_one_that_is_sent_in_this_moment_may_go_too(self, inbox: Endpoint, ours: Hands) -> None:
        destination(inbox)
        captured(inbox, *[b""] * (KEPT + BACKLOG + 1))
        claimed = ours.one()
        trim(inbox)
        ours.good(claimed)
        assert not Delivery.objects.filter(pk=claimed.delivery_id).exists()
        assert len(ours.later().claim()) == 1

    def test_the_count_is_put_right_where_it_was_wrong(self, inbox: Endpoint, ours: Hands) -> None:
        destination(inbox)
        captured(inbox, *[b""] * (KEPT + 3))
        Endpoint.objects.filter(pk=inbox.pk).update(stored=500)
        trim(inbox)
        assert (inbox.stored, inbox.held) == (KEPT + 3, 3)

    def test_an_inbox_that_was_emptied_holds_nothing_back(self, inbox: Endpoint, ours: Hands) -> None:
        destination(inbox)
        captured(inbox, *[b""] * (KEPT + BACKLOG))
        trim(inbox)
        assert endpoints.clear(inbox) == KEPT + BACKLOG
        inbox.refresh_from_db()
        assert (inbox.stored, inbox.held) == (0, 0)
        assert not Delivery.objects.exists()

    def test_of_some_that_were_deleted_the_held_ones_come_off_first(self, inbox: Endpoint, ours: Hands) -> None:
        destination(inbox)
        sent = captured(inbox, *[b""] * (KEPT + BACKLOG))
        trim(inbox)
        endpoints.delete_requests(inbox.pk, sent[:3])
        inbox.refresh_from_db()
        assert (inbox.stored, inbox.held) == (KEPT + 2, 2)

    def test_a_backlog_of_none_keeps_nothing(self, inbox: Endpoint, ours: Hands, settings: Settings) -> None:
        couriers.to_loopback(settings, backlog=0)
        there = destination(inbox)
        captured(inbox, *[b""] * 15)
        trim(inbox)
        there.refresh_from_db()
        assert (len(kept(inbox)), there.lost, inbox.held) == (KEPT, 5, 0)


class TestEnd:
    def test_a_deleted_inbox_leaves_nothing(self, inbox: Endpoint, ours: Hands) -> None:
        destination(inbox)
        captured(inbox, *[b""] * 3)
        ours.good(*ours.claim())
        endpoints.expire(inbox)
        for model in (Destination, Delivery, Attempt, CapturedRequest):
            assert not model.objects.exists()

    def test_an_expired_one_is_purged_by_steps(
        self, inbox: Endpoint, endpoint: Endpoint, ours: Hands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deliveries, "_BATCH", 2)
        destination(inbox)
        destination(inbox)
        captured(inbox, *[b""] * 3)
        living = destination(endpoint)
        captured(endpoint)
        Endpoint.objects.filter(pk=inbox.pk).update(expires_at=Now() - timedelta(seconds=1))
        assert endpoints.expire_due()
        said = []
        while done := deliveries.purge_one_batch():
            said.append(done)
        assert len(said) == 3
        assert list(Destination.objects.all()) == [living]
        assert Delivery.objects.get().destination_id == living.pk

    def test_its_destinations_go_where_there_were_no_deliveries(self, inbox: Endpoint, ours: Hands) -> None:
        destination(inbox)
        Endpoint.objects.filter(pk=inbox.pk).expire_now()
        assert deliveries.purge_one_batch()
        assert not Destination.objects.exists()
        assert deliveries.purge_one_batch() is None


class TestGivingUp:
    def test_what_could_not_be_sent_in_its_time_is_dead(self, inbox: Endpoint, ours: Hands) -> None:
        there = destination(inbox)
        captured(inbox, b"1", b"2")
        Destination.objects.filter(pk=there.pk).update(enabled=False)
        assert deliveries.give_up() is None
        late = Delivery.objects.order_by("id")[:1].get()
        Delivery.objects.filter(pk=late.pk).update(until=Now() - timedelta(seconds=1))
        assert deliveries.give_up() == "1 deliveries given up"
        late.refresh_from_db()
        assert (late.state, late.note, late.next_at) == (DeliveryState.DEAD, forward.GIVEN_UP, None)
        assert late.finished_at
        assert moments.states(there) == ["dead", "pending"]

    def test_what_is_under_way_is_left_to_who_sends_it(self, inbox: Endpoint, ours: Hands) -> None:
        destination(inbox)
        captured(inbox)
        ours.claim()
        Delivery.objects.update(until=Now() - timedelta(seconds=1))
        assert deliveries.give_up() is None
