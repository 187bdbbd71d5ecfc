"""The page of an inbox in a real browser: what comes live, what keys do, what hostile requests cannot do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Dialog, Page

from tests.browser import browser
from tests.service import Service, wait_for

__all__ = ["browser"]

Open = Callable[..., "Visit"]


@dataclass
class Visit:
    """An inbox and its page, with what the page said on the console."""

    page: Page
    url: str
    receive_url: str
    complaints: list[str] = field(default_factory=list)

    def send(self, path: str = "", body: Any = b"", method: str = "POST", **headers: str) -> str:
        """A request to the inbox; its id."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = requests.request(method, f"{self.receive_url}{path}", data=body, headers=named, timeout=10)
        request_id: str = answer.json()["id"]
        return request_id

    def go(self, path: str = "") -> "Visit":
        self.page.goto(f"{self.url}{path}")
        self.live()
        return self

    def refuse(self, dialog: Dialog) -> None:
        """What alert() of a script that must not run would open."""
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def live(self) -> None:
        self.page.locator("#live[data-state=live]").wait_for()

    def row(self, request_id: str) -> Any:
        return self.page.locator(f"#r-{request_id}")

    def opened(self, request_id: str) -> None:
        self.page.locator(f'[data-request="{request_id}"]').wait_for()

    def rows(self) -> list[str]:
        """The ids in the list, read in one go: it may change at any moment."""
        found: list[str] = self.page.evaluate("[...document.querySelectorAll('#rows > .row')].map(row => row.id)")
        return [name.removeprefix("r-") for name in found]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Makes an inbox on a service, and opens a page of its own for it."""
    contexts: list[BrowserContext] = []

    def make(service: Service, **options: Any) -> Visit:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
        inbox = service.post("/webhook/new", json={"name": "orders"}).json()
        made = Visit(context.new_page(), inbox["inbox_url"], inbox["receive_url"])
        made.page.on("console", lambda message: made.complaints.append(message.text))
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        made.page.on("dialog", made.refuse)
        return made

    yield make
    for context in contexts:
        context.close()


def test_what_is_opened_takes_the_place_of_what_was(service: Service, visit: Open) -> None:
    here = visit(service).go()
    for request_id in (here.send("/one"), here.send("/two")):
        here.row(request_id).locator("a").click()
        here.opened(request_id)
        assert here.page.locator("#pane > *").count() == 1


def test_a_request_appears_by_itself_and_the_first_one_is_opened(visit: Open, service: Service) -> None:
    inbox = visit(service).go()
    first = inbox.send("/hello", b'{"a": 1}', content_type="application/json")
    inbox.row(first).wait_for()
    inbox.opened(first)
    second = inbox.send("/again")
    inbox.row(second).wait_for()
    assert inbox.rows() == [second, first]
    assert inbox.page.locator(f'[data-request="{first}"]').is_visible()
    assert inbox.complaints == []


def test_the_button_sends_a_request_that_arrives_like_any_other(visit: Open, service: Service) -> None:
    inbox = visit(service).go()
    inbox.page.get_by_role("button", name="Send a test request").click()
    inbox.page.get_by_text('"inbox.test"').wait_for()
    assert len(inbox.rows()) == 1
    assert inbox.complaints == []


def test_the_title_counts_what_came_unseen(visit: Open, service: Service) -> None:
    inbox = visit(service).go()
    inbox.page.evaluate("document.hasFocus = () => false")
    for _ in range(3):
        inbox.row(inbox.send()).wait_for()
    assert inbox.page.title() == "(3) orders · instantlite"
    inbox.page.evaluate("dispatchEvent(new Event('focus'))")
    assert inbox.page.title() == "orders · instantlite"


def test_after_a_restart_what_came_meanwhile_appears_once(visit: Open, own_service: Service) -> None:
    own_service.start()
    inbox = visit(own_service).go()
    before = [inbox.send(f"/{number}") for number in range(3)]
    inbox.row(before[-1]).wait_for()
    own_service.kill()
    inbox.page.locator("#live[data-state=away]").wait_for()
    assert inbox.page.locator("#live").inner_text() == "reconnecting"
    own_service.start()
    meanwhile = [inbox.send(f"/later/{number}") for number in range(5)]
    inbox.live()
    after = inbox.send("/after")
    inbox.row(after).wait_for()
    assert inbox.rows() == [after, *meanwhile[::-1], *before[::-1]]


def test_a_stream_that_was_refused_goes_on_where_the_page_ends(visit: Open, service: Service) -> None:
    inbox = visit(service)
    inbox.page.goto(inbox.url)
    inbox.live()
    first = inbox.send("/first")
    inbox.row(first).wait_for()
    # An answer that is no stream closes an EventSource for good; the extension makes a new one.
    inbox.page.route("**/events*", lambda route: route.fulfill(status=503, body="{}"))
    inbox.page.evaluate("htmx.trigger('#found', 'htmx:beforeCleanupElement')")
    inbox.page.evaluate("document.querySelector('#search').requestSubmit()")
    inbox.page.locator("#live[data-state=away]").wait_for()
    second = inbox.send("/second")
    inbox.page.unroute("**/events*")
    inbox.row(second).wait_for()
    assert inbox.rows() == [second, first]


def test_a_search_narrows_the_list_and_what_comes_live(visit: Open, service: Service) -> None:
    inbox = visit(service)
    tea, coffee = inbox.send("/tea", b"green"), inbox.send("/coffee")
    inbox.go()
    inbox.page.keyboard.press("/")
    inbox.page.keyboard.type("tea")
    wait_for(lambda: inbox.rows() == [tea], what="the search")
    assert inbox.page.evaluate("document.activeElement.id") == "q"
    assert inbox.page.url == f"{inbox.url}?q=tea"
    inbox.live()
    inbox.send("/coffee/2")
    more = inbox.send("/tea/2")
    inbox.row(more).wait_for()
    assert inbox.rows() == [more, tea]
    inbox.page.fill("#q", "")
    wait_for(lambda: coffee in inbox.rows(), what="the whole list")
    assert inbox.complaints == []


def test_keys_move_copy_compare_and_explain(visit: Open, service: Service) -> None:
    inbox = visit(service)
    json = "application/json"
    old, new = (inbox.send("/a", f'{{"n": {n}, "same": true}}', content_type=json) for n in (1, 2))
    inbox.go()
    inbox.page.keyboard.press("j")
    inbox.opened(new)
    inbox.page.keyboard.press("c")
    inbox.page.get_by_text("The curl command is copied.").first.wait_for(state="attached")
    assert inbox.page.evaluate("navigator.clipboard.readText()").startswith(f"curl '{inbox.receive_url}/a'") or (
        f"{inbox.receive_url}/a" in inbox.page.evaluate("navigator.clipboard.readText()")
    )
    inbox.page.keyboard.press("d")
    inbox.page.keyboard.press("j")
    inbox.opened(old)
    inbox.page.keyboard.press("d")
    inbox.page.locator("[data-pane=compare]").wait_for()
    assert inbox.page.locator("del").last.inner_text() == "2"
    assert inbox.page.locator("ins").last.inner_text() == "1"
    inbox.page.go_back()
    inbox.opened(old)
    inbox.page.keyboard.press("k")
    inbox.opened(new)
    inbox.page.keyboard.press("?")
    assert inbox.page.get_by_role("dialog").is_visible()
    inbox.page.keyboard.press("Escape")
    assert not inbox.page.get_by_role("dialog").is_visible()
    assert inbox.complaints == []


def test_keys_are_letters_in_a_field_and_the_browsers_with_a_modifier(visit: Open, service: Service) -> None:
    inbox = visit(service)
    inbox.send()
    inbox.go()
    inbox.page.focus("#q")
    inbox.page.keyboard.type("jk?d")
    assert inbox.page.input_value("#q") == "jk?d"
    inbox.page.keyboard.press("Escape")
    inbox.page.keyboard.press("Control+j")
    assert inbox.page.locator("[data-request]").count() == 0
    assert not inbox.page.locator("#help").is_visible()


# The key j, held down: so many of it before anything else happens.
HOLD = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'j', bubbles: true}));"


def test_holding_a_key_down_loads_what_it_stops_at(visit: Open, service: Service) -> None:
    inbox = visit(service)
    ids = [inbox.send(f"/{number}") for number in range(40)]
    inbox.go()
    loads: list[str] = []
    inbox.page.on("request", lambda request: loads.append(request.url))
    inbox.page.evaluate(HOLD * 40)
    inbox.opened(ids[0])
    assert [url for url in loads if "/webhooks/" in url and "/marks" not in url] == [f"{inbox.url}/{ids[0]}"]
    assert inbox.complaints == []


def test_keys_go_on_from_where_they_are_when_what_was_asked_for_before_comes(visit: Open, service: Service) -> None:
    inbox = visit(service)
    ids = [inbox.send(f"/{number}") for number in range(6)][::-1]
    inbox.go()
    inbox.page.keyboard.press("j")
    inbox.opened(ids[0])
    comes = "htmx.trigger('#pane', 'htmx:afterSwap', {target: document.querySelector('#pane')});"
    inbox.page.evaluate(HOLD * 2 + comes + HOLD * 2)
    inbox.opened(ids[4])
    assert inbox.complaints == []


def test_tabs_are_worked_by_arrows(visit: Open, service: Service) -> None:
    inbox = visit(service)
    captured = inbox.send("/x?name=value", b"body text", X_Header="seen")
    inbox.go(f"/{captured}")
    tab = inbox.page.get_by_role("tab", name="Body")
    tab.focus()
    inbox.page.keyboard.press("ArrowRight")
    inbox.page.get_by_role("tabpanel", name="Headers").get_by_text("seen").wait_for()
    inbox.page.keyboard.press("End")
    inbox.page.get_by_role("tabpanel", name="Deliveries").get_by_text("It was not sent on.").wait_for()
    inbox.page.keyboard.press("ArrowLeft")
    inbox.page.get_by_role("tabpanel", name="Raw").get_by_text("POST /webhook/receive").wait_for()
    assert inbox.page.url.endswith(f"/{captured}?tab=raw")
    assert inbox.complaints == []


def test_body_and_har_are_copied_as_they_are(visit: Open, service: Service) -> None:
    inbox = visit(service)
    captured = inbox.send("/x", '{"tea": "grün"}'.encode(), content_type="application/json")
    inbox.go(f"/{captured}")
    copies = inbox.page.get_by_role("group", name="Copy")
    copies.get_by_role("link", name="Body").click()
    inbox.page.get_by_text("The body is copied.").first.wait_for(state="attached")
    assert inbox.page.evaluate("navigator.clipboard.readText()") == '{"tea": "grün"}'
    copies.get_by_role("link", name="HAR").click()
    inbox.page.get_by_text("The HAR is copied.").first.wait_for(state="attached")
    assert '"log"' in inbox.page.evaluate("navigator.clipboard.readText()")


def test_settings_change_the_answer_of_the_next_request(visit: Open, service: Service) -> None:
    inbox = visit(service).go("/settings")
    inbox.page.get_by_label("Status").fill("999")
    inbox.page.get_by_role("button", name="Save").click()
    inbox.page.get_by_text("200 to 599").wait_for()
    inbox.page.get_by_label("Status").fill("201")
    inbox.page.get_by_label("Content type").fill("text/plain")
    inbox.page.get_by_role("textbox", name="Body").fill("{{ request.json.challenge }}")
    inbox.page.get_by_role("button", name="Save").click()
    inbox.page.get_by_text("Saved.").wait_for()
    answer = requests.post(inbox.receive_url, json={"challenge": "abc"}, timeout=10)
    assert (answer.status_code, answer.text) == (201, "abc")
    # The browser itself notes the 400 that said what was wrong.
    assert [said for said in inbox.complaints if "400" not in said] == []


EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>"


def test_nothing_that_is_stored_runs(visit: Open, service: Service) -> None:
    inbox = visit(service).go()
    multipart = (
        f'--b\r\nContent-Disposition: form-data; name="{EVIL}"; filename="{EVIL}"\r\n'
        f"Content-Type: text/html\r\n\r\n{EVIL}\r\n--b--\r\n"
    )
    bodies = {
        "text/html": EVIL,
        "application/json": '{"<script>alert(1)</script>": "<img src=x onerror=alert(2)>"}',
        "image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(1)</script></svg>",
        "multipart/form-data; boundary=b": multipart,
        "application/octet-stream": "\0" + EVIL,
    }
    ids = [
        inbox.send(f"/{EVIL}?{EVIL}", body, content_type=kind, X_Evil=EVIL, hx_get="/x")
        for kind, body in bodies.items()
    ]
    for request_id in ids:
        inbox.row(request_id).wait_for()
        for tab in ("body", "headers", "query", "raw"):
            inbox.page.goto(f"{inbox.url}/{request_id}?tab={tab}")
            inbox.live()
    inbox.page.goto(f"{inbox.url}/compare?left={ids[0]}&right={ids[1]}")
    inbox.live()
    assert inbox.complaints == []


def test_without_script_all_is_there_to_read_search_and_change(visit: Open, service: Service) -> None:
    inbox = visit(service, java_script_enabled=False)
    captured, other = inbox.send("/tea?x=1", b"a body"), inbox.send("/coffee")
    page = inbox.page
    page.goto(inbox.url)
    page.get_by_text("/tea").first.click()
    page.get_by_text("a body").wait_for()
    page.get_by_role("link", name="Headers").click()
    page.get_by_text("Content-Length").wait_for()
    page.get_by_role("searchbox").fill("coffee")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**q=coffee**")
    assert inbox.rows() == [other]
    page.goto(f"{inbox.url}/{captured}")
    page.get_by_role("link", name="Compare").click()
    page.locator("#pane").get_by_text("/coffee").click()
    page.get_by_text("Request line and headers").wait_for()
    page.goto(inbox.url)
    page.get_by_role("button", name="Send a test request").click()
    page.get_by_text('"inbox.test"').wait_for()
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Status").fill("204")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    assert requests.post(inbox.receive_url, timeout=10).status_code == 204


def test_a_phone_shows_the_list_then_the_request_and_never_scrolls_sideways(visit: Open, service: Service) -> None:
    inbox = visit(service, viewport={"width": 390, "height": 844})
    captured = inbox.send(f"/{'long' * 60}?{'x' * 300}", b"[" + b"1" * 2000 + b"]", X_Long="y" * 900)
    other = inbox.send("/b")
    inbox.go()
    assert not inbox.page.locator("#pane").get_by_role("heading").first.is_visible()
    inbox.row(captured).click()
    inbox.opened(captured)
    assert not inbox.row(captured).is_visible()
    for path in (f"/{captured}?tab=headers", f"/{captured}?tab=raw", f"/compare?left={captured}&right={other}"):
        inbox.go(path)
        assert inbox.page.evaluate("document.documentElement.scrollWidth") <= 390
    inbox.go("/settings")
    assert inbox.page.evaluate("document.documentElement.scrollWidth") <= 390
    inbox.go(f"/{captured}")
    inbox.page.get_by_role("link", name="All requests").click()
    inbox.row(captured).wait_for()
    assert inbox.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_inbox_that_ends_says_so(visit: Open, service: Service) -> None:
    inbox = visit(service).go()
    service_url, token = inbox.url.split("/webhooks/")
    requests.delete(f"{service_url}/webhook/{token}", timeout=10)
    inbox.page.get_by_role("button", name="Make a new inbox").click()
    inbox.page.get_by_role("heading", name="Send it anything").wait_for()
