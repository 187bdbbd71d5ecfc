"""The landing page as a person meets it, in a real browser."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import browser
from tests.service import Service

__all__ = ["browser"]


@dataclass
class Visit:
    """A page, with what it said on the console and what it asked of other hosts."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Visit]:
    """The landing page, opened at a desktop's width."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
    made = Visit(context.new_page())
    made.page.on("console", lambda message: made.complaints.append(message.text))
    made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
    made.page.on(
        "request", lambda request: None if request.url.startswith(service.url) else made.outside.append(request.url)
    )
    made.page.goto(service.url, wait_until="networkidle")
    yield made
    context.close()


def test_the_page_complains_of_nothing_and_asks_nobody_else(visit: Visit) -> None:
    assert visit.page.get_by_role("heading", level=1).is_visible()
    assert visit.complaints == []
    assert visit.outside == []


def test_a_copy_button_puts_the_exact_line_on_the_clipboard(visit: Visit, service: Service) -> None:
    button = visit.page.get_by_role("button", name="Copy: the call for a new database")
    button.focus()
    visit.page.keyboard.press("Enter")
    visit.page.get_by_role("status").get_by_text("Copied").wait_for(state="attached")
    copied = visit.page.evaluate("navigator.clipboard.readText()")
    assert copied == f"curl -X POST {service.url}/db/new"
    assert visit.complaints == []


def test_only_what_is_served_can_be_copied(visit: Visit) -> None:
    labels = [button.get_attribute("aria-label") for button in visit.page.get_by_role("button").all()]
    assert "Copy: PostgreSQL database" in labels
    assert "Copy: Webhook inbox" in labels
    assert "Copy: Redis cache" not in labels


def test_without_script_everything_is_there_but_the_buttons(browser: Browser, service: Service) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(service.url)
    assert page.get_by_text(f"curl -X POST {service.url}/db/new").first.is_visible()
    assert page.get_by_role("button").count() == 0
    context.close()


@pytest.mark.parametrize("path", ["/", "/nope", "/docs"])
def test_a_phone_never_scrolls_sideways(browser: Browser, service: Service, path: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{service.url}{path}", wait_until="networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_the_page_is_dark_for_those_who_ask_for_dark(browser: Browser, service: Service) -> None:
    assert brightness(browser, service, "light") > 200
    assert brightness(browser, service, "dark") < 60


def brightness(browser: Browser, service: Service, scheme: Literal["light", "dark"]) -> float:
    """The mean of the ground's red, green and blue, 0 to 255."""
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(service.url)
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    context.close()
    channels = [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    return sum(channels) / len(channels)
