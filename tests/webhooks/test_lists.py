"""GET /webhook/{token}/requests: newest first, page by page, filtered."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.webhooks.inbox import Inbox
from webhooks.models import CapturedRequest, Endpoint

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def test_an_item_says_what_a_list_shows(inbox: Inbox) -> None:
    request_id = inbox.sent("/a%2Fb?x=1", b"{}", content_type="application/json; charset=utf-8")
    (item,) = inbox.items()
    received = datetime.fromisoformat(item.pop("received_at"))
    assert abs(datetime.now(UTC) - received) < timedelta(minutes=1)
    assert item == {
        "id": request_id,
        "method": "POST",
        "target": f"{inbox.receive_path}/a%2Fb?x=1",
        "path": "/a%2Fb",
        "content_type": "application/json",
        "size": 2,
        "too_large": False,
        "client": "127.0.0.1",
        "signature": None,
    }


def test_newest_first(inbox: Inbox) -> None:
    sent = [inbox.sent() for _ in range(3)]
    assert inbox.listed() == sent[::-1]


def test_pages_backwards_by_following_next(inbox: Inbox) -> None:
    sent = [inbox.sent(f"/{number}") for number in range(5)]
    assert read_all(inbox, "?limit=2&path=/") == [[*sent[:2:-1]], [sent[2], sent[1]], [sent[0]]]


def test_pages_forwards_from_an_id_without_missing_any(inbox: Inbox) -> None:
    sent = [inbox.sent() for _ in range(6)]
    pages = read_all(inbox, f"?limit=2&after={sent[0]}")
    assert pages == [[sent[2], sent[1]], [sent[4], sent[3]], [sent[5]]]


def test_between_two_ids(inbox: Inbox) -> None:
    sent = [inbox.sent() for _ in range(5)]
    assert inbox.listed(after=sent[0], before=sent[4]) == sent[3:0:-1]


def test_a_page_that_is_just_full_has_no_next(inbox: Inbox) -> None:
    for _ in range(2):
        inbox.sent()
    assert inbox.get("/requests", limit=2).json()["next"] is None


def test_an_id_that_is_not_there_any_more_still_has_its_place(inbox: Inbox) -> None:
    sent = [inbox.sent() for _ in range(3)]
    inbox.api.delete(f"{inbox.path}/requests/{sent[1]}")
    assert inbox.listed(after=sent[1]) == [sent[2]]
    assert inbox.listed(before=sent[1]) == [sent[0]]


def test_another_inbox_is_not_seen(inbox: Inbox) -> None:
    other = Inbox()
    request_id = other.sent("/secret", b"secret")
    assert inbox.listed() == []
    assert inbox.listed(q="secret") == []
    assert inbox.get(f"/requests/{request_id}").status_code == 404
    assert inbox.api.delete(f"{inbox.path}/requests/{request_id}").status_code == 404
    assert other.listed() == [request_id]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"method": "GET"}, "a"),
        ({"method": "GET,PURGE"}, "ad"),
        ({"method": "get"}, ""),
        ({"path": "/orders"}, "ab"),
        ({"path": "/orders/2"}, "b"),
        ({"path": "orders"}, ""),
        ({"path": "/100%25"}, "c"),
        ({"header[X-Kind]": "push"}, "b"),
        ({"header[x-kind]": "PUSH"}, "b"),
        ({"header[x-kind]": "us"}, "b"),
        ({"header[x-kind]": ""}, "bc"),
        ({"header[x]": "push"}, ""),
        ({"header[x-kind]": "", "path": "/100"}, "c"),
        ({"q": "needle"}, "b"),
        ({"q": "NEEDLE"}, "b"),
        ({"q": "grüße"}, "c"),
        ({"q": "x-kind: pus"}, "b"),
        ({"q": "page=7"}, "a"),
        ({"q": "receive"}, ""),
        ({"q": "a b"}, "d"),
        ({"q": "\\"}, "d"),
        ({"q": "%"}, "cd"),
        ({"q": "_"}, "d"),
        ({"q": "' OR true --"}, ""),
        ({"q": "nowhere"}, ""),
        ({"since": "1h"}, "abcd"),
        ({"since": "2020-01-01T00:00:00Z"}, "abcd"),
        ({"since": "2100-01-01T00:00:00+01:00"}, ""),
    ],
)
def test_filters(inbox: Inbox, query: dict[str, str], found: str) -> None:
    sent = {
        inbox.sent("/orders/1?page=7", method="GET"): "a",
        inbox.sent("/orders/2", b'{"text": "a Needle here"}', x_kind="push"): "b",
        inbox.sent("/100%25", "viele Grüße\0".encode(), x_kind="pull"): "c",
        inbox.sent("/a%20b", b"\xff\\_", method="PURGE"): "d",
    }
    assert "".join(sorted(sent[request_id] for request_id in inbox.listed(**query))) == found


def test_a_body_is_searched_only_so_far(inbox: Inbox) -> None:
    inbox.sent("/far", b"x" * 262_144 + b"needle")
    near = inbox.sent("/near", b"x" * 262_138 + b"needle")
    assert inbox.listed(q="needle") == [near]


def test_filters_go_on_to_the_next_page(inbox: Inbox) -> None:
    sent = [inbox.sent("/keep", x_kind="a b") if number % 2 else inbox.sent("/drop") for number in range(6)]
    pages = read_all(inbox, "?limit=2&header[x-kind]=a+b&q=keep&method=POST,PUT&since=1h")
    assert pages == [[sent[5], sent[3]], [sent[1]]]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("before=1", "before"),
        ("after=", None),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=%C2%B2", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("since=yesterday", "since"),
        ("since=2026-13-01T00:00:00Z", "since"),
        ("since=99999999999999999999h", "since"),
        ("q=a%00b", "q"),
        ("q=" + "a" * 1001, "q"),
        ("q=a&q=b", "q"),
        ("header[]=x", "header[name]"),
        ("metod=GET", "metod"),
        ("path=%ED%A0%80", None),
    ],
)
def test_a_parameter_that_is_wrong_is_named(inbox: Inbox, query: str, names: str | None) -> None:
    answer = inbox.api.get(f"{inbox.path}/requests?{query}")
    if names is None:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert answer.json()["message"].startswith(f"{names}: ")


def test_a_list_costs_two_statements_and_reads_no_body(inbox: Inbox, statements: list[str]) -> None:
    """Beside the limits': the endpoint, and its page."""
    inbox.sent(body=b"x")
    statements.clear()
    inbox.listed()
    ours = [statement for statement in statements if "webhooks_" in statement]
    assert len(ours) == 2
    assert '"body"' not in ours[1]
    assert '"headers"' not in ours[1]


def test_a_search_that_takes_too_long_says_so(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhooks.filters._PATH_SQL", "pg_sleep(5) IS NOT NULL AND %s <> ''")
    monkeypatch.setattr("webhooks.lists._SEARCH_SECONDS", "0.1")
    inbox.sent()
    refused = inbox.get("/requests", path="/x")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert "took longer" in refused.json()["message"]
    assert inbox.get("/requests").status_code == 200


def test_deleting_one(inbox: Inbox) -> None:
    kept, dropped = inbox.sent(), inbox.sent()
    assert inbox.api.delete(f"{inbox.path}/requests/{dropped}").json() == {"ok": True, "deleted": 1}
    assert inbox.listed() == [kept]
    assert inbox.api.delete(f"{inbox.path}/requests/{dropped}").status_code == 404
    assert Endpoint.objects.get().stored == 1


def test_deleting_all_leaves_the_inbox(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhooks.endpoints._BATCH", 2)
    other = Inbox()
    other.sent()
    for _ in range(5):
        inbox.sent()
    assert inbox.api.delete(f"{inbox.path}/requests").json() == {"ok": True, "deleted": 5}
    assert inbox.listed() == []
    assert CapturedRequest.objects.count() == 1
    assert inbox.get().json()["counts"] == {"captured": 5, "stored": 0}
    inbox.sent()
    assert len(inbox.listed()) == 1


@pytest.mark.parametrize("request_id", ["x", "00000000-0000-0000-0000-000000000000", "%00"])
def test_a_request_that_is_not_there(inbox: Inbox, request_id: str) -> None:
    answer = inbox.api.get(f"{inbox.path}/requests/{request_id}")
    assert answer.status_code in (400, 404)
    assert answer.json()["ok"] is False


def read_all(inbox: Inbox, query: str) -> list[list[str]]:
    """The ids of every page, by following `next`."""
    url: str | None = f"{inbox.path}/requests{query}"
    pages = []
    while url:
        answer: Any = inbox.api.get(url).json()
        pages.append([item["id"] for item in answer["items"]])
        parts = urlsplit(answer["next"]) if answer["next"] else None
        url = f"{parts.path}?{parts.query}" if parts else None
    return pages
