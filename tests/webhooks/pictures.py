"""The pictures of the inbox page under docs/: `python -m tests.webhooks.pictures` makes them anew."""

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import requests
from playwright.sync_api import Browser, sync_playwright

from tests.browser import launched
from tests.folders import kept, open_folder
from tests.service import PROJECT, Service
from tests.webhooks.receivers import Receiver, ok, receiver

DOCS = PROJECT / "docs"
WIDE, PHONE = (1280, 800), (390, 844)


class Picture(NamedTuple):
    """A page below the inbox's, in a size and a scheme."""

    name: str
    path: str
    size: tuple[int, int]
    scheme: Any


_EVENT: dict[str, Any] = {
    "id": "evt_1QkX2eLkdIwHu7ix",
    "type": "invoice.paid",
    "created": 1764047412,
    "livemode": False,
    "data": {
        "object": {
            "id": "in_1QkX2c",
            "customer": "cus_RdT8",
            "currency": "eur",
            "amount_due": 5990,
            "amount_paid": 5990,
            "discount": None,
            "lines": [
                {"sku": "tea-250", "description": "Sencha, 250 g", "quantity": 2, "unit_amount": 1995},
                {"sku": "cup-01", "description": "Cup, celadon", "quantity": 1, "unit_amount": 2000},
            ],
        }
    },
}


def fill(receive: str) -> tuple[str, str]:
    """Sends what is seen in the pictures; the ids of two requests to compare, the older one first."""
    agent = {"User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)", "Content-Type": "application/json"}
    failed = json.loads(json.dumps(_EVENT))
    failed["type"] = "invoice.payment_failed"
    failed["data"]["object"] |= {"amount_paid": 0, "attempt_count": 2}
    _send("GET", f"{receive}/health?probe=1")
    _send("POST", f"{receive}/slack/commands", data={"command": "/weather", "text": "94070"})
    _send("POST", f"{receive}/upload?album=42", files={"photo": ("dawn.jpg", b"\xff\xd8\xff" + b"\0" * 48_000)})
    _send("POST", f"{receive}/soap", data="<a/>", headers={"Content-Type": "application/soap+xml"})
    _send("PUT", f"{receive}/avatars/7", data=b"\0" * 2100, headers={"Content-Type": "application/x-protobuf"})
    _send("DELETE", f"{receive}/orders/42")
    _send("POST", f"{receive}/github", data='{"zen": "Keep it logically awesome."}', headers=agent)
    _send("POST", f"{receive}/metrics", data='{"cpu": [0.5, 0.7]}', headers=agent)
    left, right = (
        _send("POST", f"{receive}/stripe?tenant=blue", data=json.dumps(event), headers=agent)
        for event in (_EVENT, failed)
    )
    return left, right


def _send(method: str, url: str, **options: Any) -> str:
    answer = requests.request(method, url, timeout=10, **options)
    request_id: str = answer.json()["id"]
    return request_id


def send_on(service: Service, token: str, sinks: list[Receiver]) -> None:
    """Destinations that take, refuse and end what comes."""
    taking, busy, ended = sinks
    more: dict[str, Any] = {"filter": {"method": "POST", "json": {"type": "invoice.paid"}}}
    for receiver_, path, wanted in (
        (taking, "/hooks/orders", {"ordered": True}),
        (busy, "/billing", more),
        (ended, "/old-crm", {"filter": {"path": "/health"}}),
    ):
        service.post(f"/webhook/{token}/destinations", json={"url": f"{receiver_.url}{path}", **wanted})


def take(browser: Browser, inbox: str, picture: Picture) -> None:
    width, height = picture.size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=picture.scheme)
    page = context.new_page()
    page.goto(f"{inbox}{picture.path}")
    page.locator("#live[data-state=live]").wait_for()
    if picture.path.endswith("=deliveries"):
        # The newest is the one that is tried again.
        page.locator(".answer-of > summary").first.click()
    page.wait_for_timeout(400)
    page.screenshot(path=DOCS / f"{picture.name}.png")
    context.close()


def main() -> None:
    os.environ |= {"INSTANTLITE_PROFILE": "laptop", "REDIS_URL": "", "CONFIG_PATH": ""}
    options = {"APP_URL": "https://instant.example", "FORWARDING_ALLOW_NETWORKS": "127.0.0.0/8"}
    busy = b"HTTP/1.1 503 Busy\r\nContent-Type: application/json\r\nRetry-After: 40\r\nContent-Length: 30\r\n\r\n"
    ended = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
    with kept, open_folder() as folder, ExitStack() as receivers:
        service = Service(Path(folder), options).start()
        try:
            answers = (ok(b'{"ok": true}'), busy + b'{"error": "the queue is full"}', ended)
            sinks = [receivers.enter_context(receiver(answer)) for answer in answers]
            made = service.post("/webhook/new", json={"name": "orders-staging"}).json()
            inbox = f"{service.url}/webhooks/{made['token']}"
            send_on(service, made["token"], sinks)
            left, right = fill(made["receive_url"].replace("https://instant.example", service.url))
            with sync_playwright() as playwright:
                browser = launched(playwright)
                for picture in (
                    Picture("inbox", f"/{right}", WIDE, "light"),
                    Picture("inbox-dark", f"/{right}", WIDE, "dark"),
                    Picture("inbox-compare", f"/compare?left={left}&right={right}", WIDE, "light"),
                    Picture("inbox-settings", "/settings", WIDE, "light"),
                    Picture("inbox-destinations", "/destinations", WIDE, "light"),
                    Picture("inbox-deliveries", f"/{left}?tab=deliveries", WIDE, "dark"),
                    Picture("inbox-phone", "", PHONE, "light"),
                    Picture("inbox-phone-dark", f"/{right}", PHONE, "dark"),
                ):
                    take(browser, inbox, picture)
                browser.close()
        finally:
            service.close()


if __name__ == "__main__":
    main()
