"""Replay on the page of an inbox: what is not changed goes byte for byte, whatever a browser makes of line ends."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from tests.webhooks.couriers import Forwarding
from tests.webhooks.page import EVIL, client, form, shown
from webhooks.models import CapturedRequest, Delivery, Destination

__all__ = ["client"]

pytestmark = pytest.mark.usefixtures("transactional_db")

URL = "https://example.com/hooks"


@pytest.fixture
def inbox(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Forwarding:
    # No courier runs here, so that there is no outcome to wait for.
    monkeypatch.setattr("webhooks.page_replay._WAIT_SECONDS", 0.0)
    return Forwarding(wish={"name": "orders"})


def fields_of(page: str) -> dict[str, str]:
    """The form's fields as a browser without a script would send them: line ends are CRLF."""
    pane = page[page.index('data-pane="replay"') :]
    held = dict(re.findall(r'name="(method|path)" value="([^"]*)"', pane))
    held |= dict(re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>\n([^<]*)</textarea>', pane))
    return {name: re.sub("\r\n|\r|\n", "\r\n", unescape(text)) for name, text in held.items()}


def sent(client: Client, inbox: Forwarding, captured: str, **changes: Any) -> Delivery:
    """The delivery that the filled-in form makes, with these fields changed."""
    inbox.to(URL) if not Destination.objects.exists() else None
    fields = fields_of(shown(client, inbox, f"/{captured}/replay")) | {"to": "all"} | changes
    answer = form(client, inbox, f"/{captured}/replay", **fields)
    assert (answer.status_code, answer["Location"]) == (303, f"/webhooks/{inbox.token}/{captured}?tab=deliveries")
    return Delivery.objects.filter(request_id=captured).latest("id")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"a": 1}\n', "application/json"),
        (b"\r\n\r\nfirst\r\nlines\r\n", "text/plain"),
        (b"mixed\r\nline\nends\n", "text/plain"),
        (b"a lone\rreturn", "text/plain"),
        (b"\n\nline feeds first", "text/plain"),
        ("gr\xfcn".encode("latin-1"), "text/plain; charset=iso-8859-1"),
        ("\ufeffgr\xfcn".encode("utf-16-le"), "text/plain; charset=utf-16"),
        (b"a nul\0in text", "text/plain"),
        (bytes(range(256)), "application/octet-stream"),
        (b"a" * 300_000, "text/plain"),
        (b"</textarea><script>alert(1)</script>&amp;", "text/html"),
        (b"", "text/plain"),
    ],
)
def test_a_form_that_nobody_touched_changes_nothing(
    client: Client, inbox: Forwarding, body: bytes, content_type: str
) -> None:
    captured = inbox.sent("/a%20b?x=%3Cb%3E&&y", body, content_type=content_type, X_Odd="gr\xfcn  \t!")
    delivery = sent(client, inbox, captured)
    assert (delivery.edited, delivery.edited_body) == (None, None)
    assert delivery.origin == "replay"


def test_a_changed_body_keeps_its_line_ends_charset_and_mark(client: Client, inbox: Forwarding) -> None:
    for came, text, wanted in (
        (b"one\r\ntwo\r\n", "one\r\n2\r\n", b"one\r\n2\r\n"),
        (b"one\ntwo\n", "one\r\n2\r\n", b"one\n2\n"),
        (b"one\r\ntwo\n", "one\r\n2", b"one\n2"),
        ("gr\xfcn".encode("latin-1"), "bl\xe4u", "bl\xe4u".encode("latin-1")),
        (b"\xef\xbb\xbfone", "two", b"\xef\xbb\xbftwo"),
        (b"one", "", b""),
    ):
        charset = "iso-8859-1" if b"\xfc" in came else "utf-8"
        captured = inbox.sent(body=came, content_type=f"text/plain; charset={charset}")
        delivery = sent(client, inbox, captured, body=text)
        assert bytes(delivery.edited_body or b"") == wanted
        assert delivery.edited is None


def test_what_its_charset_does_not_have_is_said(client: Client, inbox: Forwarding) -> None:
    captured = inbox.sent(body="gr\xfcn".encode("latin-1"), content_type="text/plain; charset=iso-8859-1")
    answer = form(client, inbox, f"/{captured}/replay", to="url", url=URL, body="\u20ac")
    assert answer.status_code == 400
    assert "has characters that iso-8859-1, in which it came, does not have" in answer.content.decode()
    assert "\u20ac" in answer.content.decode()


def test_changed_headers_keep_duplicates_order_and_the_bytes_of_lines_that_stay(
    client: Client, inbox: Forwarding
) -> None:
    captured = inbox.sent()
    pairs = [["Host", "a"], ["X-A", "1"], ["x-a", "gr\xfcn"], ["X-A", "gr\xc3\xbcn"], ["X-Empty", ""]]
    CapturedRequest.objects.filter(pk=captured).update(headers=pairs)
    text = fields_of(shown(client, inbox, f"/{captured}/replay"))["headers"]
    assert text == "Host: a\r\nX-A: 1\r\nx-a: gr\xfcn\r\nX-A: gr\xfcn\r\nX-Empty: "
    delivery = sent(client, inbox, captured, headers=f"{text}\r\n\r\nX-New:  bl\xe4u ")
    assert delivery.edited == {"headers": [*pairs, ["X-New", "bl\xc3\xa4u"]]}


def test_method_and_path_are_changed(client: Client, inbox: Forwarding) -> None:
    captured = inbox.sent("/orders?id=1")
    delivery = sent(client, inbox, captured, method="PATCH", path="/orders/2?x=%C3%BC")
    assert delivery.edited == {"method": "PATCH", "path": "/orders/2?x=%C3%BC"}


def test_a_binary_body_goes_as_it_came_unless_it_is_replaced(client: Client, inbox: Forwarding) -> None:
    captured = inbox.sent(body=b"\0\1\2")
    assert "Its body is not text. It is sent as it came" in shown(client, inbox, f"/{captured}/replay")
    assert sent(client, inbox, captured, body="ignored").edited_body is None
    assert bytes(sent(client, inbox, captured, body="t\xe9xt", replace="on").edited_body or b"") == "t\xe9xt".encode()


def test_a_body_that_was_not_kept_has_to_be_given(client: Client, inbox: Forwarding) -> None:
    captured = inbox.sent()
    CapturedRequest.objects.filter(pk=captured).update(too_large=True, body=b"")
    answer = form(client, inbox, f"/{captured}/replay", to="url", url=URL)
    assert answer.status_code == 400
    assert 'id="ep-body"' in answer.content.decode()
    assert form(client, inbox, f"/{captured}/replay", to="url", url=URL, body="a", replace="on").status_code == 303


def test_it_goes_to_all_to_one_or_to_a_url(client: Client, inbox: Forwarding) -> None:
    captured = inbox.sent()
    one, off = inbox.to(URL), inbox.to(f"{URL}/off", enabled=False)
    for fields, urls in (
        ({"to": "all"}, [URL]),
        ({"to": off["id"], "url": "ignored"}, [off["url"]]),
        ({"to": "url", "url": "https://example.org/x"}, ["https://example.org/x"]),
        ({}, [one["url"]]),
    ):
        Delivery.objects.all().delete()
        assert form(client, inbox, f"/{captured}/replay", **fields).status_code == 303
        assert [delivery.url for delivery in Delivery.objects.all()] == urls


@pytest.mark.parametrize(
    ("fields", "place", "says"),
    [
        ({"to": "all"}, "e-to-problem", "no destination that is on"),
        ({"to": "nowhere"}, "e-to-problem", "must be one of the list"),
        ({"to": "00000000-0000-0000-0000-000000000000"}, "e-to-problem", "no destination that is on"),
        ({"to": "url", "url": "javascript:alert(1)"}, "e-url-problem", "http"),
        ({"to": "url", "url": URL, "method": "<b>"}, "ep-method", "must be a method"),
        ({"to": "url", "url": URL, "path": "no slash"}, "ep-path", "must begin with /"),
        ({"to": "url", "url": URL, "headers": "no colon"}, "ep-headers", "must be lines"),
        ({"to": "url", "url": URL, "headers": "<b>: 1"}, "ep-headers", "is no name of a header"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    client: Client, inbox: Forwarding, fields: dict[str, str], place: str, says: str
) -> None:
    answer = form(client, inbox, f"/{inbox.sent()}/replay", **fields)
    page = unescape(answer.content.decode())
    assert answer.status_code == 400
    problem = re.search(rf'<p class="problem" id="{place}">([^<]*(?:<b>[^<]*)?)</p>', page)
    assert problem, page
    assert says in problem[1]
    assert Delivery.objects.count() == 0


def test_a_hostile_request_is_text_in_the_form(client: Client, inbox: Forwarding) -> None:
    captured = inbox.sent(f"/{EVIL}", f"</textarea>{EVIL}", method="<script>", X_Evil=EVIL, content_type="text/html")
    for page in (
        shown(client, inbox, f"/{captured}/replay"),
        form(
            client, inbox, f"/{captured}/replay", to=EVIL, url=EVIL, method=EVIL, path=EVIL, headers=EVIL
        ).content.decode(),
        shown(client, inbox, "/replay?q=%3Cscript%3Ealert(1)%3C/script%3E"),
    ):
        assert "<script>" not in page
        assert "onerror=alert(2)>" not in page
        assert page.count("</textarea>") <= 2


def test_all_that_match_are_sent_after_the_page_has_said_how_many(client: Client, inbox: Forwarding) -> None:
    first, other, last = inbox.sent("/tea/1"), inbox.sent("/coffee"), inbox.sent("/tea/2")
    inbox.to(URL)
    assert f'href="/webhooks/{inbox.token}/replay?path=%2Ftea"' in shown(client, inbox, "?path=/tea")
    page = shown(client, inbox, "/replay?path=/tea")
    assert "2 requests match." in page
    assert "Replay 2 requests" in page
    upto = re.search(r'name="upto" value="([^"]+)"', page)
    assert upto
    assert upto[1] == last
    Delivery.objects.all().delete()
    inbox.sent("/tea/later")
    Delivery.objects.all().delete()
    answer = form(client, inbox, "/replay?path=/tea", to="all", upto=upto[1])
    assert answer["Location"] == f"/webhooks/{inbox.token}/replay?path=%2Ftea&sent=2&made=2"
    assert [str(row.request_id) for row in Delivery.objects.order_by("id")] == [first, last]
    assert "2 requests on their way" in shown(client, inbox, "/replay?path=/tea&sent=2&made=2")
    assert other not in page[page.index('data-pane="replay-many"') :]


def test_a_replay_of_many_says_what_is_in_the_way(client: Client, inbox: Forwarding) -> None:
    assert "No request is here yet" in shown(client, inbox, "/replay")
    inbox.sent()
    assert form(client, inbox, "/replay", to="all").status_code == 400
    assert "no destination that is on" in form(client, inbox, "/replay", to="all").content.decode()
    assert form(client, inbox, "/replay", to="url", url="ftp://x").status_code == 400
    assert form(client, inbox, "/replay", to="url", url=URL, upto="nonsense").status_code == 303
    CapturedRequest.objects.update(too_large=True)
    assert "too large to be kept" in form(client, inbox, "/replay", to="url", url=URL).content.decode()


def test_another_inbox_s_request_is_not_replayed(client: Client, inbox: Forwarding) -> None:
    theirs = Forwarding().sent()
    assert shown(client, inbox, f"/{theirs}/replay", status=404)
    assert form(client, inbox, f"/{theirs}/replay", to="url", url=URL).status_code == 404
    assert Delivery.objects.count() == 0
