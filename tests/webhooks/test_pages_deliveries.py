"""Deliveries on the page of an inbox: how each went, marks in the list, and what it costs to show them."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from instantlite.uuid7 import uuid7
from tests.webhooks.couriers import Forwarding
from tests.webhooks.page import EVIL, client, form, shown
from webhooks.models import Attempt, Delivery, DeliveryState, Destination

__all__ = ["client"]

pytestmark = pytest.mark.usefixtures("transactional_db")

URL = "https://example.com/hooks"


@pytest.fixture
def inbox(transactional_db: None) -> Forwarding:
    return Forwarding(wish={"name": "orders"})


def tried(delivery: Delivery, **columns: Any) -> Attempt:
    """An attempt of a delivery, which has one more."""
    number = delivery.attempts + 1
    given = {"started_at": timezone.now(), "duration_ms": 12.3, "status": 200, "answer_headers": [], "answer_body": b""}
    Delivery.objects.filter(pk=delivery.pk).update(attempts=number)
    delivery.attempts = number
    return Attempt.objects.create(id=uuid7(), delivery=delivery, number=number, **given | columns)


def failed(inbox: Forwarding) -> Delivery:
    """A dead delivery of a new request, which was answered 503."""
    delivery = Delivery.objects.get(request_id=inbox.sent("/x"))
    Delivery.objects.filter(pk=delivery.pk).update(state=DeliveryState.DEAD, url=URL, note="Given up.", next_at=None)
    headers = [["Content-Type", "text/plain"], ["Retry-After", "7"]]
    tried(delivery, status=503, error="It is busy.", answer_headers=headers, answer_body=b"later")
    return delivery


def test_the_tab_shows_each_delivery_and_each_try(client: Client, inbox: Forwarding) -> None:
    inbox.to(URL)
    delivery = failed(inbox)
    tried(delivery, status=None, error="No connection: refused.", duration_ms=1234.5)
    page = shown(client, inbox, f"/{delivery.request_id}?tab=deliveries")
    text = re.sub(r"<[^>]+>|\s+", " ", unescape(page[page.index('id="panel-deliveries"') :]))
    said = ("dead", "forwarded", "Given up.", "503 Service Unavailable", "12 ms", "It is busy.", "Retry-After", "later")
    for words in (*said, "no answer", "1.2 s", "No connection: refused.", "Try again"):
        assert words in text, words
    assert text.index("no answer") < text.index("503")
    assert "hx-trigger" not in page[page.index('id="panel-deliveries"') :]
    assert re.search(
        r'id="tab-deliveries"[^>]*>Deliveries <span class="count">1<', shown(client, inbox, f"/{delivery.request_id}")
    )


def test_one_that_was_never_sent_says_what_to_do(client: Client, inbox: Forwarding) -> None:
    page = shown(client, inbox, f"/{inbox.sent()}?tab=deliveries")
    assert "It was not sent on." in page


def test_a_dead_one_is_tried_again(client: Client, inbox: Forwarding) -> None:
    made = inbox.to(URL)
    delivery = failed(inbox)
    answer = form(client, inbox, f"/deliveries/{delivery.pk}/retry")
    assert answer["Location"] == f"/webhooks/{inbox.token}/{delivery.request_id}?tab=deliveries"
    assert Delivery.objects.get().state == DeliveryState.PENDING
    assert "Try now" in shown(client, inbox, f"/{delivery.request_id}?tab=deliveries")
    Delivery.objects.update(state=DeliveryState.DELIVERED)
    assert form(client, inbox, f"/deliveries/{delivery.pk}/retry").status_code == 409
    inbox.call("DELETE", f"/destinations/{made['id']}")
    Delivery.objects.update(state=DeliveryState.DEAD)
    assert "Try again" not in shown(client, inbox, f"/{delivery.request_id}?tab=deliveries")
    assert form(client, Forwarding(), f"/deliveries/{delivery.pk}/retry").status_code == 404


def test_the_panel_looks_again_while_one_is_open_and_is_sent_when_it_changed(client: Client, inbox: Forwarding) -> None:
    inbox.to(URL)
    request_id = inbox.sent()
    page = shown(client, inbox, f"/{request_id}?tab=deliveries")
    look = re.search(
        rf'hx-get="/webhooks/{inbox.token}(/{request_id}/deliveries\?seen=\w+)" hx-trigger="every 1s"', page
    )
    assert look
    assert shown(client, inbox, look[1], status=204) == ""
    Delivery.objects.update(next_at=Now() + timedelta(hours=1))
    assert 'hx-trigger="every 15s"' in shown(client, inbox, look[1])
    Delivery.objects.update(state=DeliveryState.DELIVERED)
    part = shown(client, inbox, look[1])
    assert "<html" not in part
    assert "hx-trigger" not in part
    assert "delivered" in part


def test_marks_say_how_the_last_delivery_to_each_destination_went(client: Client, inbox: Forwarding) -> None:
    inbox.to(URL)
    inbox.to(f"{URL}/2")
    dead, waiting, delivered, skipped = (inbox.sent(f"/{number}") for number in range(4))
    for request_id, state in ((dead, "dead"), (delivered, "delivered"), (skipped, "skipped")):
        Delivery.objects.filter(request_id=request_id).update(state=state)
    Delivery.objects.filter(pk=Delivery.objects.filter(request_id=dead).latest("id").pk).update(state="delivered")
    page = shown(client, inbox)
    marks = dict(re.findall(r'id="m-([0-9a-f-]+)"[^>]*>([^<]*)<', page))
    assert marks == {dead: "dead", waiting: "2 waiting", delivered: "2 delivered", skipped: ""}
    older = Delivery.objects.get(request_id=dead, state="dead")
    Delivery.objects.create(
        endpoint_id=older.endpoint_id, request_id=dead, destination_id=older.destination_id, url=URL, origin="replay",
        state="delivered", created_at=timezone.now(), until=timezone.now(),
    )  # fmt: skip
    part = shown(client, inbox, f"/marks?ids={dead},{skipped}")
    assert re.findall(r'id="m-([0-9a-f-]+)" hx-swap-oob="true"[^>]*>([^<]*)<', part) == [
        (dead, "2 delivered"),
        (skipped, ""),
    ]
    assert shown(client, inbox, "/marks?ids=nonsense", status=404)


def test_marks_cost_one_query_for_all_rows_and_none_where_nothing_is_sent_on(
    client: Client, inbox: Forwarding, statements: list[str]
) -> None:
    def asked() -> int:
        statements.clear()
        shown(client, inbox)
        return len([text for text in statements if 'FROM "webhooks_delivery"' in text and "DISTINCT" in text])

    ids = [inbox.sent(f"/{number}") for number in range(3)]
    assert asked() == 0
    inbox.to(URL)
    ids += [inbox.sent(f"/{number}") for number in range(8)]
    assert asked() == 1
    assert len(ids) == 11


def test_the_tab_costs_as_much_for_many_as_for_few(client: Client, inbox: Forwarding, statements: list[str]) -> None:
    made = inbox.to(URL)
    request_id = inbox.sent()
    path = f"/{request_id}?tab=deliveries"

    def asked() -> int:
        statements.clear()
        shown(client, inbox, path)
        assert not [text for text in statements if '"answer_body", "' in text or '"edited_body", "' in text]
        return len(statements)

    few = asked()
    (one,) = Delivery.objects.all()
    for number in range(60):
        row = Delivery.objects.create(
            endpoint_id=one.endpoint_id, request_id=UUID(request_id), destination_id=UUID(made["id"]), url=URL,
            origin="replay", edited={"method": "PUT"}, edited_body=b"x" * 1000, state="delivered",
            created_at=timezone.now(), until=timezone.now(),
        )  # fmt: skip
        tried(row, answer_body=b"a" * 50_000 + str(number).encode())
    assert asked() == few
    page = shown(client, inbox, path)
    assert "11 older ones are not shown" in page
    assert "replayed, edited" in page
    assert "and 47,95" in page  # of each body the start
    assert len(page) < 400_000


def test_nothing_that_a_destination_answers_becomes_markup(client: Client, inbox: Forwarding) -> None:
    inbox.to(URL)
    request_id = inbox.sent()
    Delivery.objects.update(state="dead", url=f"javascript:{EVIL}", note=EVIL)
    (delivery,) = Delivery.objects.all()
    for content_type, body in (
        ("text/html", EVIL.encode()),
        ("<script>", b"\0" + EVIL.encode()),
        ("a", b"\xff" + EVIL.encode()),
    ):
        tried(
            delivery,
            error=EVIL,
            status=299,
            answer_headers=[[EVIL, EVIL], ["Content-Type", content_type]],
            answer_body=body,
        )
    for path in (f"/{request_id}?tab=deliveries", f"/{request_id}/deliveries", "", "/destinations"):
        page = shown(client, inbox, path)
        assert "<script>" not in page
        assert not re.search(r"<(img|b)[^>]*(onerror|/evil)", page)
        assert 'href="javascript' not in page


def test_what_waits_for_a_destination_that_is_off_says_so(client: Client, inbox: Forwarding) -> None:
    made = inbox.to(URL)
    request_id = inbox.sent()
    Destination.objects.filter(pk=made["id"]).update(enabled=False)
    assert "waits until its destination is on" in shown(client, inbox, f"/{request_id}?tab=deliveries")
