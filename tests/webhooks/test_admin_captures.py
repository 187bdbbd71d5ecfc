"""Captured requests in admin: browsed without reading bodies or counting the table, and shown as harmless text."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client

from instantlite.resource import State
from tests.plans import explain
from tests.webhooks.inbox import Inbox
from tests.webhooks.operator import CAPTURES, ENDPOINTS, choose, html, logged, said, shown, statements
from webhooks.models import CapturedRequest, Endpoint

ATTACK = "<script>alert(1)</script>"


@pytest.fixture
def inbox(operator: Client) -> Inbox:
    return Inbox(wish={"name": "the one"})


def page(request_id: str, name: str = "change") -> str:
    return f"{CAPTURES}{request_id}/{name}/"


def test_the_list_is_newest_first_and_can_be_that_of_one_inbox(operator: Client, inbox: Inbox) -> None:
    other = Inbox()
    first, theirs, last = inbox.sent("/first"), other.sent("/theirs"), inbox.sent("/last")
    assert shown(operator, CAPTURES) == [last, theirs, first]
    assert shown(operator, CAPTURES, endpoint=inbox.answer["id"]) == [last, first]
    assert shown(operator, CAPTURES, q=theirs) == [theirs]
    assert shown(operator, CAPTURES, q="no id") == shown(operator, CAPTURES, endpoint="no id") == []


def test_a_page_shows_the_request_and_not_the_key(operator: Client, inbox: Inbox) -> None:
    request_id = inbox.sent("//a%2Fb?x=1&x=2", '{"größe": 1}', "PURGE", content_type="application/json", x_a="größe")
    key = inbox.receive_path.rpartition("/")[2]
    body = html(operator, page(request_id))
    for text in (
        "PURGE",
        "//a%2Fb?x=1&amp;x=2",
        "application/json",
        "{&quot;größe&quot;: 1}",
        "X-A: größe",
        "14 bytes",
    ):
        assert text in body, text
    for path in (CAPTURES, page(request_id), page(request_id, "history"), page(request_id, "remove")):
        body = html(operator, path)
        assert key not in body, path
        assert inbox.token not in body, path


def test_headers_are_in_their_order(operator: Client, inbox: Inbox) -> None:
    request_id = inbox.sent()
    pairs = [["B", "1"], ["a", "2"], ["B", "3"]]
    CapturedRequest.objects.update(headers=pairs)
    assert "B: 1\na: 2\nB: 3" in html(operator, page(request_id))


def test_a_binary_body_is_a_hex_dump(operator: Client, inbox: Inbox) -> None:
    body = html(operator, page(inbox.sent(body=bytes(range(256)))))
    assert "00000040  40 41 42 43" in body
    assert "|@ABCDEFGHIJKLMNO|" in body


def test_of_a_long_body_only_the_start_leaves_the_database(operator: Client, inbox: Inbox) -> None:
    request_id = inbox.sent(body="a" * 2048 + "b" * 100_000)
    asked = statements(operator, page(request_id))
    assert not [sql for sql in asked if '."body"' in sql.replace('substring("webhooks_capturedrequest"."body"', "")]
    body = html(operator, page(request_id))
    assert "a" * 2048 in body
    assert "aabb" not in body
    assert "… and 100,000 bytes more" in body


def test_a_body_that_was_too_large_is_said_to_be(operator: Client, inbox: Inbox) -> None:
    request_id = inbox.sent()
    CapturedRequest.objects.update(too_large=True, size=None, body=b"")
    assert "too large and not kept" in html(operator, page(request_id))
    assert "too large and not kept" in html(operator, CAPTURES)


def test_nothing_that_was_sent_is_markup(operator: Client, inbox: Inbox) -> None:
    request_id = inbox.sent(f"/{ATTACK}?{ATTACK}", ATTACK, content_type="text/html", x_a=ATTACK)
    CapturedRequest.objects.update(method=ATTACK, content_type=ATTACK, version=ATTACK)
    operator.post(page(request_id, "remove").replace("remove", "history"))
    for path in (CAPTURES, *(page(request_id, name) for name in ("change", "history", "remove"))):
        body = html(operator, path)
        assert ATTACK not in body, path
    told = operator.post(page(request_id, "remove"), follow=True).content.decode()
    assert "Deleted" in told
    assert ATTACK not in told
    assert ATTACK not in html(operator, "/admin/")


def test_deleting_asks_first_is_logged_and_keeps_the_count(operator: Client, inbox: Inbox) -> None:
    kept, doomed, also = inbox.sent(), inbox.sent(), inbox.sent()
    assert "the way back" not in html(operator, page(doomed, "remove"))
    choose(operator, CAPTURES, "remove", doomed, confirmed=False)
    assert len(inbox.listed()) == 3
    answer = operator.post(page(doomed, "remove"), follow=True)
    assert answer.redirect_chain[-1][0] == CAPTURES
    assert said(answer) == f"Deleted: POST {doomed}."
    assert said(choose(operator, CAPTURES, "remove", also, confirmed=True)) == f"Deleted: POST {also}."
    assert inbox.listed() == [kept]
    assert Endpoint.objects.get().stored == 1
    assert logged(doomed) == [f"Delete: from inbox {inbox.answer['id']}"]


def test_one_that_is_gone_leads_back(operator: Client, inbox: Inbox) -> None:
    request_id = inbox.sent()
    CapturedRequest.objects.all().delete()
    for path in (page(request_id), page(request_id, "remove"), page("no-id"), page("no-id", "remove")):
        assert operator.get(path, follow=True).redirect_chain[-1][0] == "/admin/", path


def test_nothing_is_added_edited_or_deleted_another_way(operator: Client, inbox: Inbox) -> None:
    request_id = inbox.sent()
    assert operator.get(f"{CAPTURES}add/").status_code == 403
    assert operator.post(page(request_id), {"method": "GET"}).status_code == 403
    assert operator.post(page(request_id, "delete"), {"post": "yes"}).status_code == 403
    assert inbox.listed() == [request_id]


def test_who_may_see_inboxes_does_not_see_what_was_sent_to_them(client: Client, inbox: Inbox) -> None:
    request_id = inbox.sent(body="a secret")
    guest = User.objects.create_user("guest", is_staff=True)
    guest.user_permissions.add(Permission.objects.get(codename="view_endpoint"))
    client.force_login(guest)
    for path in (CAPTURES, page(request_id), page(request_id, "remove"), page(request_id, "history")):
        assert client.get(path).status_code == 403, path
    assert "Browse" not in html(client, f"{ENDPOINTS}{inbox.answer['id']}/change/")


@pytest.mark.parametrize("query", ["method=GET", "body__contains=a", "size__gt=1"])
def test_a_url_cannot_ask_for_what_no_index_answers(operator: Client, query: str) -> None:
    assert operator.get(f"{CAPTURES}?{query}").status_code in (302, 400)


_CAPTURES = """
INSERT INTO webhooks_capturedrequest
    (id, endpoint_id, received_at, method, target, version, content_type, size, too_large, headers, body)
SELECT webhooks_uuid7((date_part('epoch', now()) * 1e6)::bigint - n), md5((n %% 200)::text)::uuid, now(), 'POST', '/',
    '1.1', '', 3, false, '[]', 'abc'
FROM generate_series(1, 20000) n
"""


def fill() -> None:
    """Twenty thousand requests of two hundred inboxes."""
    with connection.cursor() as cursor:
        cursor.execute(_CAPTURES, [])
        cursor.execute("ANALYZE webhooks_capturedrequest")


def test_the_list_asks_as_often_of_many_as_of_few_and_reads_nothing_long(operator: Client, inbox: Inbox) -> None:
    inbox.sent()
    few = statements(operator, CAPTURES)
    fill()
    many = statements(operator, CAPTURES)
    assert len(many) == len(few) <= 6
    assert not [sql for sql in many if '."body"' in sql or '."headers"' in sql]


@pytest.mark.parametrize("page_number", ["1", "20"])
def test_the_list_visits_the_newest_and_no_more(operator: Client, page_number: str) -> None:
    fill()
    asked = [sql for sql in statements(operator, CAPTURES, p=page_number) if "webhooks_capturedrequest" in sql]
    for sql in asked:
        assert "LIMIT" in sql
        plan = explain(sql, "ANALYZE")
        assert "Sort" not in {node["Node Type"] for node in plan}
        assert max(node["Actual Rows"] for node in plan) <= 1001
    assert "the first 1,000; search or filter to reach the others" in html(operator, CAPTURES)


def test_the_list_of_an_inbox_is_answered_by_its_index(operator: Client) -> None:
    fill()
    with connection.cursor() as cursor:
        cursor.execute("SELECT md5('7')::uuid")
        (endpoint_id,) = cursor.fetchone() or ("",)
    for sql in statements(operator, CAPTURES, endpoint=str(endpoint_id)):
        if "webhooks_capturedrequest" in sql:
            plan = explain(sql, "ANALYZE")
            scans = [node for node in plan if "Relation Name" in node]
            # How a partition's own index is called follows its columns.
            assert all("endpoint_id_id" in node.get("Index Name", "endpoint_id_id") for node in scans), plan
            assert "Seq Scan" not in {node["Node Type"] for node in scans if node["Actual Rows"]}
            assert max(node["Actual Rows"] for node in plan) <= 101


def test_an_ended_inbox_s_requests_can_be_seen_until_they_are_gone(operator: Client, inbox: Inbox) -> None:
    request_id = inbox.sent()
    Endpoint.objects.update(state=State.GONE)
    assert shown(operator, CAPTURES, endpoint=inbox.answer["id"]) == [request_id]
