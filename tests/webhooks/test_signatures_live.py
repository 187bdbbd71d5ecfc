"""Verdicts on signatures in what is live: events, the waiting call, and the rows of the page."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest

from tests.webhooks import signing
from tests.webhooks.inbox import Inbox
from webhooks import events, page_stream, stream, verdicts
from webhooks.feed import Entry
from webhooks.models import Endpoint
from webhooks.stream import Hub
from webhooks.subscription import Subscription

SECRET = "whsec_live"
NOTHING = UUID(int=0)


@pytest.fixture
def inbox(transactional_db: None) -> Inbox:
    return Inbox()


def set_to(inbox: Inbox, signature: Any) -> None:
    assert inbox.api.patch(inbox.path, {"signature": signature}, format="json").status_code == 200


def send(inbox: Inbox, secret: str = SECRET, body: bytes = b"{}") -> str:
    ((name, value),) = signing.stripe(secret, body, int(time.time()))
    return inbox.sent("", body, **{name: value})


def row(inbox: Inbox) -> Endpoint:
    return Endpoint.objects.get(pk=inbox.answer["id"])


def taken(subscription: Subscription, count: int) -> list[Entry]:
    found: list[Entry] = []
    deadline = time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline:
        found += subscription.take(1)
    assert len(found) == count
    return found


def said(entry: Entry) -> Any:
    """The signature in the event of the API."""
    event = entry.rendered(events.summary).decode()
    (line,) = [line for line in event.splitlines() if line.startswith("data: ")]
    return json.loads(line.removeprefix("data: "))["signature"]


STRIPE = {"provider": "stripe", "secret": SECRET}


def test_an_event_says_it_live_and_after_catching_up(hub: Hub, inbox: Inbox) -> None:
    set_to(inbox, STRIPE)
    with closing(hub.subscribe(row(inbox))) as live:
        send(inbox)
        send(inbox, "whsec_another")
        good, bad = taken(live, 2)
    with closing(hub.subscribe(row(inbox), after=NOTHING)) as later:
        again = taken(later, 2)
    for first, second in ((good, bad), again):
        assert said(first) == {"verified": True, "diagnosis": None}
        assert said(second)["diagnosis"]["code"] == "signature_mismatch"


def test_without_a_signature_a_stream_reads_no_body(hub: Hub, inbox: Inbox, statements: list[str]) -> None:
    with closing(hub.subscribe(row(inbox))) as live:
        send(inbox)
        (entry,) = taken(live, 1)
        statements.clear()
        assert said(entry) is None
        assert not statements
    with closing(hub.subscribe(row(inbox), after=NOTHING)) as later:
        (entry,) = taken(later, 1)
        assert said(entry) is None
    assert not any('"body"' in statement for statement in statements)


def test_a_signature_that_is_set_or_removed_counts_for_what_comes_next(hub: Hub, inbox: Inbox) -> None:
    with closing(hub.subscribe(row(inbox))) as live:
        send(inbox)
        (before,) = taken(live, 1)
        set_to(inbox, STRIPE)
        send(inbox)
        (between,) = taken(live, 1)
        set_to(inbox, None)
        send(inbox)
        (after,) = taken(live, 1)
    assert said(before) is None
    assert said(between) == {"verified": True, "diagnosis": None}
    assert said(after) is None


def test_many_streams_of_one_inbox_verify_a_request_once(
    hub: Hub, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to(inbox, STRIPE)
    checked: list[int] = []
    check: Callable[..., None] = verdicts.check_live

    def counted(endpoint_id: UUID, page: Any) -> None:
        checked.append(len(page))
        time.sleep(0.05)  # so that the others come while one is at it
        check(endpoint_id, page)

    monkeypatch.setattr(verdicts, "check_live", counted)
    subscriptions = [hub.subscribe(row(inbox)) for _ in range(8)]
    found: list[Entry] = []
    threads = [threading.Thread(target=lambda one=one: found.extend(taken(one, 1))) for one in subscriptions]
    for thread in threads:
        thread.start()
    send(inbox)
    for thread in threads:
        thread.join(20)
    for subscription in subscriptions:
        subscription.close()
    assert [said(entry)["verified"] for entry in found] == [True] * 8
    assert sum(checked) == 1


def test_a_page_of_events_reads_a_bounded_part_of_the_bodies(
    hub: Hub, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "BODIES_PER_PAGE", 10)
    set_to(inbox, STRIPE)
    send(inbox, body=b"x" * 8)
    send(inbox, body=b"x" * 8)
    with closing(hub.subscribe(row(inbox), after=NOTHING)) as later:
        first, second = taken(later, 2)
    assert said(first)["verified"] is True
    assert said(second)["diagnosis"]["code"] == "not_checked"


def test_the_waiting_call_says_it(hub: Hub, inbox: Inbox) -> None:
    set_to(inbox, STRIPE)
    send(inbox)
    found = inbox.get("/wait", after=str(NOTHING)).json()["request"]
    assert found["signature"] == {"verified": True, "diagnosis": None}
    assert stream.hub is hub


def test_a_row_of_the_live_page_has_its_mark(hub: Hub, inbox: Inbox) -> None:
    set_to(inbox, STRIPE)
    send(inbox)
    send(inbox, "whsec_another")
    with closing(hub.subscribe(row(inbox), after=NOTHING)) as later:
        good, bad = taken(later, 2)
    assert "signature verified" in good.rendered(page_stream.row).decode()
    assert "signature not verified" in bad.rendered(page_stream.row).decode()
