"""Captured requests in admin as an operator sees them, in a browser. Nothing is asked of the ORM, see browser.py."""

from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.browser import browser  # noqa: F401 — a fixture, used by the name of an argument
from tests.operator_browser import Operator
from tests.service import Service
from tests.webhooks.operator import CAPTURES, ENDPOINTS

ATTACK = "<script>document.title = 'taken over'</script><img src=x onerror=\"document.title = 'taken over'\">"


@pytest.fixture(scope="module")
def operator(service: Service) -> Operator:
    return Operator(service, "webhooks")


@pytest.fixture
def page(browser: Browser, operator: Operator) -> Iterator[Page]:  # noqa: F811 — the imported fixture
    """Signed in, on a phone."""
    with operator.signed_in(browser, 390, 800) as page:
        yield page


def test_from_an_inbox_to_a_hostile_request_and_its_end(page: Page, service: Service) -> None:
    made = service.post("/webhook/new", json={"name": "seen in a browser"}).json()
    url, headers = f"{made['receive_url']}/{'long' * 200}", {"X-A": ATTACK, "Content-Type": ATTACK}
    sent = requests.post(url, ATTACK * 100, headers=headers, timeout=10)
    assert sent.status_code == 200
    page.goto(f"{service.url}{ENDPOINTS}{made['id']}/change/")
    page.get_by_role("link", name="Browse requests").click()
    expect(page.locator("#result_list")).to_contain_text("POST /longlong")
    page.goto(f"{service.url}{CAPTURES}{sent.json()['id']}/change/")
    expect(page.get_by_text(ATTACK).first).to_be_visible()
    assert "taken over" not in page.title()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.goto(f"{service.url}{CAPTURES}{sent.json()['id']}/remove/")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text(f"Deleted: POST {sent.json()['id']}.")).to_be_visible()
    assert service.get(f"/webhook/{made['token']}/requests").json()["items"] == []


def test_the_bytes_of_a_binary_body_scroll_and_the_page_does_not(page: Page, service: Service) -> None:
    made = service.post("/webhook/new").json()
    sent = requests.post(made["receive_url"], bytes(range(256)), timeout=10)
    page.goto(f"{service.url}{CAPTURES}{sent.json()['id']}/change/")
    dump = page.get_by_text("00000000  00 01 02")
    expect(dump).to_be_visible()
    assert dump.evaluate("e => e.scrollWidth > e.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
