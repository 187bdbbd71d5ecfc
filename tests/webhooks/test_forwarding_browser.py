"""Sending on, seen in a real browser: outcomes that appear by themselves, forms, and destinations that are hostile."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.browser import browser
from tests.folders import open_folder
from tests.service import Service, wait_for
from tests.webhooks.receivers import Connection, Receiver, receiver

__all__ = ["browser"]

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def sending() -> Iterator[Service]:
    """A service that may send to this machine."""
    with open_folder() as folder:
        running = Service(folder, {"FORWARDING_ALLOW_NETWORKS": "127.0.0.0/8,::1/128"}).start()
        yield running
        running.close()


@pytest.fixture
def sink() -> Iterator[Receiver]:
    """Refuses the first request to /flaky, and answers everything with markup."""
    refused: list[bytes] = []

    def handle(connection: Connection) -> None:
        line = connection.request().split(b"\r\n", 1)[0]
        flaky = b"/flaky" in line and not refused
        refused.append(line)
        body = f"{EVIL} and more".encode()
        status = b"503 Busy" if flaky else b"200 OK"
        head = b"Content-Type: text/html\r\nX-Evil: %b\r\nContent-Length: %d" % (EVIL.encode(), len(body))
        connection.send(b"HTTP/1.1 %b\r\n%b\r\n\r\n%b" % (status, head, body))

    with receiver(handle) as taking:
        yield taking


class Visit:
    """An inbox of the service, its page, and what the page said on the console."""

    def __init__(self, service: Service, browser: Browser, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self.page: Page = self.context.new_page()
        made = service.post("/webhook/new", json={"name": "orders"}).json()
        self.url, self.receive_url, self.api = made["inbox_url"], made["receive_url"], f"/webhook/{made['token']}"
        self.service = service
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self.refuse)

    def refuse(self, dialog: Dialog) -> None:
        """What alert() of a script that must not run would open."""
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def go(self, path: str = "") -> Page:
        self.page.goto(f"{self.url}{path}")
        self.page.locator("#live[data-state=live]").wait_for()
        return self.page

    def to(self, url: str, **wanted: Any) -> None:
        assert self.service.post(f"{self.api}/destinations", json={"url": url, **wanted}).status_code == 201

    def send(self, path: str = "", body: bytes = b"") -> str:
        request_id: str = requests.post(f"{self.receive_url}{path}", body, timeout=10).json()["id"]
        return request_id


@pytest.fixture
def visit(browser: Browser, sending: Service) -> Iterator[Any]:
    opened: list[Visit] = []

    def make(**options: Any) -> Visit:
        opened.append(Visit(sending, browser, **options))
        return opened[-1]

    yield make
    for each in opened:
        each.context.close()


def test_from_a_new_destination_to_a_delivery_without_loading_a_page(visit: Any, sink: Receiver) -> None:
    inbox = visit()
    page = inbox.go()
    page.get_by_role("link", name="Destinations").click()
    page.locator("#d-url").fill("ftp://example.com")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#dp-url")).to_contain_text("http")
    page.locator("#d-url").fill(f"{sink.url}/hooks")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("Added.")).to_be_visible()
    assert page.url == f"{inbox.url}/destinations?done=added"
    inbox.complaints = [said for said in inbox.complaints if "400" not in said]
    captured = inbox.send("/a")
    # The mark of a row that has just come appears by itself, too.
    page.reload()
    later = inbox.send("/b")
    expect(page.locator(f"#m-{later}")).to_have_text("delivered")
    page.locator(f"#r-{captured}").click()
    page.get_by_role("tab", name="Deliveries").click()
    expect(page.locator(".outcome")).to_have_text("delivered")
    assert inbox.complaints == []


def test_a_failed_delivery_is_tried_again_and_what_is_unfolded_stays(visit: Any, sink: Receiver) -> None:
    inbox = visit()
    inbox.to(f"{sink.url}/flaky")
    captured = inbox.send("/x")
    page = inbox.go(f"/{captured}?tab=deliveries")
    expect(page.locator(".outcome")).to_contain_text("waiting, next try in")
    page.get_by_text("Answer,").click()
    page.get_by_role("button", name="Try now").click()
    expect(page.locator(".outcome")).to_have_text("delivered")
    assert page.locator(".attempt").count() == 2
    assert page.locator("details.answer-of").last.evaluate("each => each.open")
    expect(page.locator(".refresh")).to_have_count(0)
    expect(page.locator(f"#m-{captured}")).to_have_text("delivered")
    assert inbox.complaints == []


def test_an_untouched_form_sends_the_bytes_that_came_and_an_edited_one_what_was_typed(
    visit: Any, sink: Receiver
) -> None:
    inbox = visit()
    body = "one\r\ntwo\n\n gr\xfcn \ufeff".encode()
    captured = inbox.send("/x", body)
    page = inbox.go(f"/{captured}")
    page.locator("summary", has_text="Replay").click()
    page.get_by_role("link", name="Edit and send").click()
    page.locator("#e-url").fill(f"{sink.url}/copy")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".outcome")).to_have_text("delivered")
    assert page.url == f"{inbox.url}/{captured}?tab=deliveries"
    wait_for(lambda: len(sink.requests) == 1, what="the copy")
    assert sink.requests[0].endswith(b"\r\n\r\n" + body)
    page.goto(f"{inbox.url}/{captured}/replay")
    page.get_by_label("Where to").select_option("url")
    page.locator("#e-url").fill(f"{sink.url}/edited")
    page.locator("#e-method").fill("PATCH")
    page.get_by_role("textbox", name="Body").fill("three\nfour")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("replayed, edited")).to_be_visible()
    wait_for(lambda: len(sink.requests) == 2, what="the edited one")
    assert sink.requests[1].startswith(b"PATCH /edited/x HTTP/1.1\r\n")
    assert sink.requests[1].endswith(b"\r\n\r\nthree\nfour")
    assert inbox.complaints == []


def test_nothing_that_a_destination_says_runs(visit: Any, sink: Receiver) -> None:
    inbox = visit()
    inbox.to(f"{sink.url}/{EVIL}?{EVIL}", filter={"path": f"/{EVIL}*", "headers": {"X": EVIL}, "json": {"a": EVIL}})
    captured = inbox.send(f"/{EVIL}", f"</textarea>{EVIL}".encode())
    target = {"url": f"{sink.url}/{EVIL}"}
    assert inbox.service.post(f"{inbox.api}/requests/{captured}/replay", json=target).status_code == 202
    reported = {"request_id": captured, "url": f"http://localhost/{EVIL}", "status": 500, "duration_ms": 1.0}
    answer = inbox.service.post(f"{inbox.api}/attempts", json={"attempts": [{**reported, "error": EVIL}]})
    assert answer.status_code == 200, answer.text
    page = inbox.go(f"/{captured}?tab=deliveries")
    for answered in page.locator("details.answer-of > summary").all():
        answered.click()
    expect(page.get_by_text(f"{EVIL} and more")).to_be_visible()
    for path in ("/destinations", f"/{captured}/replay", "/replay", f"/replay?q={EVIL}", ""):
        inbox.go(path)
    inbox.page.locator("a", has_text="Destinations").click()
    inbox.page.get_by_role("link", name="Edit").click()
    expect(inbox.page.locator("#d-url")).to_be_visible()
    assert inbox.complaints == []


def test_without_script_and_on_a_phone_all_of_it_is_there(visit: Any, sink: Receiver) -> None:
    inbox = visit(java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = inbox.page
    captured, other = inbox.send("/tea"), inbox.send("/coffee")
    page.goto(f"{inbox.url}/destinations")
    page.locator("#d-url").fill(f"{sink.url}/{'long' * 40}")
    page.get_by_role("button", name="Add").click()
    assert page.get_by_text("Added.").is_visible()
    page.goto(f"{inbox.url}?q=tea")
    page.get_by_role("link", name="Replay these").click()
    assert page.get_by_text("1 request matches.").is_visible()
    page.get_by_role("button", name="Replay 1 request").click()
    assert page.get_by_text("1 request on their way, 1 delivery.").is_visible()
    page.goto(f"{inbox.url}/{other}")
    page.locator("summary", has_text="Replay").click()
    page.get_by_role("button", name="Send it again").click()
    assert page.locator(".outcome").inner_text() == "delivered"
    for path in ("/destinations", f"/{other}?tab=deliveries", f"/{other}/replay", "/replay", ""):
        page.goto(f"{inbox.url}{path}")
        box = page.locator("#main").bounding_box()
        assert box
        assert box["width"] <= 390
    page.goto(f"{inbox.url}/destinations")
    page.locator("summary", has_text="Delete").click()
    page.get_by_role("button", name="Delete it for good").click()
    assert page.get_by_text("None yet.").is_visible()
    assert captured != other
