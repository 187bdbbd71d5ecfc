"""POST /webhook/new: the answer is complete, safe to repeat, charged, and works at once."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from instantlite.config import Rate
from instantlite.resource import State
from tests.ratelimit.conftest import limit
from tests.webhooks.inbox import Inbox
from webhooks.models import Endpoint

pytestmark = pytest.mark.usefixtures("transactional_db")

APP_URL = "http://localhost:8000"


def test_the_answer_has_all_that_is_needed() -> None:
    made = Inbox().answer
    assert list(made) == [
        "ok", "id", "token", "name", "connection_url", "receive_url", "inbox_url", "tier", "limits", "expires_at",
        "note", "status_url",
    ]  # fmt: skip
    assert made["ok"] is True
    assert made["connection_url"] == made["receive_url"]
    assert made["receive_url"].startswith(f"{APP_URL}/webhook/receive/")
    assert made["inbox_url"] == f"{APP_URL}/webhooks/{made['token']}"
    assert made["status_url"] == f"{APP_URL}/webhook/{made['token']}"
    assert made["limits"] == {"requests_stored": 100, "expires_in": 86400}
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now().astimezone()
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)


def test_what_it_gave_works_at_once() -> None:
    inbox = Inbox()
    request_id = inbox.sent("/first", b"hello")
    assert inbox.listed() == [request_id]


def test_a_sender_can_send_and_never_read() -> None:
    """The key in the receive URL is no token, and tells nothing of one."""
    inbox = Inbox()
    key = inbox.receive_path.rpartition("/")[2]
    assert key not in inbox.token
    for guess in (key, f"webhook_{key}", inbox.answer["id"]):
        assert inbox.api.get(f"/webhook/{guess}").status_code == 404
    assert inbox.api.get(f"/webhook/receive/{inbox.token}").status_code == 404


def test_name_and_ttl_are_taken() -> None:
    made = Inbox(wish={"name": "orders", "ttl": "2h"}).answer
    assert (made["name"], made["limits"]["expires_in"]) == ("orders", 7200)


@pytest.mark.parametrize("wish", [{"name": ""}, {"name": "a\0b"}, {"ttl": 1}, {"ttl": "25h"}, {"nmae": "x"}])
def test_a_wish_that_cannot_be_met_is_refused(api: APIClient, wish: dict[str, Any]) -> None:
    refused = api.post("/webhook/new", wish, format="json")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert not Endpoint.objects.exists()


def test_a_repeat_gets_the_same_inbox() -> None:
    first, second = Inbox(headers={"idempotency-key": "k"}), Inbox(headers={"idempotency-key": "k"})
    assert first.answer == second.answer
    assert Endpoint.objects.count() == 1


def test_a_repeat_that_asks_for_something_else_is_refused(api: APIClient) -> None:
    Inbox(headers={"idempotency-key": "k"})
    refused = api.post("/webhook/new", {"name": "x"}, format="json", headers={"idempotency-key": "k"})
    assert (refused.status_code, refused.json()["error"]) == (409, "idempotency_mismatch")


def test_inboxes_count_as_provisions_and_a_repeat_does_not(api: APIClient, settings: Settings) -> None:
    limit(settings, provisions=Rate(1, timedelta(days=1), burst=2), requests=None)
    answers = [api.post("/webhook/new", headers={"idempotency-key": key}).status_code for key in "aaabc"]
    assert answers == [201, 201, 201, 201, 429]


@pytest.mark.parametrize(
    ("accept", "query", "says"), [("text/plain", "", "{}\n"), ("", "?format=env", "WEBHOOK_URL={}\n")]
)
def test_the_url_alone(api: APIClient, accept: str, query: str, says: str) -> None:
    answer = api.post(f"/webhook/new{query}", headers={"accept": accept} if accept else {})
    url = Endpoint.objects.get().receive_url
    assert answer.content.decode() == says.format(url)


def test_the_status_says_how_it_is_doing() -> None:
    inbox = Inbox()
    inbox.sent()
    status = inbox.get().json()
    assert {name: status[name] for name in inbox.answer} == inbox.answer
    assert status["status"] == "active"
    assert status["counts"] == {"captured": 1, "stored": 1}


def test_extending_moves_the_expiry_up_to_the_longest_life() -> None:
    inbox = Inbox(wish={"ttl": "1h"})
    before = datetime.fromisoformat(inbox.answer["expires_at"])
    extended = inbox.api.post(f"{inbox.path}/extend", {"ttl": "2h"}, format="json").json()
    assert datetime.fromisoformat(extended["expires_at"]) - before == timedelta(hours=2)
    for _ in range(3):
        last = inbox.api.post(f"{inbox.path}/extend", {"ttl": "24h"}, format="json")
    refused = inbox.api.post(f"{inbox.path}/extend", {"ttl": "24h"}, format="json")
    assert last.status_code == 200
    assert (refused.status_code, refused.json()["error"]) == (409, "lifetime_reached")


def test_a_new_name() -> None:
    inbox = Inbox()
    assert inbox.api.patch(inbox.path, {"name": "renamed"}, format="json").json()["name"] == "renamed"
    assert inbox.get().json()["name"] == "renamed"


def test_deleted_is_gone_for_owner_and_sender() -> None:
    inbox = Inbox()
    inbox.sent()
    deleted = inbox.api.delete(inbox.path)
    assert deleted.json() == {"ok": True, "id": inbox.answer["id"], "status": "deleted"}
    for answer in (inbox.get(), inbox.get("/requests"), inbox.api.delete(inbox.path), inbox.send()):
        assert (answer.status_code, answer.json()["error"]) == (410, "gone")
    assert Endpoint.objects.get().state == State.GONE


def test_expired_is_gone_for_owner_and_sender() -> None:
    inbox = Inbox()
    Endpoint.objects.update(expires_at="2020-01-01T00:00:00Z")
    for answer in (inbox.get(), inbox.send(), inbox.api.patch(inbox.path, {"name": "x"}, format="json")):
        assert (answer.status_code, answer.json()["error"]) == (410, "gone")


@pytest.mark.parametrize("method", ["put", "post", "trace"])
def test_a_method_that_is_not_there(method: str) -> None:
    inbox = Inbox()
    refused = getattr(inbox.api, method)(inbox.path)
    assert (refused.status_code, refused.json()["error"]) == (405, "method_not_allowed")
