"""POST /webhook/{token}/attempts: what listening clients report is kept once, and bounded."""

import base64
import json
import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from instantlite.uuid7 import uuid7
from tests.webhooks.inbox import Inbox
from webhooks import reports
from webhooks.models import Attempt, Delivery, DeliveryState, Origin

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def told(request_id: str, **fields: Any) -> dict[str, Any]:
    given = {"request_id": request_id, "url": "http://localhost:3000/hooks", "status": 200, "duration_ms": 12.5}
    return given | fields


def report(inbox: Inbox, *attempts: Any) -> Any:
    return send(inbox, {"attempts": list(attempts)})


def send(inbox: Inbox, value: Any) -> Any:
    """As ASCII: DRF's own client cannot send half a character."""
    return inbox.api.post(f"{inbox.path}/attempts", json.dumps(value), content_type="application/json")


def test_an_outcome_becomes_a_delivery_with_its_attempt(inbox: Inbox) -> None:
    request_id = inbox.sent()
    lines = [["Content-Type", "text/plain"], ["X", "caf\xe9"], ["X", ""]]
    body = base64.b64encode(b"\0answer").decode()
    answer = report(inbox, told(request_id, answer_headers=lines, answer_body_base64=body, answer_truncated=True))
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "unknown": []})
    (delivery,) = Delivery.objects.of(UUID(inbox.answer["id"]), UUID(request_id))
    assert (delivery.origin, delivery.state, delivery.destination_id) == (Origin.LISTEN, DeliveryState.DELIVERED, None)
    assert (delivery.url, delivery.attempts, delivery.next_at) == ("http://localhost:3000/hooks", 1, None)
    assert delivery.finished_at
    assert (delivery.finished_at - delivery.created_at).total_seconds() == 0.0125
    (attempt,) = delivery.tried.all()
    assert (attempt.number, attempt.status, attempt.duration_ms, attempt.error) == (1, 200, 12.5, "")
    assert (attempt.answer_headers, bytes(attempt.answer_body), attempt.answer_truncated) == (lines, b"\0answer", True)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"status": 204}, DeliveryState.DELIVERED),
        ({"status": 302}, DeliveryState.DEAD),
        ({"status": 500}, DeliveryState.DEAD),
        ({"status": None, "error": "Nothing listens there."}, DeliveryState.DEAD),
        ({"status": 200, "error": "The answer broke off."}, DeliveryState.DEAD),
        ({"status": None, "url": "exec:cat"}, DeliveryState.DELIVERED),
        ({"status": None, "url": "exec:false", "error": "exit status 1"}, DeliveryState.DEAD),
    ],
)
def test_only_a_2xx_or_a_command_that_did_not_fail_is_delivered(
    inbox: Inbox, fields: dict[str, Any], state: DeliveryState
) -> None:
    assert report(inbox, {**told(inbox.sent()), **fields}).status_code == 200
    assert Delivery.objects.get().state == state


def test_the_same_id_again_is_the_same_attempt(inbox: Inbox) -> None:
    request_id, same = inbox.sent(), str(uuid4())
    for status in (200, 500):
        assert report(inbox, told(request_id, id=same, status=status), told(request_id, id=same)).status_code == 200
    assert [attempt.status for attempt in Attempt.objects.all()] == [200]
    assert Delivery.objects.get().state == DeliveryState.DELIVERED
    report(inbox, told(request_id), told(request_id))
    assert Delivery.objects.count() == 3


def test_the_same_id_at_the_same_time_is_one_attempt(inbox: Inbox) -> None:
    attempt = told(inbox.sent(), id=str(uuid7()))

    def send() -> None:
        assert report(Inbox.same(inbox), attempt).status_code == 200
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (Delivery.objects.count(), Attempt.objects.count()) == (1, 1)


def test_an_id_of_another_inbox_takes_nothing_from_this_one(inbox: Inbox) -> None:
    other, same = Inbox(), str(uuid7())
    report(other, told(other.sent(), id=same))
    report(inbox, told(inbox.sent(), id=same))
    assert Delivery.objects.count() == 2


def test_attempts_are_in_the_order_of_ids_that_are_in_the_order_of_time(inbox: Inbox) -> None:
    request_id = inbox.sent()
    ids = [str(uuid7()) for _ in range(5)]
    for number in (3, 0, 4, 1, 2):
        report(inbox, told(request_id, id=ids[number], duration_ms=number))
    ordered = Delivery.objects.of(UUID(inbox.answer["id"]), UUID(request_id))
    milliseconds = [int(key.replace("-", ""), 16) >> 80 for key in ids]
    assert [delivery.id.int >> 80 for delivery in ordered] == milliseconds
    assert {delivery.id.version for delivery in ordered} == {7}


def test_an_id_of_the_far_future_does_not_outlive_the_others(inbox: Inbox) -> None:
    request_id = inbox.sent()
    future = UUID(int=(1 << 127) | 7 << 76 | 2 << 62)
    report(inbox, told(request_id, id=str(future)))
    assert Delivery.objects.get().id.int >> 80 == UUID(request_id).int >> 80


def test_requests_that_are_not_here_are_named_and_the_others_kept(inbox: Inbox) -> None:
    here, elsewhere, nowhere = inbox.sent(), Inbox().sent(), str(uuid4())
    answer = report(inbox, told(nowhere), told(here), told(elsewhere), told(nowhere))
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "unknown": [nowhere, elsewhere]})
    assert [str(delivery.request_id) for delivery in Delivery.objects.all()] == [here]
    assert report(inbox, told(nowhere)).json()["unknown"] == [nowhere]


def test_of_each_request_the_newest_reports_are_kept(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MOST_KEPT", 3)
    one, other = inbox.sent(), inbox.sent()
    forward = Delivery.objects.create(
        endpoint_id=UUID(inbox.answer["id"]),
        request_id=UUID(one),
        origin=Origin.FORWARD,
        state=DeliveryState.DELIVERED,
        created_at="2026-01-01T00:00:00Z",
        until="2026-01-01T00:00:00Z",
    )
    report(inbox, told(other), *(told(one, id=str(uuid7()), status=200 + number) for number in range(2)))
    report(inbox, *(told(one, id=str(uuid7()), status=202 + number) for number in range(3)))
    kept = Attempt.objects.filter(delivery__request_id=one)
    assert sorted(attempt.status or 0 for attempt in kept) == [202, 203, 204]
    assert Delivery.objects.filter(request_id=other).count() == 1
    assert Delivery.objects.filter(pk=forward.pk).exists()
    assert Attempt.objects.count() == 4


def test_a_hundred_take_no_more_round_trips_than_one(inbox: Inbox, statements: list[str]) -> None:
    ids = [inbox.sent() for _ in range(3)]
    sent = []
    for attempts in ([told(ids[0])], [told(ids[number % 3], id=str(uuid4())) for number in range(50)]):
        statements.clear()
        assert report(inbox, *attempts).status_code == 200
        sent.append([statement for statement in statements if "webhooks_" in statement])
    # Whose inbox it is, which requests are here, the two inserts; the removal of the oldest of one request only then.
    assert [len(some) for some in sent] == [4, 4]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"url": "ftp://localhost/"}, "url"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": "http://localhost/" + "x" * 500}, "url"),
        ({"url": "http://a/\x1b[2J"}, "url"),
        ({"url": "http://a/\ud800"}, "url"),
        ({"url": 7}, "url"),
        ({"status": 99}, "status"),
        ({"status": "ok"}, "status"),
        ({"status": 10**30}, "status"),
        ({"duration_ms": -1}, "duration_ms"),
        ({"duration_ms": 10**400}, "duration_ms"),
        ({"duration_ms": "soon"}, "duration_ms"),
        ({"error": "x" * 1001}, "error"),
        ({"error": "\0"}, "error"),
        ({"request_id": "7"}, "request_id"),
        ({"request_id": []}, "request_id"),
        ({"id": "7"}, "id"),
        ({"answer_headers": [["a"]]}, "answer_headers"),
        ({"answer_headers": {"a": "b"}}, "answer_headers"),
        ({"answer_headers": [["a", "\0"]]}, "answer_headers"),
        ({"answer_headers": [["a", "\u0100"]]}, "answer_headers"),
        ({"answer_headers": [["a", "x" * 65_536]]}, "answer_headers"),
        ({"answer_headers": [["a", "b"]] * 101}, "answer_headers"),
        ({"answer_body_base64": "é"}, "answer_body_base64"),
        ({"answer_body_base64": "abc"}, "answer_body_base64"),
        ({"answer_body_base64": None}, "answer_body_base64"),
        ({"answer_body_base64": base64.b64encode(b"x" * 65_537).decode()}, "answer_body_base64"),
        ({"headers": []}, "headers"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(inbox: Inbox, fields: dict[str, Any], named: str) -> None:
    answer = report(inbox, {**told(inbox.sent()), **fields})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), answer.content
    assert named in answer.json()["message"]
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("attempts", [[], [None], "x", [[]], None, [{}], {"a": 1}])
def test_what_is_no_list_of_attempts_is_refused(inbox: Inbox, attempts: Any) -> None:
    answer = send(inbox, {"attempts": attempts})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_hundred_and_one_are_too_many(inbox: Inbox) -> None:
    answer = report(inbox, *[told(inbox.sent())] * 101)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_tokens_that_open_nothing(inbox: Inbox) -> None:
    request_id = inbox.sent()
    assert inbox.api.post("/webhook/webhook_x/attempts", {}, format="json").json()["error"] == "not_found"
    inbox.api.delete(inbox.path)
    answer = report(inbox, told(request_id))
    assert (answer.status_code, answer.json()["error"]) == (410, "gone")
