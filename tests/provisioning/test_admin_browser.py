"""Admin as an operator sees it, in a browser. Nothing is asked of the ORM here: playwright runs an event loop."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import browser  # noqa: F401 — a fixture, used by the name of an argument
from tests.operator_browser import Operator
from tests.service import Service


@pytest.fixture(scope="module")
def operator(service: Service) -> Operator:
    return Operator(service, "operator")


@pytest.fixture
def page(browser: Browser, operator: Operator) -> Iterator[Page]:  # noqa: F811 — the imported fixture
    """Signed in, on the dashboard."""
    with operator.signed_in(browser, 1280, 900) as page:
        yield page


def test_the_dashboard_draws_its_chart_without_a_foreign_host(page: Page, service: Service) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    canvas = page.locator("canvas#hourly")
    expect(canvas).to_be_visible()
    # A chart that was never drawn is a canvas of nothing but transparent pixels.
    painted = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0)"
    assert canvas.evaluate(painted)
    assert all(url.startswith((service.url, "data:", "blob:")) for url in asked)


def test_extending_asks_first_and_says_what_it_did(page: Page, service: Service) -> None:
    made = service.post("/db/new", json={"name": "seen in a browser"}).json()
    before = service.get(f"/db/{made['token']}").json()["expires_at"]
    page.goto(f"{service.url}/admin/provisioning/database/?q=seen+in+a+browser")
    page.locator("#result_list").get_by_role("link", name="seen in a browser").click()
    page.get_by_role("link", name="Extend by 24 h").click()
    expect(page.locator("#affected")).to_contain_text("seen in a browser")
    assert service.get(f"/db/{made['token']}").json()["expires_at"] == before
    page.get_by_role("button", name="Extend by 24 h").click()
    expect(page.get_by_text("Extended: seen in a browser.")).to_be_visible()
    assert service.get(f"/db/{made['token']}").json()["expires_at"] > before


def test_expiring_from_the_list_takes_the_selected_ones(page: Page, service: Service) -> None:
    doomed = service.post("/db/new", json={"name": "doomed browser"}).json()
    page.goto(f"{service.url}/admin/provisioning/database/?q=doomed+browser")
    page.locator("input.action-select").first.check()
    page.locator("select[name=action]").select_option(label="Expire now")
    page.get_by_role("button", name=re.compile("run", re.IGNORECASE)).click()
    expect(page.locator("#affected li")).to_have_count(1)
    page.get_by_role("button", name="Expire now").click()
    expect(page.get_by_text("Expired and dropped: doomed browser.")).to_be_visible()
    assert service.get(f"/db/{doomed['token']}").status_code == 410
