"""Inboxes in admin: found and shown without a secret, extended and ended by acts that ask first and are logged."""

import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from instantlite.resource import State
from tests.plans import explain
from tests.webhooks.inbox import Inbox
from tests.webhooks.operator import ENDPOINTS, choose, html, logged, said, shown, statements
from webhooks import endpoints
from webhooks.dashboard import look
from webhooks.models import CapturedRequest, Endpoint

ACTS = ["expire", "extend"]


@pytest.fixture
def inbox(operator: Client) -> Inbox:
    made = Inbox(wish={"name": "the one"}, headers={"Idempotency-Key": "a-key"})
    made.sent("/hook")
    return made


def row(inbox: Inbox) -> Endpoint:
    return Endpoint.objects.get(pk=inbox.answer["id"])


def page(inbox: Inbox, name: str) -> str:
    return f"{ENDPOINTS}{inbox.answer['id']}/{name}/"


def test_no_page_holds_a_secret_or_leads_to_the_owners_page(operator: Client, inbox: Inbox) -> None:
    key = inbox.receive_path.rpartition("/")[2]
    mac = bytes(row(inbox).idempotency_mac or b"")
    assert len(mac) == 32
    secrets = [inbox.token, key, "/webhooks/webhook_", mac.hex(), str(mac)]
    for path in [ENDPOINTS, *(page(inbox, name) for name in ("change", "history", *ACTS)), "/admin/"]:
        body = html(operator, path)
        assert [secret for secret in secrets if secret in body] == [], path


def test_the_pages_show_counts_and_the_exact_expiry(operator: Client, inbox: Inbox) -> None:
    Endpoint.objects.update(captured=12_345, stored=99)
    expires = row(inbox).expires_at
    for path in (ENDPOINTS, page(inbox, "change")):
        body = html(operator, path)
        for text in ("the one", "12345" if "change" in path else "12,345", "99", f'title="{expires:%Y-%m-%d %H:%M:%S}'):
            assert text in body, (path, text)
    assert f"/admin/webhooks/capturedrequest/?endpoint={inbox.answer['id']}" in html(operator, page(inbox, "change"))


def test_the_answer_that_senders_get_is_shown_as_text(operator: Client, inbox: Inbox) -> None:
    assert "the default" in html(operator, page(inbox, "change"))
    Endpoint.objects.update(answer={"body": "<script>alert(1)</script>"})
    body = html(operator, page(inbox, "change"))
    assert "<script>alert(1)" not in body
    assert "&lt;script&gt;alert(1)" in body


@pytest.mark.parametrize("term", ["the o", "id", "token", "receive_url", "receive_path", "below", "key", "fingerprint"])
def test_search_finds_by_what_names_an_inbox(operator: Client, inbox: Inbox, term: str) -> None:
    Inbox()
    Endpoint.objects.filter(pk=inbox.answer["id"]).update(fingerprint="Fingerprint0123456789x")
    known = {
        **inbox.answer,
        "receive_path": inbox.receive_path,
        "below": f"{inbox.answer['receive_url']}/a/b?c=d",
        "key": inbox.receive_path.rpartition("/")[2],
        "fingerprint": "Fingerprint0123456789x",
    }
    assert shown(operator, ENDPOINTS, q=known.get(term, term)) == [inbox.answer["id"]]


@pytest.mark.parametrize(
    "term", ["webhook_", "webhook_mistyped", "/webhook/receive/", "/webhook/receive/nope", "nobody"]
)
def test_what_names_no_inbox_finds_none(operator: Client, inbox: Inbox, term: str) -> None:
    assert shown(operator, ENDPOINTS, q=term) == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("owner", "Finger", True),
        ("owner", "Nobody", False),
        ("state__exact", "active", True),
        ("state__exact", "gone", False),
        ("expiry", "day", True),
        ("expiry", "overdue", False),
    ],
)
def test_filters(operator: Client, inbox: Inbox, name: str, value: str, found: bool) -> None:
    Endpoint.objects.update(fingerprint="Fingerprint0123456789x")
    assert (inbox.answer["id"] in shown(operator, ENDPOINTS, **{name: value})) is found


@pytest.mark.parametrize("act", ACTS)
def test_asking_changes_nothing(operator: Client, inbox: Inbox, act: str) -> None:
    before = Endpoint.objects.values().get()
    assert "the one" in html(operator, page(inbox, act))
    assert "the one" in choose(operator, ENDPOINTS, act, inbox.answer["id"], confirmed=False).content.decode()
    assert Endpoint.objects.values().get() == before
    assert logged(inbox.answer["id"]) == []


def test_extending_moves_the_expiry_by_a_day_and_is_logged(operator: Client, inbox: Inbox) -> None:
    before = row(inbox).expires_at
    answer = operator.post(page(inbox, "extend"), follow=True)
    after = row(inbox).expires_at
    assert said(answer) == "Extended: the one."
    assert before
    assert after
    assert after - before == timedelta(hours=24)
    assert logged(inbox.answer["id"]) == [f"Extend by 24 h: expires {after:%Y-%m-%d %H:%M:%S} UTC"]


def test_expiring_ends_each_at_once_and_housekeeping_deletes_what_they_hold(operator: Client, inbox: Inbox) -> None:
    other = Inbox()
    kept = Inbox()
    kept.sent("/kept")
    answer = choose(operator, ENDPOINTS, "expire", inbox.answer["id"], other.answer["id"], confirmed=True)
    assert said(answer).startswith("Expired, and its requests are deleted within seconds: ")
    assert inbox.send("/late").status_code == 410
    assert inbox.get().status_code == 410
    while endpoints.finish_one():
        pass
    assert set(Endpoint.objects.exclude(pk=kept.answer["id"]).values_list("state", flat=True)) == {State.GONE}
    assert [str(captured.endpoint_id) for captured in CapturedRequest.objects.all()] == [kept.answer["id"]]
    assert len(logged(inbox.answer["id"])) == len(logged(other.answer["id"])) == 1


@pytest.mark.parametrize("act", ACTS)
def test_one_that_is_not_active_is_left_alone(operator: Client, inbox: Inbox, act: str) -> None:
    endpoints.expire(row(inbox))
    assert said(operator.post(page(inbox, act), follow=True)) == "Left alone, it is not active: the one."
    assert logged(inbox.answer["id"]) == []


def test_one_that_is_overdue_is_not_extended_and_can_be_ended(operator: Client, inbox: Inbox) -> None:
    Endpoint.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert said(operator.post(page(inbox, "extend"), follow=True)).startswith("Left alone")
    assert said(operator.post(page(inbox, "expire"), follow=True)).startswith("Expired")


def test_the_longest_lifetime_is_said(operator: Client, inbox: Inbox) -> None:
    longest = settings.INSTANTLITE.limits.max_lifetime
    Endpoint.objects.update(created_at=Now() - longest)
    assert "limits.max_lifetime" in said(choose(operator, ENDPOINTS, "extend", inbox.answer["id"], confirmed=True))
    assert logged(inbox.answer["id"]) == []


def test_one_that_never_was_leads_back(operator: Client) -> None:
    assert said(operator.get(f"{ENDPOINTS}{uuid.uuid4()}/expire/", follow=True)) == "It is not there any more."


def test_who_may_only_look_cannot_act(client: Client, operator: Client, inbox: Inbox) -> None:
    guest = User.objects.create_user("guest", is_staff=True)
    guest.user_permissions.add(Permission.objects.get(codename="view_endpoint"))
    client.force_login(guest)
    assert "Expire now" not in html(client, page(inbox, "change"))
    assert client.post(page(inbox, "expire")).status_code == 403
    choose(client, ENDPOINTS, "expire", inbox.answer["id"], confirmed=True)
    assert row(inbox).state == State.ACTIVE


def test_nothing_is_added_edited_or_deleted(operator: Client, inbox: Inbox) -> None:
    assert operator.get(f"{ENDPOINTS}add/").status_code == 403
    assert operator.post(page(inbox, "change"), {"name": "other"}).status_code == 403
    assert operator.post(page(inbox, "delete"), {"post": "yes"}).status_code == 403
    assert 'name="_save"' not in html(operator, page(inbox, "change"))


_TOMBSTONES = """
INSERT INTO webhooks_endpoint (id, name, fingerprint, state, created_at, expires_at, gone_at, requests_stored, captured,
    stored, newest_us)
SELECT webhooks_uuid7((date_part('epoch', t) * 1e6)::bigint), 'tomb-' || i, md5(i::text)::varchar(22), 'gone', t,
    t + interval '1 h', t + interval '1 h', 100, 0, 0, 0
FROM (SELECT i, now() - i * interval '10 s' AS t FROM generate_series(%s::int, %s::int) AS i) AS old
"""


def bury(first: int, last: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_TOMBSTONES, [first, last])
        cursor.execute("ANALYZE webhooks_endpoint")


@pytest.mark.parametrize(
    "query", [{}, {"q": "tomb-1"}, {"state__exact": "gone"}, {"expiry": "expired"}, {"owner": "a"}]
)
def test_the_list_asks_as_often_of_many_as_of_few(operator: Client, query: dict[str, str]) -> None:
    bury(1, 3)
    few = statements(operator, ENDPOINTS, **query)
    bury(4, 5_000)
    assert len(statements(operator, ENDPOINTS, **query)) == len(few) <= 6
    assert not [sql for sql in few if "idempotency_mac" in sql or "webhooks_capturedrequest" in sql]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({}, "webhooks_endpoint_pkey"),
        ({"q": str(uuid.uuid4())}, "webhooks_endpoint_pkey"),
        ({"owner": "Fingerprint0123456789x"}, "webhook_fingerprint"),
        ({"state__exact": "active"}, "webhook_expiry"),
        ({"expiry": "overdue"}, "webhook_expiry"),
    ],
)
def test_the_list_is_answered_by_an_index(operator: Client, query: dict[str, str], index: str) -> None:
    bury(1, 5_000)
    Inbox()
    asked = statements(operator, ENDPOINTS, **query)
    (rows,) = [sql for sql in asked if "ORDER BY" in sql and "webhooks_endpoint" in sql]
    plan = explain(rows)
    assert index in {node.get("Index Name") for node in plan}
    assert "Seq Scan" not in {node["Node Type"] for node in plan}


def test_the_dashboard_counts_by_one_statement_that_reads_no_request(operator: Client, inbox: Inbox) -> None:
    bury(1, 1_000)
    late = Inbox()
    late.sent()
    Endpoint.objects.filter(pk=late.answer["id"]).update(expires_at=Now() - timedelta(minutes=1), stored=41)
    with CaptureQueriesContext(connection) as seen:
        now = look()
    assert (now.active, now.stored, now.late) == (2, 42, 1)
    (asked,) = [query["sql"] for query in seen.captured_queries]
    assert "webhooks_capturedrequest" not in asked
    assert "webhook_expiry" in {node.get("Index Name") for node in explain(asked)}
    body = html(operator, "/admin/")
    assert 'id="inboxes">2<' in body
    assert "1 expired, not taken away yet" in body


def test_each_part_of_the_dashboard_is_for_those_who_may_see_it(client: Client, operator: Client) -> None:
    guest = User.objects.create_user("guest", is_staff=True)
    guest.user_permissions.add(Permission.objects.get(codename="view_endpoint"))
    client.force_login(guest)
    body = html(client, "/admin/")
    assert 'id="inboxes"' in body
    assert 'id="alive"' not in body
