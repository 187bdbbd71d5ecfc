"""GET /webhook/{token}/events?include=message: whole requests, read in pages, of which little is held at once."""

import base64
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection
from rest_framework.test import APIClient

from tests.webhooks import sending
from tests.webhooks.inbox import Inbox
from webhooks import stream, whole_events
from webhooks.models import CapturedRequest, Endpoint
from webhooks.stream import Hub
from webhooks.writer import Writer

pytestmark = pytest.mark.django_db(transaction=True)

BEGINNING = str(UUID(int=0))


@pytest.fixture
def writer() -> Iterator[Writer]:
    writer = Writer()
    yield writer
    writer.close()


def stored(writer: Writer, endpoint: Endpoint, bodies: list[bytes], **parts: Any) -> list[str]:
    """The ids of requests with these bodies."""
    verdicts = writer.write([sending.capture(endpoint.pk, body, **parts) for body in bodies], None)
    return [str(verdict.request_id) for verdict in verdicts]


def pieces(api: APIClient, endpoint: Endpoint, count: int) -> list[bytes]:
    """The first so many pieces of a stream from the beginning, without the one that opens it."""
    answer: Any = api.get(f"/webhook/{endpoint.token}/events", {"include": "message", "after": BEGINNING})
    assert answer.status_code == 200, answer.content
    found = [next(answer.streaming_content) for _ in range(count + 1)]
    answer.close()
    return found[1:]


def events(piece: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in piece.decode().split("\n") if line.startswith("data: ")]


def test_an_event_holds_the_summary_the_lines_of_the_head_and_the_bytes(hub: Hub, api: APIClient) -> None:
    inbox = Inbox(api)
    inbox.sent("/a?b", b"\0\xff\r\n", "PATCH", x_one="caf\xe9", content_type="image/png")
    endpoint = Endpoint.objects.owned(inbox.token)
    assert endpoint
    (event,) = events(pieces(api, endpoint, 1)[0])
    assert {name: event[name] for name in inbox.items()[0]} == inbox.items()[0]
    assert event["headers"] == inbox.detail(event["id"])["headers"]
    assert ["Content-Type", "image/png"] in event["headers"]
    assert (base64.b64decode(event["body_base64"]), event["complete"]) == (b"\0\xff\r\n", True)


def test_long_bodies_and_those_that_were_not_kept_are_left_out(
    hub: Hub, api: APIClient, endpoint: Endpoint, writer: Writer
) -> None:
    stored(writer, endpoint, [b"", b"x" * 65_536, b"x" * 65_537])
    stored(writer, endpoint, [b""], too_large=True)
    found = events(b"".join(pieces(api, endpoint, 1)))
    assert [(event["complete"], event["body_base64"] and len(event["body_base64"])) for event in found] == [
        (True, ""),
        (True, 87_384),
        (False, None),
        (False, None),
    ]


def test_a_page_of_small_requests_is_read_in_one_statement(
    hub: Hub, api: APIClient, endpoint: Endpoint, writer: Writer, statements: list[str]
) -> None:
    ids = stored(writer, endpoint, [b"{}"] * 250)
    statements.clear()
    found = [event["id"] for piece in pieces(api, endpoint, 3) for event in events(piece)]
    assert found == ids
    assert sum("c.headers" in statement for statement in statements) == 3


def test_of_large_requests_half_a_megabyte_is_read_at_once(
    hub: Hub, api: APIClient, endpoint: Endpoint, writer: Writer
) -> None:
    ids = stored(writer, endpoint, [b"x" * 65_536] * 20)
    found = pieces(api, endpoint, 3)
    assert [event["id"] for piece in found for event in events(piece)] == ids
    assert max(map(len, found)) < 700_000


def test_header_lines_count_too_however_well_they_compress(
    hub: Hub, api: APIClient, endpoint: Endpoint, writer: Writer
) -> None:
    lines = tuple((f"X-{number}", "a" * 8000) for number in range(90))
    ids = stored(writer, endpoint, [b""] * 3, headers=lines)
    found = pieces(api, endpoint, 3)
    assert [[event["id"] for event in events(piece)] for piece in found] == [[key] for key in ids]


def test_nothing_of_them_is_kept_in_the_process(hub: Hub, api: APIClient, endpoint: Endpoint, writer: Writer) -> None:
    subscription = hub.subscribe(endpoint)
    stored(writer, endpoint, [b"x" * 1000])
    page = subscription.take(20)
    assert len(b"".join(whole_events.write(page))) > 1000
    assert page[0]._rendered == {}
    assert page[0].captured.get_deferred_fields() == {"headers", "body"}
    subscription.close()


def test_of_a_request_that_was_deleted_meanwhile_there_is_only_the_id(
    hub: Hub, endpoint: Endpoint, writer: Writer
) -> None:
    subscription = hub.subscribe(endpoint)
    ids = stored(writer, endpoint, [b"a", b"b", b"c"])
    page = subscription.take(20)
    CapturedRequest.objects.filter(pk__in=ids[1:]).delete()
    text = b"".join(whole_events.write(page)).decode()
    assert [event["id"] for event in events(text.encode())] == ids[:1]
    assert text.endswith(f"id: {ids[1]}\n\nid: {ids[2]}\n\n")
    subscription.close()


def test_a_stream_that_cannot_read_ends_and_says_when_to_come_again(
    hub: Hub, api: APIClient, endpoint: Endpoint, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(writer, endpoint, [b"a"])

    def fails(*_: Any) -> Any:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(whole_events, "_read", fails)
    answer: Any = api.get(f"/webhook/{endpoint.token}/events", {"include": "message", "after": BEGINNING})
    opened, last = list(answer.streaming_content)
    assert (opened[:6], last[:6]) == (b"retry:", b"retry:")
    answer.close()
    assert stream.hub.open == 0


def test_a_stream_holds_no_connection_while_it_sends(
    hub: Hub, api: APIClient, endpoint: Endpoint, writer: Writer
) -> None:
    stored(writer, endpoint, [b"a"])
    answer: Any = api.get(f"/webhook/{endpoint.token}/events", {"include": "message", "after": BEGINNING})
    for _ in range(2):
        next(answer.streaming_content)
        assert connection.connection is None
    answer.close()


@pytest.mark.parametrize(("call", "include"), [("events", "body"), ("events", ""), ("wait", "message")])
def test_what_is_not_known_is_named(api: APIClient, call: str, include: str) -> None:
    answer = Inbox(api).get(f"/{call}", include=include)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert answer.json()["message"].startswith("include:")
