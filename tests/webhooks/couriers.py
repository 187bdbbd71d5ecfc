"""Sending on within a test's process: a courier, receivers on loopback, and deliveries to wait for."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from instantlite import platformdb
from tests.service import wait_for
from tests.webhooks.inbox import Inbox
from tests.webhooks.receivers import Receiver
from webhooks import deliveries
from webhooks.courier import Courier
from webhooks.models import Delivery, DeliveryState

OPEN = (DeliveryState.PENDING, DeliveryState.DELIVERING)


def to_loopback(settings: Any, **options: Any) -> None:
    """Lets this test send to this machine, and try again soon."""
    given = {
        "allow_networks": (ip_network("127.0.0.0/8"), ip_network("::1/128")),
        "first_retry": timedelta(seconds=0.02),
        "longest_retry": timedelta(seconds=0.2),
        **options,
    }
    forwarding = replace(settings.INSTANTLITE.forwarding, **given)
    settings.INSTANTLITE = replace(settings.INSTANTLITE, forwarding=forwarding)


@contextmanager
def running() -> Iterator[Courier]:
    """A courier of the test's own."""
    courier = Courier()
    thread = threading.Thread(target=courier.run)
    thread.start()
    try:
        yield courier
    finally:
        courier.stop()
        thread.join(20)
        courier.close()


@dataclass
class Forwarding(Inbox):
    """An inbox, its destinations, and what became of its requests."""

    def to(self, receiver: Receiver | str, path: str = "/hooks", **wanted: Any) -> dict[str, Any]:
        """A destination at a receiver."""
        url = receiver if isinstance(receiver, str) else f"{receiver.url}{path}"
        answer = self.api.post(f"{self.path}/destinations", {"url": url, **wanted}, format="json")
        assert answer.status_code == 201, answer.content
        made: dict[str, Any] = answer.json()
        return made

    def call(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON of a call on the inbox."""
        answer = self.api.generic(method, f"{self.path}{path}", *_json(body))
        assert answer.status_code == status, answer.content
        return answer.json()

    def deliveries(self, request_id: str) -> Any:
        """Of a request, as the API gives them."""
        return self.call("GET", f"/requests/{request_id}/deliveries")["items"]

    def done(self, request_id: str) -> Any:
        """The same, once none of them is to be tried any more."""
        rows = Delivery.objects.filter(request_id=request_id, state__in=OPEN)
        wait_for(lambda: not rows.exists(), what=f"the deliveries of {request_id}")
        return self.deliveries(request_id)

    def one(self, request_id: str) -> Any:
        """The only delivery of a request, once it is done."""
        (delivery,) = self.done(request_id)
        return delivery


def open_deliveries(endpoint_id: UUID) -> int:
    return Delivery.objects.filter(endpoint_id=endpoint_id, state__in=OPEN).count()


def end_leases() -> None:
    """As if their time were over: who has a delivery now was killed."""
    Delivery.objects.filter(state=DeliveryState.DELIVERING).update(next_at=Now())
    assert deliveries.put_back()


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each gave, in a thread of its own; the first exception of any is raised."""
    results: list[Any] = [None] * len(calls)
    failures: list[BaseException] = []

    def call(place: int, function: Callable[[], Any]) -> None:
        try:
            results[place] = function()
        except BaseException as error:  # noqa: BLE001 — raised below
            failures.append(error)
        finally:
            platformdb.let_go_of_connection()

    threads = [threading.Thread(target=call, args=(place, function)) for place, function in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results


def _json(body: Any) -> tuple[Any, ...]:
    return () if body is None else (json.dumps(body), "application/json")
