"""Destinations and deliveries in admin: found and shown without a secret, changed by acts that ask first."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from instantlite.uuid7 import uuid7
from tests.webhooks.couriers import Forwarding
from tests.webhooks.operator import ENDPOINTS, choose, html, logged, said, shown, statements
from webhooks.dashboard import look_at_forwarding
from webhooks.models import Attempt, Delivery, DeliveryState, Destination

DESTINATIONS, DELIVERIES = "/admin/webhooks/destination/", "/admin/webhooks/delivery/"
EVIL = "<script>alert(1)</script>"
SECRET = "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0"


@pytest.fixture
def inbox(operator: Client) -> Forwarding:
    return Forwarding(wish={"name": "the one"})


@pytest.fixture
def dead(inbox: Forwarding) -> Delivery:
    """A delivery that was given up after one try."""
    made = inbox.to(f"https://example.com/{EVIL}", signature={"provider": "stripe", "secret": SECRET})
    inbox.sent(f"/{EVIL}", b"a body")
    Delivery.objects.update(state=DeliveryState.DEAD, note=EVIL, url=made["url"], attempts=1)
    delivery = Delivery.objects.get()
    tried(delivery, error=EVIL, answer_headers=[["X-Evil", EVIL]], answer_body=f"{EVIL}{'b' * 60_000}".encode())
    return delivery


def tried(delivery: Delivery, **columns: Any) -> None:
    given = {"number": 1, "started_at": timezone.now(), "duration_ms": 3.2, "status": 503}
    Attempt.objects.create(id=uuid7(), delivery=delivery, **given | columns)


def test_they_are_found_by_ids_and_filters(operator: Client, inbox: Forwarding, dead: Delivery) -> None:
    other = Forwarding()
    theirs = other.to("https://example.org/", enabled=False)
    mine = str(dead.destination_id)
    assert shown(operator, DESTINATIONS) == [theirs["id"], mine]
    for query in ({"q": mine}, {"q": inbox.answer["id"]}, {"endpoint": inbox.answer["id"]}, {"enabled__exact": "1"}):
        assert shown(operator, DESTINATIONS, **query) == [mine], query
    assert shown(operator, DESTINATIONS, q="no id") == shown(operator, DESTINATIONS, q=str(uuid.uuid4())) == []
    for term in (dead.pk, dead.request_id, mine, inbox.answer["id"]):
        assert shown(operator, DELIVERIES, q=str(term)) == [str(dead.pk)]
    for query in ({"state__exact": "dead"}, {"origin__exact": "forward"}, {"destination": mine}):
        assert shown(operator, DELIVERIES, **query) == [str(dead.pk)], query
    for query in ({"state__exact": "pending"}, {"endpoint": other.answer["id"]}, {"destination": "no id"}):
        assert shown(operator, DELIVERIES, **query) == [], query
    inbox.sent()
    later = str(Delivery.objects.latest("id").pk)
    assert shown(operator, DELIVERIES) == [later, str(dead.pk)]
    assert operator.get(f"{DELIVERIES}?note__contains=a").status_code in (302, 400)


def test_pages_show_how_it_went_as_text_and_no_secret(operator: Client, inbox: Forwarding, dead: Delivery) -> None:
    sealed = (Destination.objects.get().signing or {})["sealed"]
    key = inbox.receive_path.rpartition("/")[2]
    pages = [DESTINATIONS, DELIVERIES, "/admin/"]
    for path, key_of, acts in ((DESTINATIONS, dead.destination_id, ("on", "off")), (DELIVERIES, dead.pk, ("retry",))):
        pages += [f"{path}{key_of}/{name}/" for name in ("change", "history", *acts)]
    for path in pages:
        body = html(operator, path)
        assert EVIL not in body, path
        assert [secret for secret in (SECRET, sealed, inbox.token, key) if secret in body] == [], path
    body = html(operator, f"{DELIVERIES}{dead.pk}/change/")
    for text in ("1. 503, 3 ms", "X-Evil: &lt;script&gt;", "bytes more", str(dead.request_id)):
        assert text in body, text
    assert "as stripe" in html(operator, f"{DESTINATIONS}{dead.destination_id}/change/")
    assert len(body) < 200_000


def test_of_answers_only_the_start_leaves_the_database_whatever_there_is(
    operator: Client, inbox: Forwarding, dead: Delivery
) -> None:
    page = f"{DELIVERIES}{dead.pk}/change/"
    few = statements(operator, page)
    assert not [sql for sql in few if '."answer_body", "' in sql or '"edited_body"' in sql]
    for number in range(2, 40):
        tried(dead, number=number, answer_headers=[], answer_body=b"x")
    assert len(statements(operator, page)) <= len(few)
    assert "39. 503" in html(operator, page)
    assert "19. 503" not in html(operator, page)


@pytest.mark.parametrize("path", [DESTINATIONS, DELIVERIES])
def test_a_list_asks_as_often_of_many_as_of_few(operator: Client, inbox: Forwarding, dead: Delivery, path: str) -> None:
    few = statements(operator, path)
    for number in range(15):
        inbox.to(f"https://example.com/{number}")
    inbox.sent()
    assert len(statements(operator, path)) == len(few) <= 6
    assert len(shown(operator, path)) > 15


def test_a_destination_is_turned_off_and_on(operator: Client, inbox: Forwarding, dead: Delivery) -> None:
    key = str(dead.destination_id)
    choose(operator, DESTINATIONS, "off", key, confirmed=False)
    assert Destination.objects.get().enabled
    assert said(choose(operator, DESTINATIONS, "off", key, confirmed=True)) == f"Turned off: {key}."
    assert not Destination.objects.get().enabled
    assert "is off already" in said(operator.post(f"{DESTINATIONS}{key}/off/", follow=True))
    assert said(operator.post(f"{DESTINATIONS}{key}/on/", follow=True)) == f"Turned on: {key}."
    assert Destination.objects.get().enabled
    assert len(logged(key)) == 2


def test_a_delivery_is_tried_again(operator: Client, inbox: Forwarding, dead: Delivery) -> None:
    key = str(dead.pk)
    assert said(choose(operator, DELIVERIES, "retry", key, confirmed=True)) == f"Tried again: {key}."
    assert Delivery.objects.get().state == DeliveryState.PENDING
    Delivery.objects.update(state=DeliveryState.DELIVERED)
    assert "Left alone" in said(operator.post(f"{DELIVERIES}{key}/retry/", follow=True))
    assert logged(key) == [f"Try again: request {dead.request_id}"]


def test_nothing_is_added_edited_or_deleted_another_way(operator: Client, inbox: Forwarding, dead: Delivery) -> None:
    for path, key in ((DESTINATIONS, dead.destination_id), (DELIVERIES, dead.pk)):
        assert operator.get(f"{path}add/").status_code == 403
        assert operator.post(f"{path}{key}/change/", {"url": "x"}).status_code == 403
        assert operator.post(f"{path}{key}/delete/", {"post": "yes"}).status_code == 403
        assert operator.get(f"{path}no-id/change/", follow=True).redirect_chain[-1][0] == "/admin/"


def test_an_inbox_leads_to_them_for_those_who_may_see_them(
    client: Client, operator: Client, inbox: Forwarding, dead: Delivery
) -> None:
    page = f"{ENDPOINTS}{inbox.answer['id']}/change/"
    for path in (DESTINATIONS, DELIVERIES):
        assert f"{path}?endpoint={inbox.answer['id']}" in html(operator, page)
    guest = User.objects.create_user("guest", is_staff=True)
    guest.user_permissions.add(Permission.objects.get(codename="view_endpoint"))
    client.force_login(guest)
    assert DELIVERIES not in html(client, page)
    assert client.get(f"{DELIVERIES}{dead.pk}/change/").status_code == 403
    assert 'id="waiting"' not in html(client, "/admin/")


def test_the_dashboard_counts_what_waits_and_what_rests(operator: Client, inbox: Forwarding, dead: Delivery) -> None:
    stopped = inbox.to("https://example.com/2")
    Destination.objects.filter(pk=stopped["id"]).update(enabled=False, stopped="It answered 410 Gone.")
    Destination.objects.exclude(pk=stopped["id"]).update(rests_until="2999-01-01T00:00:00Z")
    inbox.sent()
    Delivery.objects.filter(state=DeliveryState.PENDING).update(next_at=Now())
    now = look_at_forwarding()
    assert (now.waiting, now.resting, now.stopped) == (1, 1, 1)
    body = html(operator, "/admin/")
    assert 'id="waiting">1<' in body
    assert "1 destination resting, 1 stopped" in body
