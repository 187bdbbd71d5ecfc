"""What one statement makes of a batch: each request its own verdict, and the others unharmed."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from instantlite import platformdb
from instantlite.config import Rate
from instantlite.resource import Wish
from webhooks import endpoints
from webhooks.capture import Capture
from webhooks.message import Message
from webhooks.models import CapturedRequest, Endpoint
from webhooks.writer import UNKNOWN, Unacceptable, Writer

pytestmark = pytest.mark.django_db(transaction=True)
ONE_AN_HOUR = timedelta(hours=1)


@pytest.fixture
def writer() -> Iterator[Writer]:
    writer = Writer()
    yield writer
    writer.close()


def to(endpoint: Endpoint | uuid.UUID, body: bytes = b"", **fields: Any) -> Capture:
    """A request to an endpoint, of a sender who is known."""
    message = Message("POST", "/webhook/receive/key", "1.1", (("X-Quoted", 'say "a\\b" {}, é'),), body)
    key = endpoint if isinstance(endpoint, uuid.UUID) else endpoint.pk
    return replace(Capture(key, message, "192.0.2.1", len(body)), **fields)


def new() -> Endpoint:
    return Endpoint.objects.start(Wish(fingerprint=""))


def test_a_batch_for_several_endpoints_is_stored_each_with_its_own(writer: Writer) -> None:
    first, second = new(), new()
    batch = [to(first, b"1"), to(second, b"2"), to(first, b"3"), to(second, b"4"), to(first, b"5")]

    verdicts = writer.write(batch, None)

    assert [verdict.outcome for verdict in verdicts] == ["stored"] * 5
    for captured, verdict in zip(batch, verdicts, strict=True):
        row = CapturedRequest.objects.get(pk=verdict.request_id)
        assert (row.endpoint_id, row.message) == (captured.endpoint_id, captured.message)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.captured, first.stored, second.captured, second.stored) == (3, 3, 2, 2)


def test_ids_of_one_endpoint_are_in_the_order_of_the_batch_and_later_than_before(writer: Writer) -> None:
    endpoint, other = new(), new()

    ids = [
        verdict.request_id
        for _ in range(3)
        for verdict in writer.write([to(endpoint), to(other), to(endpoint), to(endpoint)], None)
    ]

    ours = [request_id for place, request_id in enumerate(ids) if place % 4 != 1]
    assert ours == sorted(ours)
    assert len(set(ids)) == 12


def test_each_request_of_a_batch_has_its_own_verdict(writer: Writer) -> None:
    taken_in, gone = new(), new()
    endpoints.expire(gone)

    verdicts = writer.write([to(gone), to(uuid.uuid4()), to(taken_in)], Rate(5, ONE_AN_HOUR))

    assert [verdict.outcome for verdict in verdicts] == ["gone", "unknown", "stored"]
    assert CapturedRequest.objects.filter(endpoint_id=gone.pk).count() == 0


def test_a_batch_of_which_no_endpoint_exists_is_answered(writer: Writer) -> None:
    assert writer.write([to(uuid.uuid4()), to(uuid.uuid4())], Rate(5, ONE_AN_HOUR)) == [UNKNOWN] * 2


def test_the_first_of_a_batch_are_taken_in_as_far_as_each_limit_goes(writer: Writer) -> None:
    full, free = new(), new()
    writer.write([to(full)] * 2, Rate(3, ONE_AN_HOUR))

    verdicts = writer.write([to(full), to(free), to(full), to(free), to(full)], Rate(3, ONE_AN_HOUR))

    assert [verdict.outcome for verdict in verdicts] == ["stored", "stored", "limited", "stored", "limited"]
    assert [verdict.wait > 0 for verdict in verdicts] == [False, False, True, False, True]
    assert CapturedRequest.objects.filter(endpoint_id=full.pk).count() == 3


def test_an_answer_goes_to_the_requests_of_its_endpoint_alone(writer: Writer) -> None:
    plain, chosen = new(), new()
    Endpoint.objects.filter(pk=chosen.pk).update(answer={"status": 202})

    verdicts = writer.write([to(chosen), to(plain), to(chosen)], None)

    assert [verdict.answer for verdict in verdicts] == [{"status": 202}, None, {"status": 202}]


def test_senders_and_sizes_that_nobody_knows_are_stored_as_null(writer: Writer) -> None:
    unknown = to(new(), client=None, size=None, too_large=True)

    verdicts = writer.write([unknown, unknown], None)

    rows = CapturedRequest.objects.filter(pk__in=[verdict.request_id for verdict in verdicts])
    assert [(row.client, row.size, row.too_large) for row in rows] == [(None, None, True)] * 2


@pytest.mark.parametrize("body", [b"", b"\0", bytes(range(256)), "ü\ud7ff".encode(), b"{},\"'\\NULL"])
def test_bodies_come_back_to_the_byte(writer: Writer, body: bytes) -> None:
    (verdict,) = writer.write([to(new(), body)], None)

    assert bytes(CapturedRequest.objects.get(pk=verdict.request_id).body) == body


def test_text_that_postgresql_cannot_hold_is_refused(writer: Writer) -> None:
    message = Message("POST", "/a\0b", "1.1", (), b"")

    with pytest.raises(Unacceptable):
        writer.write([to(new(), message=message)], None)


def test_each_endpoint_of_a_batch_is_announced_once_with_its_newest_request(writer: Writer) -> None:
    first, second = new(), new()
    with platformdb.connect() as listener:
        listener.execute("LISTEN instantlite_captures")

        verdicts = writer.write([to(first), to(second), to(first)], None)

        heard = {notify.payload for notify in listener.notifies(timeout=10, stop_after=2)}
    assert heard == {f"{first.pk} {verdicts[2].request_id}", f"{second.pk} {verdicts[1].request_id}"}


def test_housekeepers_are_told_once_when_an_endpoint_fills_up(writer: Writer) -> None:
    endpoint = new()
    Endpoint.objects.filter(pk=endpoint.pk).update(requests_stored=2)
    with platformdb.connect() as listener:
        listener.execute("LISTEN instantlite_wake")
        for _ in range(4):
            writer.write([to(endpoint)] * 10, None)
        with connection.cursor() as cursor:
            cursor.execute("NOTIFY instantlite_wake, 'last'")

        heard = [notify.payload for notify in listener.notifies(timeout=10, stop_after=2)]
    assert heard == ["", "last"]
