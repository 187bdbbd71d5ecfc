"""PATCH /webhook/{token}: what senders are answered from then on."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from tests.webhooks.inbox import Inbox
from webhooks.models import Endpoint

pytestmark = pytest.mark.usefixtures("transactional_db")

DEFAULT = {
    "status": 200,
    "content_type": "application/json",
    "headers": [],
    "body": None,
    "delay_seconds": 0,
    "cors": True,
}


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def respond(inbox: Inbox, response: Any) -> Any:
    return inbox.api.patch(inbox.path, {"response": response}, format="json")


def test_the_default_names_the_request(inbox: Inbox) -> None:
    answer = inbox.send(body=b"x")
    assert answer.json() == {"ok": True, "id": inbox.listed()[0]}
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert inbox.get().json()["response"] == DEFAULT


def test_what_is_chosen_is_answered(inbox: Inbox) -> None:
    chosen = {
        "status": 202,
        "content_type": "text/plain",
        "headers": [["X-Answer", "{{ request.id }}"]],
        "body": "{{ request.json.challenge }} by {{ request.method }}",
    }
    changed = respond(inbox, chosen)
    assert changed.status_code == 200
    assert changed.json()["response"] == DEFAULT | chosen
    answer = inbox.send("/hook", b'{"challenge": "a\\r\\nb"}', content_type="application/json")
    assert (answer.status_code, answer.content) == (202, b"a\r\nb by POST")
    assert answer["X-Answer"] == inbox.listed()[0]
    assert answer["Content-Type"].startswith("text/plain")


def test_what_is_left_out_stays_and_null_is_the_default(inbox: Inbox) -> None:
    respond(inbox, {"status": 503, "body": "no"})
    assert respond(inbox, {"body": None}).json()["response"] == DEFAULT | {"status": 503}
    assert respond(inbox, None).json()["response"] == DEFAULT
    assert Endpoint.objects.get().answer is None


def test_a_name_alone_leaves_the_response(inbox: Inbox) -> None:
    respond(inbox, {"status": 204})
    inbox.api.patch(inbox.path, {"name": "renamed"}, format="json")
    assert inbox.send().status_code == 204


@pytest.mark.parametrize(
    ("response", "says"),
    [
        ({"status": 99}, "status"),
        ({"body": "{{ request.json"}, "body"),
        ({"delay_seconds": 11}, "delay_seconds"),
        ({"headers": [["Set-Cookie", "a=b"]]}, "headers"),
        ({"content_type": "text/javascript"}, "content_type"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(inbox: Inbox, response: dict[str, Any], says: str) -> None:
    refused = respond(inbox, response)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert says in refused.json()["message"]
    assert inbox.get().json()["response"] == DEFAULT


def test_changes_of_different_parts_do_not_undo_each_other(inbox: Inbox) -> None:
    changes: list[dict[str, Any]] = [{"status": 418}, {"body": "teapot"}, {"cors": False}, {"headers": [["X-A", "1"]]}]

    def change_one(change: dict[str, Any]) -> int:
        status: int = respond(Inbox.same(inbox), change).status_code
        connection.close()
        return status

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(change_one, changes)) == {200}
    wanted = DEFAULT | {name: value for change in changes for name, value in change.items()}
    assert inbox.get().json()["response"] == wanted


def test_a_405_of_the_owners_choice_is_theirs(inbox: Inbox) -> None:
    respond(inbox, {"status": 405, "body": "no such method", "content_type": "text/plain"})
    answer = inbox.send(method="PUT")
    assert (answer.status_code, answer.content) == (405, b"no such method")


def test_a_browser_may_send_from_any_page(inbox: Inbox) -> None:
    """Its preflight is captured, and answered at once."""
    answer = inbox.send(
        method="OPTIONS", origin="https://example.com", access_control_request_method="PUT",
        access_control_request_headers="x-a",
    )  # fmt: skip
    assert answer.status_code == 204
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "PUT" in answer["Access-Control-Allow-Methods"]
    assert len(inbox.listed()) == 1


def test_an_operators_session_goes_to_admin_only(client: Any, django_user_model: Any) -> None:
    """Sent to a receive URL it would be captured, for the owner of the inbox to read."""
    django_user_model.objects.create_superuser("operator", password="long enough for anybody")
    answer = client.post("/admin/login/", {"username": "operator", "password": "long enough for anybody"})
    assert answer.cookies["sessionid"]["path"] == "/admin/"


class Held:
    """Stands in for the clock: how long answers were held back, and whether another request came meanwhile."""

    def __init__(self, meanwhile: Callable[[], Any] = lambda: None) -> None:
        self.seconds: list[float] = []
        self.meanwhile = meanwhile

    def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.meanwhile()


def test_an_answer_is_held_back_as_long_as_chosen(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    respond(inbox, {"delay_seconds": 2.5})
    # By then it is committed: a sender who gives up has been heard.
    held = Held(meanwhile=lambda: seen.append(len(inbox.listed())))
    seen: list[int] = []
    monkeypatch.setattr("webhooks.views.time", held)
    inbox.sent()
    assert held.seconds == [2.5]
    assert seen == [1]


@pytest.mark.parametrize(("most", "held_back"), [(0, 0), (1, 1), (2, 2)])
def test_no_more_answers_are_held_back_than_may_be(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, most: int, held_back: int
) -> None:
    """Each is a greenlet and a connection of this process; those beyond the bound are sent at once."""
    respond(inbox, {"delay_seconds": 10})
    left = [1, 1]
    held = Held(meanwhile=lambda: left and left.pop() and inbox.sent())
    monkeypatch.setattr("webhooks.views.time", held)
    monkeypatch.setattr("webhooks.views._held", threading.BoundedSemaphore(most))
    inbox.sent()
    assert held.seconds == [10.0] * held_back
