"""The signature of an inbox in a real browser."""

import time
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.browser import browser
from tests.service import Service
from tests.webhooks import signing

__all__ = ["browser"]

SECRET = "whsec_of-the-browser"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


@pytest.fixture
def still_page(browser: Browser) -> Iterator[Page]:
    """A browser that runs no script."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    yield context.new_page()
    context.close()


def send(receive_url: str, secret: str) -> str:
    body = b'{"a": 1}'
    headers = dict(signing.stripe(secret, body, int(time.time())))
    answer = requests.post(receive_url, data=body, headers=headers, timeout=10)
    request_id: str = answer.json()["id"]
    return request_id


def test_a_secret_is_set_and_rows_that_come_have_their_mark(service: Service, page: Page) -> None:
    made = service.post("/webhook/new").json()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{made['inbox_url']}/settings")
    page.locator("#live[data-state=live]").wait_for()
    expect(page.get_by_label("Header of the signature")).to_be_hidden()
    page.get_by_label("Provider").select_option("hmac")
    expect(page.get_by_label("Header of the signature")).to_be_visible()
    page.get_by_label("Provider").select_option("stripe")
    expect(page.get_by_text("Workbench")).to_be_visible()
    page.get_by_label("Secret", exact=True).fill(SECRET)
    page.get_by_role("button", name="Verify signatures").click()
    expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    page.locator("#live[data-state=live]").wait_for()
    good, bad = send(made["receive_url"], SECRET), send(made["receive_url"], "whsec_another")
    expect(page.locator(f"#r-{good} .signed.yes")).to_be_visible()
    expect(page.locator(f"#r-{bad} .signed.no")).to_be_visible()
    page.locator(f"#r-{bad} a").click()
    expect(page.locator(".verdict.no")).to_contain_text("Signature not verified")
    expect(page.get_by_text("signature_mismatch")).to_be_visible()
    page.locator(f"#r-{good} a").click()
    expect(page.locator(".verdict.yes")).to_contain_text("Signature verified")
    expect(page.locator(".verdict")).to_have_count(1)
    page.get_by_role("link", name="change").click()
    expect(page.get_by_role("button", name="Stop verifying")).to_be_visible()
    assert page.evaluate("document.scrollingElement.scrollTop") == 0
    assert SECRET not in page.content()
    assert complaints == []


def test_it_works_without_a_script_on_a_phone(service: Service, still_page: Page) -> None:
    made = service.post("/webhook/new").json()
    request_id = send(made["receive_url"], SECRET)
    still_page.goto(f"{made['inbox_url']}/settings")
    still_page.get_by_label("Provider").select_option("stripe")
    still_page.get_by_label("Secret", exact=True).fill("sk_live_0123456789")
    still_page.get_by_role("button", name="Verify signatures").click()
    expect(still_page.get_by_text("is an API key of Stripe")).to_be_visible()
    still_page.get_by_label("Secret", exact=True).fill(SECRET)
    still_page.get_by_role("button", name="Verify signatures").click()
    still_page.goto(f"{made['inbox_url']}/{request_id}")
    expect(still_page.locator(".verdict.yes")).to_contain_text("Signature verified")
    still_page.goto(f"{made['inbox_url']}/settings")
    still_page.get_by_role("button", name="Stop verifying").click()
    still_page.goto(f"{made['inbox_url']}/{request_id}")
    expect(still_page.locator(".verdict")).to_have_count(0)
