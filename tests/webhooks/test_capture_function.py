"""webhooks_capture() by itself, at moments of the test's choice: ids of one endpoint never go back."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from tests.webhooks import days, sending
from tests.webhooks.days import take_in
from tests.webhooks.ingesting import configure
from tests.webhooks.sending import stored
from webhooks.ingest import Away, Ingest
from webhooks.models import CapturedRequest, Endpoint
from webhooks.models.captures import time_of


@pytest.fixture
def endpoint(transactional_db: None, now: datetime) -> Endpoint:
    """One that is active at all of these moments."""
    return sending.endpoint(expires_at=now + timedelta(days=2))


@pytest.fixture
def now(transactional_db: None) -> datetime:
    # Far from a midnight, so that an hour back or forth is the same day's partition.
    return days.now().replace(hour=12, microsecond=500)


def test_an_id_says_when_to_the_microsecond_and_in_which_version(endpoint: Endpoint, now: datetime) -> None:
    moment = now.replace(microsecond=123_457)
    (first,) = take_in(moment, endpoint.pk)
    assert (first.version, first.variant) == (7, "specified in RFC 4122")
    assert time_of(first) == moment.replace(microsecond=123_000)
    # RFC 9562, section 6.2, method 3: the fraction of the millisecond, in 4096ths.
    assert (first.int >> 64) & 0xFFF == 457 * 4096 // 1000
    assert Endpoint.objects.get(pk=endpoint.pk).newest_us == round(moment.timestamp() * 1e6)


def test_requests_of_one_batch_are_a_microsecond_apart(endpoint: Endpoint, now: datetime) -> None:
    other = sending.endpoint(expires_at=endpoint.expires_at)
    ids = take_in(now, *[endpoint.pk, other.pk] * 3000)
    for own in (ids[::2], ids[1::2]):
        assert all(earlier < later for earlier, later in itertools.pairwise(own))
        assert time_of(own[-1]) - time_of(own[0]) == timedelta(milliseconds=3)
    assert Endpoint.objects.get(pk=endpoint.pk).captured == 3000


@given(st.lists(st.tuples(st.integers(-3_000_000_000, 3_000_000_000), st.integers(1, 5)), min_size=2, max_size=12))
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ids_are_later_than_those_before_whatever_the_clock_does(
    endpoint: Endpoint, now: datetime, steps: list[tuple[int, int]]
) -> None:
    one = sending.endpoint(expires_at=endpoint.expires_at)
    moments = [(now + timedelta(microseconds=offset), count) for offset, count in steps]
    ids = [made for moment, count in moments for made in take_in(moment, *[one.pk] * count)]
    assert all(earlier < later for earlier, later in itertools.pairwise(ids))
    assert ids == [row.id for row in stored(one.pk)]
    assert all(abs(time_of(made) - now) < timedelta(hours=1) for made in ids)


def test_the_time_of_arrival_is_that_of_the_sender_not_of_the_commit(endpoint: Endpoint, now: datetime) -> None:
    (made,) = take_in(now, endpoint.pk, waited=timedelta(milliseconds=1500))
    assert CapturedRequest.objects.get(pk=made).received_at == now - timedelta(milliseconds=1500)


def test_what_expires_in_this_microsecond_is_gone(endpoint: Endpoint, now: datetime) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(expires_at=now)
    assert take_in(now - timedelta(microseconds=1), endpoint.pk) != [None]
    assert take_in(now, endpoint.pk) == [None]


def test_a_clock_that_was_days_ahead_is_a_503_until_its_day_is_there(
    ingest: Ingest, endpoint: Endpoint, settings: Settings
) -> None:
    """The next id would be of that day, which has no table: nothing that a sender can help."""
    configure(settings, patience=timedelta(seconds=1))
    ahead = datetime.now(UTC) + timedelta(days=30)
    Endpoint.objects.filter(pk=endpoint.pk).update(newest_us=ahead.timestamp() * 1e6)
    with pytest.raises(Away):
        ingest.submit(sending.capture(endpoint.pk))
    assert stored(endpoint.pk) == []
