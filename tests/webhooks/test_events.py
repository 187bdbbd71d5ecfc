"""GET /webhook/{token}/events and …/wait, through real processes and without a socket between."""

import copy
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests
from django.conf import settings
from rest_framework.test import APIClient

from instantlite import wire
from tests.service import Service, free_port, wait_for
from tests.webhooks.inbox import Inbox
from tests.webhooks.sse import EventClient
from webhooks import endpoints, events
from webhooks.models import CapturedRequest, Endpoint
from webhooks.stream import Hub


@pytest.fixture
def two_instances(own_service: Service) -> Iterator[tuple[Service, Service]]:
    """On one database."""
    other = copy.copy(own_service)
    other.port = free_port()
    own_service.start()
    other.start()
    yield own_service, other
    other.kill()


class Live:
    """An inbox of a running service."""

    def __init__(self, service: Service) -> None:
        made = service.post("/webhook/new")
        assert made.status_code == 201, made.text
        self.token: str = made.json()["token"]
        self.path = f"/webhook/{self.token}"
        self.receive_path: str = made.json()["receive_url"].removeprefix(service.url)

    def send(self, service: Service, count: int = 1) -> list[str]:
        with requests.Session() as session:
            answers = [session.post(f"{service.url}{self.receive_path}", data=b"{}") for _ in range(count)]
        return [answer.json()["id"] for answer in answers]

    def stream(self, service: Service, last_id: str = "", **options: Any) -> EventClient:
        client = EventClient(service.url, f"{self.path}/events", last_id, **options)
        assert client.response.status == 200
        return client.begin()


def one_stream_per_inbox(service: Service) -> Service:
    """So that a second one shows whether there is a first."""
    file = service.folder / "config.yaml"
    file.write_text("webhooks:\n  streams_per_inbox: 1\n")
    service.settings["CONFIG_PATH"] = str(file)
    return service


def test_requests_arrive_as_events_with_their_summary(service: Service) -> None:
    inbox = Live(service)
    with inbox.stream(service) as client:
        assert client.response.getheader("Content-Type") == "text/event-stream"
        assert client.response.getheader("Cache-Control") == "no-store"
        assert client.response.getheader("X-Accel-Buffering") == "no"
        ids = inbox.send(service, 2)
        received = [client.next(), client.next()]
    for event, request_id in zip(received, ids, strict=True):
        assert event
        assert (event.name, event.id) == ("request", request_id)
        assert (
            json.loads(event.data)
            == service.get(f"{inbox.path}/requests?after={UUID(int=0)}").json()["items"][1 - ids.index(request_id)]
        )


def test_an_instance_hears_of_what_another_one_has_stored(two_instances: tuple[Service, Service]) -> None:
    one, other = two_instances
    inbox = Live(one)
    with inbox.stream(one) as here, inbox.stream(other) as there:
        ids = [inbox.send(service)[0] for service in (one, other, one, other)]
        assert here.ids(4) == there.ids(4) == ids


def test_a_client_of_a_killed_instance_goes_on_at_another_without_gap_or_duplicate(
    two_instances: tuple[Service, Service],
) -> None:
    one, other = two_instances
    inbox = Live(one)
    sent: list[str] = []
    done = threading.Event()

    def keep_sending() -> None:
        while not done.is_set():
            sent.extend(inbox.send(other))

    sender = threading.Thread(target=keep_sending)
    with inbox.stream(one) as client:
        sender.start()
        received = client.ids(20)
        one.kill()
        while event := client.next():
            received.append(event.id)
        wait_for(lambda: len(sent) > len(received) + 20)
        done.set()
        sender.join()
    with inbox.stream(other, client.last_id) as resumed:
        received += resumed.ids(len(sent) - len(received))
    assert received == sent


def test_a_connection_that_is_lost_before_the_first_event_leaves_no_gap(service: Service) -> None:
    inbox = Live(service)
    inbox.send(service, 2)
    with inbox.stream(service) as client:
        pass
    ids = inbox.send(service, 2)
    with inbox.stream(service, client.last_id) as resumed:
        assert resumed.ids(2) == ids


def test_streams_do_not_hold_up_a_worker_that_ends(own_service: Service) -> None:
    own_service.start()
    inbox = Live(own_service)
    clients = [inbox.stream(own_service) for _ in range(20)]
    started = time.monotonic()
    assert own_service.terminate() == 0
    took = time.monotonic() - started
    assert [client.next() for client in clients] == [None] * 20
    assert [client.retries for client in clients] == [2] * 20, "they are told when to come again"
    # Without an end to the streams it is graceful_timeout (20 s), after which the worker is killed.
    assert took < 15
    for client in clients:
        client.close()


def test_a_waiting_call_is_sent_elsewhere_by_a_worker_that_ends(own_service: Service) -> None:
    one_stream_per_inbox(own_service).start()
    inbox = Live(own_service)
    answers: list[dict[str, Any]] = [{}]

    def wait() -> None:
        # Until it is the one that is let in.
        while not answers[-1] or answers[-1].get("retry_after_seconds") == 5:
            answers.append(own_service.get(f"{inbox.path}/wait?timeout=60", timeout=90).json())

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_for(lambda: own_service.get(f"{inbox.path}/wait?timeout=0").status_code == 503, what="the call to wait")
    own_service.terminate()
    waiting.join()
    assert (answers[-1]["error"], answers[-1]["retry_after_seconds"]) == ("streams_unavailable", 1)


def test_a_stream_goes_on_when_postgresql_has_been_restarted(durable_service: Service) -> None:
    durable_service.start()
    inbox = Live(durable_service)
    with inbox.stream(durable_service) as client:
        ids = inbox.send(durable_service, 1)
        assert client.ids(1) == ids
        durable_service.postgres.stop()
        durable_service.postgres.start()
        wait_for(lambda: durable_service.get("/readyz").status_code == 200)
        ids = inbox.send(durable_service, 2)
        assert client.ids(2) == ids


def test_a_client_that_hangs_up_is_noticed(own_service: Service) -> None:
    one_stream_per_inbox(own_service).start()
    inbox = Live(own_service)
    inbox.stream(own_service).close()
    wait_for(lambda: own_service.get(f"{inbox.path}/wait?timeout=0").status_code == 200)


def test_waiting_in_a_service_returns_what_comes(service: Service) -> None:
    inbox = Live(service)
    answers: list[Any] = []
    after = inbox.send(service)[0]
    waiting = threading.Thread(
        target=lambda: answers.append(service.get(f"{inbox.path}/wait?timeout=30&after={after}").json())
    )
    waiting.start()
    ids = inbox.send(service, 1)
    waiting.join()
    assert answers[0]["request"]["id"] == ids[0]


pytest_db = pytest.mark.django_db(transaction=True)


@pytest_db
@pytest.mark.parametrize("accept", ["text/event-stream", "*/*", "text/html", "application/json"])
def test_it_is_an_event_stream_whatever_is_asked_for(hub: Hub, api: APIClient, accept: str) -> None:
    inbox = Inbox(api)
    answer = api.get(f"{inbox.path}/events/", headers={"accept": accept})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/event-stream")
    answer.close()
    assert hub.open == 0


@pytest_db
def test_where_a_stream_begins(hub: Hub, api: APIClient) -> None:
    inbox = Inbox(api)
    ids = [inbox.sent() for _ in range(3)]
    unknown = str(UUID(int=UUID(ids[0]).int + 1))
    for query, headers, expected in [
        ({"after": ids[0]}, {}, ids[1:]),
        ({"lastEventId": ids[1]}, {}, ids[2:]),
        ({"after": ids[0]}, {"last-event-id": ids[1]}, ids[2:]),
        ({}, {"last-event-id": unknown}, ids[1:]),
        ({"after": str(UUID(int=0))}, {"last-event-id": ""}, ids),
    ]:
        answer: Any = api.get(f"{inbox.path}/events", query, headers=headers)
        body = b"".join(next(answer.streaming_content) for _ in range(2)).decode()
        assert [line[4:] for line in body.split("\n") if line.startswith("id: ")][1:] == expected
        answer.close()


@pytest_db
@pytest.mark.parametrize(
    ("call", "query", "headers", "named"),
    [
        ("events", {}, {"last-event-id": "no-id"}, "Last-Event-ID"),
        ("events", {"after": "7"}, {}, "after"),
        ("events", {"lastEventId": "\0"}, {}, "lastEventId"),
        ("events", {"since": "1h"}, {}, "since"),
        ("wait", {"after": "x" * 5000}, {}, "after"),
        ("wait", {"timeout": "61"}, {}, "timeout"),
        ("wait", {"timeout": "-1"}, {}, "timeout"),
        ("wait", {"timeout": "nan"}, {}, "timeout"),
        ("wait", {"lastEventId": str(uuid4())}, {}, "lastEventId"),
    ],
)
def test_what_is_not_acceptable_is_named(
    api: APIClient, call: str, query: dict[str, str], headers: Any, named: str
) -> None:
    answer = api.get(f"{Inbox(api).path}/{call}", query, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert answer.json()["message"].startswith(f"{named}:")


@pytest_db
@pytest.mark.parametrize("call", ["events", "wait"])
def test_tokens_that_open_nothing(api: APIClient, call: str) -> None:
    inbox = Inbox(api)
    assert api.get(f"/webhook/webhook_x/{call}").json()["error"] == "not_found"
    assert api.post(f"{inbox.path}/{call}").json()["error"] == "method_not_allowed"
    api.delete(inbox.path)
    answer = api.get(f"{inbox.path}/{call}", headers={"accept": "text/event-stream"})
    assert (answer.status_code, answer.json()["error"]) == (410, "gone")


@pytest_db
def test_a_head_request_opens_no_stream(hub: Hub, api: APIClient) -> None:
    answer = api.head(f"{Inbox(api).path}/events")
    assert (answer.status_code, answer["Content-Type"], hub.open) == (200, "text/event-stream", 0)


@pytest_db
def test_beyond_the_limit_a_stream_is_refused_in_the_one_shape(
    hub: Hub, api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = settings.INSTANTLITE
    limited = replace(options, webhooks=replace(options.webhooks, streams=2, streams_per_inbox=1))
    monkeypatch.setattr(settings, "INSTANTLITE", limited)
    inbox, other, third = Inbox(api), Inbox(api), Inbox(api)
    first = api.get(f"{inbox.path}/events")
    refused = api.get(f"{inbox.path}/wait")
    assert (refused.status_code, refused.json()["error"]) == (503, "streams_unavailable")
    assert "inbox has 1 " in refused.json()["message"]
    assert refused["Retry-After"] == str(refused.json()["retry_after_seconds"])
    second = api.get(f"{other.path}/events")
    assert "server has as many" in api.get(f"{third.path}/events").json()["message"]
    first.close()
    second.close()
    assert api.get(f"{third.path}/wait", {"timeout": "0"}).json() == {"ok": True, "request": None}


@pytest_db
def test_waiting_returns_what_is_there_as_a_list_shows_it(hub: Hub, api: APIClient) -> None:
    inbox = Inbox(api)
    first, second = inbox.sent(), inbox.sent("/é?x=1", b"body")
    answer = inbox.get("/wait", after=first).json()
    assert answer == {"ok": True, "request": inbox.items()[0]}
    assert answer["request"]["id"] == second


@pytest_db
def test_a_stream_says_that_its_inbox_is_gone(hub: Hub) -> None:
    inbox = Inbox()
    endpoint = Endpoint.objects.owned(inbox.token)
    assert endpoint
    chunks = events.EventStream(hub.subscribe(endpoint))
    next(chunks)
    endpoints.expire(endpoint)
    assert list(chunks) == [b'event: gone\ndata: {"ok": false, "error": "gone"}\n\n']


@pytest_db
def test_a_quiet_stream_says_that_it_is_alive(hub: Hub) -> None:
    endpoint = Endpoint.objects.owned(Inbox().token)
    assert endpoint
    chunks = events.EventStream(hub.subscribe(endpoint), heartbeat_seconds=0.05)
    assert [next(chunks) for _ in range(4)][1:] == [b":\n\n"] * 3
    chunks.close()
    assert hub.open == 0


@pytest_db
def test_a_stream_of_which_nothing_was_read_is_closed_too(hub: Hub) -> None:
    endpoint = Endpoint.objects.owned(Inbox().token)
    assert endpoint
    chunks = events.EventStream(hub.subscribe(endpoint))
    chunks.close()
    assert hub.open == 0


def test_a_client_that_has_closed_is_told_from_one_that_is_quiet() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        served, _ = server.accept()
        with served:
            environ = {"gunicorn.socket": served}
            wire.bound_silence(environ, 30)
            assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
            assert not wire.hung_up(environ)
            client.close()
            wait_for(lambda: wire.hung_up(environ), seconds=5)
        assert wire.hung_up(environ)


def test_a_connection_of_which_nothing_is_known_counts_as_open() -> None:
    pair = socket.socketpair()
    for environ in ({}, {"gunicorn.socket": pair[0]}):
        wire.bound_silence(environ, 30)
        assert not wire.hung_up(environ)
    for end in pair:
        end.close()


def test_data_of_several_lines_arrives_as_such() -> None:
    request_id = uuid4()
    assert events.frame("request", "<p>\r\n\ra\nb\u2028c: d", request_id) == (
        f"id: {request_id}\nevent: request\ndata: <p>\ndata: \ndata: a\ndata: b\u2028c: d\n\n".encode()
    )


def test_a_summary_is_one_line() -> None:
    captured = CapturedRequest(
        id=uuid4(), method="POST", target="/webhook/receive/k/\r\n\x85\xe9", received_at=datetime.now(UTC)
    )
    lines = events.summary(captured).decode().split("\n")
    assert [line.partition(":")[0] for line in lines] == ["id", "event", "data", "", ""]
    assert json.loads(lines[2].removeprefix("data: "))["target"] == captured.target
