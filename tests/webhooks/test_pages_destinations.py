"""Destinations on the page of an inbox: forms that work without a script, and say at its field what is wrong."""

import re
from html import unescape
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

from tests.webhooks.couriers import Forwarding
from tests.webhooks.page import EVIL, client, form, shown
from webhooks.models import Delivery, DeliveryState, Destination

__all__ = ["client"]

pytestmark = pytest.mark.usefixtures("transactional_db")

URL = "https://example.com/hooks"


@pytest.fixture
def inbox(transactional_db: None) -> Forwarding:
    return Forwarding(wish={"name": "orders"})


def destinations(inbox: Forwarding) -> Any:
    return inbox.call("GET", "/destinations")["items"]


def test_a_destination_is_added_shown_edited_and_deleted(client: Client, inbox: Forwarding) -> None:
    page = shown(client, inbox, "/destinations")
    assert f'href="/webhooks/{inbox.token}/destinations"' in shown(client, inbox)
    assert "None yet" in page
    answer = form(client, inbox, "/destinations", url=f" {URL} ", enabled="on", timeout_seconds="2,5", ordered="on")
    assert (answer.status_code, answer["Location"]) == (303, f"/webhooks/{inbox.token}/destinations?done=added")
    (made,) = destinations(inbox)
    assert (made["url"], made["enabled"], made["ordered"], made["timeout_seconds"]) == (URL, True, True, 2.5)
    page = shown(client, inbox, "/destinations?done=added")
    assert "Added." in page
    assert URL in page
    assert ">Fine<" in page
    answer = form(client, inbox, f"/destinations/{made['id']}", url=f"{URL}/2")
    assert answer["Location"].endswith("?done=saved")
    (changed,) = destinations(inbox)
    assert (changed["url"], changed["enabled"], changed["ordered"], changed["timeout_seconds"]) == (
        f"{URL}/2",
        False,
        False,
        10.0,
    )
    assert form(client, inbox, f"/destinations/{made['id']}/delete").status_code == 303
    assert destinations(inbox) == []
    assert shown(client, inbox, f"/destinations/{made['id']}", status=404)


def test_a_filter_is_written_in_lines_and_comes_back_as_it_was(client: Client, inbox: Forwarding) -> None:
    fields = {
        "method": "POST, PUT",
        "path": "/orders/*",
        "headers": "X-Event: push\r\n\r\nX-Time: 12:00",
        "json": 'a.b = paid\r\nn=12\r\ntrue=true\r\nq = "12"\r\ne = a = b\r\n["x=y"] = z\r\nbig = 1e400',
    }
    wanted = {
        "method": ["POST", "PUT"],
        "path": "/orders/*",
        "headers": {"X-Event": "push", "X-Time": "12:00"},
        "json": {"a.b": "paid", "n": 12, "true": True, "q": "12", "e": "a = b", '["x=y"]': "z"},
    }
    answer = form(client, inbox, "/destinations", url=URL, **fields)
    assert "a number must be one that JSON has" in unescape(answer.content.decode())
    fields["json"] = fields["json"].removesuffix("\r\nbig = 1e400")
    assert form(client, inbox, "/destinations", url=URL, **fields).status_code == 303
    (made,) = destinations(inbox)
    assert made["filter"] == wanted
    path = f"/destinations/{made['id']}"
    page = shown(client, inbox, path)
    held = {name: unescape(value) for name, value in re.findall(r'name="(method|path)" value="([^"]*)"', page)}
    held |= {name: unescape(text) for name, text in re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>\n([^<]*)<', page)}
    assert form(client, inbox, path, url=URL, **held).status_code == 303
    assert destinations(inbox)[0]["filter"] == wanted


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("url", "javascript:alert(1)", "http"),
        ("url", "", "blank"),
        ("method", "<b>", "must be a method"),
        ("path", "/" + "a" * 600, "500"),
        ("headers", "no colon", "must be lines such as X-Event: push"),
        ("headers", "A: 1\r\nA: 2", "stands there twice"),
        ("json", "no sign", "must be lines such as data.type"),
        ("json", "a..b = 1", "is no path"),
        ("timeout_seconds", "soon", "number of seconds"),
        ("timeout_seconds", "31", "0.1 to 30"),
        ("provider", "nobody", "must be one of"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    client: Client, inbox: Forwarding, name: str, value: str, says: str
) -> None:
    fields = {"url": URL, "enabled": "on", name: value}
    answer = form(client, inbox, "/destinations", **fields)
    page = unescape(answer.content.decode())
    assert answer.status_code == 400
    problem = re.search(r'<p class="problem" id="dp-(\w+)">([^<]*)</p>', page)
    assert problem
    assert problem[1] == {"timeout_seconds": "timeout"}.get(name, name)
    assert says in problem[2]
    assert value.replace("\r\n", "\n") in page or name == "provider"
    assert destinations(inbox) == []


def test_a_secret_is_needed_kept_and_never_shown(client: Client, inbox: Forwarding) -> None:
    answer = form(client, inbox, "/destinations", url=URL, provider="stripe")
    assert "is needed, since none is kept" in answer.content.decode()
    secret = "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0"
    assert form(client, inbox, "/destinations", url=URL, provider="stripe", secret=secret).status_code == 303
    (made,) = destinations(inbox)
    kept = Destination.objects.get().signing
    assert made["signature"]["provider"] == "stripe"
    path = f"/destinations/{made['id']}"
    for page in (shown(client, inbox, path), shown(client, inbox, "/destinations")):
        assert secret not in page
    assert form(client, inbox, path, url=URL, provider="stripe", secret="").status_code == 303
    assert Destination.objects.get().signing == kept
    answer = form(client, inbox, path, url=URL, provider="slack", secret="")
    assert 'id="dp-secret"' in answer.content.decode()
    answer = form(client, inbox, path, url="", provider="stripe", secret="typed-in-vain")
    assert "typed-in-vain" not in answer.content.decode()
    form(client, inbox, path, url=URL, provider="")
    assert Destination.objects.get().signing is None


def test_a_signature_that_only_the_api_can_set_survives_the_form(client: Client, inbox: Forwarding) -> None:
    made = inbox.to(URL, signature={"provider": "hmac", "secret": "s", "header": "X-Sig", "prefix": "v1="})
    sealed = (Destination.objects.get().signing or {})["sealed"]
    form(client, inbox, f"/destinations/{made['id']}", url=URL, provider="hmac")
    assert destinations(inbox)[0]["signature"] == made["signature"]
    assert (Destination.objects.get().signing or {})["sealed"] == sealed


def test_states_are_said_in_words(client: Client, inbox: Forwarding) -> None:
    made = inbox.to(URL)
    rows = Destination.objects.filter(pk=made["id"])

    def words() -> str:
        found = re.search(r'<span class="mood (\w+)">(.*?)</span>', shown(client, inbox, "/destinations"))
        assert found
        return f"{found[1]}: {re.sub('<[^>]+>', '', unescape(found[2]))}"

    rows.update(failures=3)
    assert words() == "failing: Fails: 3 failures since the last success"
    rows.update(rests_until="2999-01-01T00:00:00Z")
    assert words().startswith("resting: Resting after 3 failures in a row, for another ")
    rows.update(enabled=False, stopped="It answered 410 Gone.")
    assert words() == "stopped: Turned off: it answered 410 Gone"
    rows.update(stopped="", lost=4)
    assert words() == "off: Off"
    assert "4 lost" in shown(client, inbox, "/destinations")
    form(client, inbox, f"/destinations/{made['id']}/switch", on="1")
    assert rows.get().enabled
    form(client, inbox, f"/destinations/{made['id']}/switch", off="1")
    assert not rows.get().enabled


def test_the_dead_are_tried_again_from_the_page(client: Client, inbox: Forwarding) -> None:
    made, other = inbox.to(URL), inbox.to(f"{URL}/2")
    inbox.sent()
    Delivery.objects.update(state=DeliveryState.DEAD)
    page = shown(client, inbox, "/destinations")
    assert "Try all 2 dead again" in page
    form(client, inbox, f"/destinations/{made['id']}/retry")
    waiting = Delivery.objects.filter(state=DeliveryState.PENDING)
    assert [str(row.destination_id) for row in waiting] == [made["id"]]
    form(client, inbox, "/destinations/retry")
    assert waiting.all().count() == 2
    assert other["id"] in page


def test_there_are_only_so_many(client: Client, inbox: Forwarding) -> None:
    for number in range(django_settings.INSTANTLITE.forwarding.destinations):
        inbox.to(f"{URL}/{number}")
    answer = form(client, inbox, "/destinations", url=URL)
    assert answer.status_code == 400
    assert "as many as one may have" in answer.content.decode()


def test_proxy_mode_is_a_form_with_a_sentence(client: Client, inbox: Forwarding) -> None:
    assert form(client, inbox, "/proxy", timeout_seconds="soon").status_code == 400
    assert form(client, inbox, "/proxy", timeout_seconds="").status_code == 303
    assert inbox.get().json()["proxy"] == {"timeout_seconds": 10.0}
    assert "senders wait up to 10" in shown(client, inbox, "/destinations")
    form(client, inbox, "/proxy", off="1")
    assert inbox.get().json()["proxy"] is None


def test_another_inbox_s_destination_is_not_there(client: Client, inbox: Forwarding) -> None:
    theirs = Forwarding().to(URL)
    assert shown(client, inbox, f"/destinations/{theirs['id']}", status=404)
    for path in ("", "/switch", "/retry", "/delete"):
        assert form(client, inbox, f"/destinations/{theirs['id']}{path}", url=URL).status_code == 404
    assert Destination.objects.get().url == URL


def test_no_form_works_without_its_token(client: Client, inbox: Forwarding) -> None:
    made = inbox.to(URL)
    paths = ["/destinations", "/destinations/retry", "/proxy", "/replay", f"/{inbox.sent()}/replay"]
    paths += [f"/destinations/{made['id']}{path}" for path in ("", "/switch", "/retry", "/delete")]
    paths += [f"/deliveries/{Delivery.objects.get().pk}/retry"]
    for path in paths:
        assert client.post(f"/webhooks/{inbox.token}{path}", {"url": URL}).status_code == 403, path


def test_what_was_typed_is_never_markup(client: Client, inbox: Forwarding) -> None:
    inbox.to("https://example.com/%3Cscript%3E?<script>alert(1)</script>")
    fields = dict.fromkeys(("url", "method", "path", "headers", "json", "timeout_seconds", "provider"), EVIL)
    pages = [form(client, inbox, "/destinations", **fields).content.decode(), shown(client, inbox, "/destinations")]
    pages.append(form(client, inbox, "/proxy", timeout_seconds=EVIL).content.decode())
    for page in pages:
        assert "<script>" not in page
        assert "onerror=alert(2)>" not in page
