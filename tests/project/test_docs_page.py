"""/docs: the API reference, drawn from /openapi.json without a request to anybody else."""

import re

import pytest
from playwright.sync_api import Browser

from instantlite import errors
from tests.browser import browser
from tests.service import Service

__all__ = ["browser"]

CALLS = {
    *(f"{kind}_{call}" for kind in ("db", "cache") for call in ("new", "status", "delete", "rotate", "extend")),
    *(f"webhook_{call}" for call in ("new", "status", "change", "delete", "extend", "requests", "requests_delete")),
    *(f"webhook_request{call}" for call in ("", "_delete", "_raw", "_part", "_har", "_curl")),
    *(f"webhook_{call}" for call in ("events", "wait", "attempts")),
    *(f"webhook_destination{call}" for call in ("s", "", "_new", "_change", "_delete")),
    *(f"webhook_{call}" for call in ("deliveries", "deliveries_retry", "delivery", "delivery_retry")),
    *(f"webhook_{call}" for call in ("request_deliveries", "request_replay", "replay")),
}
_REQUESTS = "/webhook/{token}/requests"
PATHS = [
    *(f"/{kind}/{call}" for kind in ("db", "cache") for call in ("new", "{token}", "{token}/rotate", "{token}/extend")),
    *(f"/webhook/{call}" for call in ("new", "{token}", "{token}/extend", "{token}/requests")),
    *(f"{_REQUESTS}/{{request_id}}{call}" for call in ("", "/raw", "/parts/{number}", "/har", "/curl")),
    *(f"/webhook/{{token}}/{call}" for call in ("destinations", "destinations/{destination_id}")),
    *(f"{_REQUESTS}/{{request_id}}/{call}" for call in ("deliveries", "replay")),
    *(f"/webhook/{{token}}/{call}" for call in ("replay", "deliveries", "deliveries/retry")),
    *(f"/webhook/{{token}}/deliveries/{{delivery_id}}{call}" for call in ("", "/retry")),
    *(f"/webhook/{{token}}/{call}" for call in ("events", "wait", "attempts")),
]


def test_the_reference_shows_every_call(browser: Browser, service: Service) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    complaints: list[str] = []
    outside: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith((service.url, "data:")) else outside.append(request.url),
    )
    page.goto(f"{service.url}/docs", wait_until="networkidle")
    page.locator(".opblock").first.wait_for()
    assert page.locator(".opblock").count() == len(CALLS)
    page.locator("#operations-db-db_new .opblock-summary-control").click()
    page.locator("#operations-db-db_new").get_by_text("provisioning_unavailable").wait_for()
    assert page.locator("html.dark-mode").count() == 1
    assert complaints == []
    assert outside == []
    context.close()


def test_the_reference_needs_nothing_inline(service: Service) -> None:
    answer = service.get("/docs", headers={"Accept": "text/html"})
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in answer.headers


def test_the_description_is_openapi_3_1_and_names_this_server(service: Service) -> None:
    described = service.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert described["servers"] == [{"url": service.url}]
    assert list(described["paths"]) == PATHS
    assert {call["operationId"] for path in described["paths"].values() for call in path.values()} == CALLS


def test_every_refusal_is_described_by_codes_that_exist(service: Service) -> None:
    described = service.get("/openapi.json").json()
    for path in described["paths"].values():
        for call in path.values():
            for status, answer in call["responses"].items():
                if int(status) >= 400:
                    named = re.findall(r"`(\w+)`", answer["description"])
                    assert named
                    assert {errors.CODES[name].status for name in named} == {int(status)}


@pytest.mark.parametrize("call", ["/docs", "/docs/", "/openapi.json", "/openapi.json/"])
def test_it_answers_with_and_without_the_slash(service: Service, call: str) -> None:
    assert service.get(call, allow_redirects=False).status_code == 200
