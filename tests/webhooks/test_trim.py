"""What housekeeping removes of inboxes that hold more than they keep."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.utils import timezone

from instantlite.resource import Wish
from webhooks.capture import Capture
from webhooks.endpoints import trim_one
from webhooks.message import Message
from webhooks.models import CapturedRequest, Endpoint
from webhooks.writer import Writer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def writer() -> Iterator[Writer]:
    writer = Writer()
    yield writer
    writer.close()


def holding(writer: Writer, number: int, kept: int = 10) -> Endpoint:
    """An inbox that keeps `kept` requests and has just taken in so many."""
    endpoint = Endpoint.objects.start(Wish(fingerprint=""))
    Endpoint.objects.filter(pk=endpoint.pk).update(requests_stored=kept)
    message = Message("POST", "/webhook/receive/key", "1.1", (), b"")
    writer.write([Capture(endpoint.pk, message, None, 0)] * number, None)
    return endpoint


def quiet(endpoint: Endpoint, seconds: int) -> None:
    """Its newest request came so long ago."""
    moment = timezone.now().timestamp() - seconds
    Endpoint.objects.filter(pk=endpoint.pk).update(newest_us=round(moment * 1_000_000))


def test_one_that_is_well_beyond_what_it_keeps_is_trimmed_to_it(writer: Writer) -> None:
    endpoint = holding(writer, 36)
    ids = list(CapturedRequest.objects.of(endpoint.pk).newest_first().values_list("pk", flat=True))

    assert trim_one()

    assert list(CapturedRequest.objects.of(endpoint.pk).newest_first().values_list("pk", flat=True)) == ids[:10]
    endpoint.refresh_from_db()
    assert (endpoint.stored, endpoint.captured) == (10, 36)
    assert trim_one() is None


def test_one_that_is_a_little_beyond_is_left_alone_while_it_is_busy(writer: Writer) -> None:
    endpoint = holding(writer, 35)

    assert trim_one() is None

    quiet(endpoint, seconds=10)
    assert trim_one()
    assert CapturedRequest.objects.of(endpoint.pk).count() == 10


def test_a_quiet_one_that_holds_what_it_keeps_is_left_alone(writer: Writer) -> None:
    quiet(holding(writer, 10), seconds=10)

    assert trim_one() is None


def test_only_the_trimming_does_not_wait_for_the_disk(writer: Writer) -> None:
    holding(writer, 36)

    trim_one()

    with connection.cursor() as cursor:
        cursor.execute("SELECT source FROM pg_settings WHERE name = 'synchronous_commit'")
        assert cursor.fetchone() != ("session",)
