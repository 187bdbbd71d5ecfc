"""Streams in one process: in order, without gap or duplicate, whatever happens to the connections."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import OperationalError, connection

from instantlite import telemetry
from instantlite.resource import Gone, Wish
from tests.service import wait_for
from webhooks import endpoints, feed, stream
from webhooks.capture import Capture
from webhooks.message import Message
from webhooks.models import CapturedRequest, Endpoint
from webhooks.models.captures import last_id
from webhooks.stream import Ending, Full, Hub
from webhooks.subscription import PAGE, Subscription
from webhooks.writer import Writer

pytestmark = pytest.mark.django_db(transaction=True)

OTHERS: set[int] = set()
Capturing = Callable[[Endpoint, int], list[UUID]]


@pytest.fixture(autouse=True)
def _others(hub: Hub) -> None:
    """Hubs of tests before this one may listen for a minute yet."""
    OTHERS.update(_backends())


@pytest.fixture
def capture() -> Iterator[Capturing]:
    """Stores so many requests, in one commit; their ids."""
    writer = Writer()

    def store(endpoint: Endpoint, count: int = 1) -> list[UUID]:
        message = Message("POST", "/webhook/receive/key", "1.1", (), b"{}")
        batch = [Capture(endpoint.pk, message, "192.0.2.1", 2) for _ in range(count)]
        return [verdict.request_id for verdict in writer.write(batch, None)]

    yield store
    writer.close()


@pytest.fixture
def other_hub() -> Iterator[Hub]:
    """That of another instance."""
    hub = Hub()
    yield hub
    hub.end()


def new() -> Endpoint:
    return Endpoint.objects.start(Wish(fingerprint=""))


def again(endpoint: Endpoint) -> Endpoint:
    """The row as it is now: what a request reads before it subscribes."""
    return Endpoint.objects.get(pk=endpoint.pk)


def received(subscription: Subscription, count: int, seconds: float = 20) -> list[UUID]:
    """The ids of the next so many requests; fails where they do not come."""
    ids: list[UUID] = []
    deadline = time.monotonic() + seconds
    while len(ids) < count and time.monotonic() < deadline:
        ids += [entry.id for entry in subscription.take(1)]
    assert len(ids) >= count, f"{len(ids)} of {count} came"
    return ids


def listeners() -> list[int]:
    """The backends that this test's hubs listen on."""
    return [pid for pid in _backends() if pid not in OTHERS]


def _backends() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'instantlite streams' "
            "AND datname = current_database()"
        )
        return [pid for (pid,) in cursor.fetchall()]


def is_listening() -> bool:
    """Whether all that are connected have begun to."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bool_and(state = 'idle' AND query <> '') FROM pg_stat_activity "
            "WHERE application_name = 'instantlite streams' AND datname = current_database()"
        )
        return bool(cursor.fetchone()[0])


def test_a_request_comes_as_soon_as_it_is_committed(hub: Hub, capture: Capturing) -> None:
    endpoint = new()
    with closing(hub.subscribe(endpoint)) as subscription:
        ids = capture(endpoint, 3)
        assert received(subscription, 3) == ids


def test_a_new_stream_begins_with_what_comes_after_the_endpoint_was_read(hub: Hub, capture: Capturing) -> None:
    endpoint = new()
    before = capture(endpoint, 2)
    read = again(endpoint)
    between = capture(endpoint, 2)  # committed, and perhaps notified, before anybody listens
    with closing(hub.subscribe(read)) as subscription:
        after = capture(endpoint, 1)
        ids = received(subscription, 3)
    assert ids == between + after
    assert not set(ids) & set(before)


def test_a_stream_goes_on_after_the_last_id_page_by_page(hub: Hub, capture: Capturing) -> None:
    endpoint = new()
    ids = capture(endpoint, 2 * PAGE + 7)
    with closing(hub.subscribe(again(endpoint), after=ids[0])) as subscription:
        assert len(subscription.take(5)) == PAGE
        live = capture(endpoint, 2)
        rest = received(subscription, PAGE + 8)
    assert rest == ids[PAGE + 1 :] + live


def test_an_id_that_belongs_to_nothing_is_a_place_in_the_order(hub: Hub, capture: Capturing) -> None:
    endpoint = new()
    ids = capture(endpoint, 3)
    for nothing, expected in [(UUID(int=0), ids), (UUID(int=ids[1].int + 1), ids[2:])]:
        with closing(hub.subscribe(again(endpoint), after=nothing)) as subscription:
            assert received(subscription, len(expected)) == expected
    with closing(hub.subscribe(again(endpoint), after=UUID(int=2**128 - 1))) as subscription:
        capture(endpoint, 1)
        assert subscription.take(0.2) == ()


def test_streams_of_one_endpoint_share_reading_and_rendering(
    hub: Hub, capture: Capturing, statements: list[str]
) -> None:
    endpoint = new()
    rendered = []

    def render(captured: CapturedRequest) -> bytes:
        rendered.append(captured.id)
        return captured.id.bytes

    subscriptions = [hub.subscribe(endpoint) for _ in range(50)]
    wait_for(is_listening)
    statements.clear()
    ids = capture(endpoint, 1)
    for subscription in subscriptions:
        (entry,) = subscription.take(20)
        assert entry.rendered(render) == ids[0].bytes
        subscription.close()
    assert rendered == ids
    assert sum("webhooks_capturedrequest" in statement for statement in statements) == 1


def test_a_slow_stream_reads_again_what_the_process_has_forgotten(
    hub: Hub, capture: Capturing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_REMEMBERED", 5)
    endpoint = new()
    with closing(hub.subscribe(endpoint)) as slow, closing(hub.subscribe(endpoint)) as quick:
        ids = []
        for _ in range(4):
            batch = capture(endpoint, 4)
            assert received(quick, 4) == batch
            ids += batch
        assert received(slow, 16) == ids


def test_nothing_is_missed_or_doubled_under_concurrent_captures_in_two_instances(hub: Hub, other_hub: Hub) -> None:
    endpoints_ = [new() for _ in range(3)]
    stored: dict[UUID, list[UUID]] = {endpoint.pk: [] for endpoint in endpoints_}
    got: dict[Subscription, list[UUID]] = {}
    lock = threading.Lock()
    finished = threading.Event()

    def send(number: int) -> None:
        with closing(Writer()) as writer:
            for turn in range(40):
                batch = [
                    Capture(endpoint.pk, Message("PUT", "/", "1.1", (), b""), None, 0)
                    for endpoint in endpoints_[: 1 + (turn + number) % 3]
                ]
                verdicts = writer.write(batch, None)
                with lock:
                    for sent, verdict in zip(batch, verdicts, strict=True):
                        stored[sent.endpoint_id].append(verdict.request_id)

    def watch(subscription: Subscription) -> None:
        while True:
            over = finished.is_set()
            page = subscription.take(0.5)
            got[subscription] += [entry.id for entry in page]
            if over and not page:
                return

    subscriptions = {
        each_hub.subscribe(endpoint): endpoint.pk for each_hub in (hub, other_hub) for endpoint in endpoints_ * 2
    }
    got.update((subscription, []) for subscription in subscriptions)
    watchers = [threading.Thread(target=watch, args=(subscription,)) for subscription in subscriptions]
    senders = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in watchers + senders:
        thread.start()
    for thread in senders:
        thread.join()
    finished.set()
    for thread in watchers:
        thread.join()

    for subscription, endpoint_id in subscriptions.items():
        assert got[subscription] == sorted(stored[endpoint_id])
        subscription.close()


def test_what_came_while_the_connection_was_lost_is_not_missed(hub: Hub, capture: Capturing) -> None:
    endpoint = new()
    with closing(hub.subscribe(endpoint)) as subscription:
        ids = capture(endpoint, 1)
        assert received(subscription, 1) == ids
        for _ in range(3):
            (pid,) = wait_for(listeners)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            ids = capture(endpoint, 2)
            assert received(subscription, 2) == ids


def test_a_stream_that_catches_up_outlives_a_database_that_does_not_answer(
    hub: Hub, capture: Capturing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.subscription._PAUSE_SECONDS", 0.05)
    endpoint = new()
    ids = capture(endpoint, 2)
    failures = iter([OperationalError("the connection is lost")] * 2)

    def fails_at_first(execute: Any, *arguments: Any) -> Any:
        failure = next(failures, None)
        if failure:
            raise failure
        return execute(*arguments)

    with (
        closing(hub.subscribe(again(endpoint), after=UUID(int=0))) as subscription,
        connection.execute_wrapper(fails_at_first),
    ):
        assert received(subscription, 2) == ids
    assert next(failures, None) is None


def test_many_endpoints_are_read_in_one_statement(hub: Hub, capture: Capturing, statements: list[str]) -> None:
    made = [new() for _ in range(20)]
    subscriptions = [hub.subscribe(endpoint) for endpoint in made]
    wait_for(is_listening)
    statements.clear()
    with closing(Writer()) as writer:
        batch = [Capture(e.pk, Message("GET", "/", "1.1", (), b""), None, 0) for e in made]
        ids = [verdict.request_id for verdict in writer.write(batch, None)]
    assert [received(subscription, 1)[0] for subscription in subscriptions] == ids
    assert sum("FROM unnest" in s and "webhooks_capturedrequest" in s for s in statements) == 1
    for subscription in subscriptions:
        subscription.close()


@pytest.mark.parametrize("how", ["deleted", "expired"])
def test_a_stream_ends_with_its_endpoint(
    hub: Hub, capture: Capturing, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    endpoint, other = new(), new()
    if how == "expired":
        monkeypatch.setattr(stream, "_CHECK_SECONDS", 0.1)
    with closing(hub.subscribe(endpoint)) as subscription, closing(hub.subscribe(other)) as stays:
        received_one = capture(endpoint, 1)
        assert received(subscription, 1) == received_one
        if how == "deleted":
            endpoints.expire(endpoint)
        else:
            Endpoint.objects.filter(pk=endpoint.pk).update(expires_at=endpoint.created_at)
        assert subscription.take(4) == ()
        assert subscription.gone
        assert not stays.over


def test_the_process_ends_all_streams_at_once_and_takes_no_more(hub: Hub) -> None:
    endpoint = new()
    with closing(hub.subscribe(endpoint)) as subscription:
        threading.Timer(0.2, hub.end).start()
        assert subscription.take(60) == ()
        assert subscription.over
        assert not subscription.gone
    with closing(hub.subscribe(endpoint)) as late:
        assert late.over
    wait_for(lambda: not listeners())


def test_the_connection_is_let_go_without_streams_and_made_again_for_the_next(capture: Capturing) -> None:
    hub, endpoint = Hub(idle_seconds=0), new()
    for _ in range(2):
        with closing(hub.subscribe(again(endpoint))) as subscription:
            ids = capture(endpoint, 1)
            assert received(subscription, 1) == ids
            assert len(listeners()) == 1
        wait_for(lambda: not listeners())


def test_a_stream_holds_no_connection_of_the_pool(hub: Hub, capture: Capturing) -> None:
    endpoint = new()
    ids = capture(endpoint, 1)
    with closing(hub.subscribe(again(endpoint), after=UUID(int=0))) as subscription:
        assert received(subscription, 1) == ids
        assert connection.connection is None


def test_an_inbox_and_a_process_have_so_many_streams(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    options = settings.INSTANTLITE
    limited = replace(options, webhooks=replace(options.webhooks, streams=3, streams_per_inbox=2))
    monkeypatch.setattr(settings, "INSTANTLITE", limited)
    before = telemetry.STREAMS.total()
    one, other = new(), new()
    first, second = hub.subscribe(one), hub.subscribe(one)
    with pytest.raises(Full) as caught:
        hub.subscribe(one)
    assert (caught.value.of_inbox, caught.value.most) == (True, 2)
    third = hub.subscribe(other)
    with pytest.raises(Full) as caught:
        hub.subscribe(other)
    assert (caught.value.of_inbox, caught.value.most) == (False, 3)
    assert telemetry.STREAMS.total() - before == hub.open == 3
    first.close()
    first.close()
    hub.subscribe(one).close()
    second.close()
    third.close()
    assert telemetry.STREAMS.total() - before == hub.open == 0


def test_waiting_gives_what_is_there_at_once(hub: Hub, capture: Capturing) -> None:
    endpoint = new()
    first, second, _ = capture(endpoint, 3)
    found = stream.wait(again(endpoint), first, 0)
    assert found
    assert found.id == second


def test_waiting_gives_what_comes(hub: Hub, capture: Capturing) -> None:
    endpoint = new()
    capture(endpoint, 2)
    read = again(endpoint)
    sent: list[UUID] = []
    threading.Timer(0.3, lambda: sent.extend(capture(endpoint, 2))).start()
    found = stream.wait(read, None, 30)
    assert found
    wait_for(lambda: sent)
    assert found.id == sent[0]


def test_waiting_ends_with_the_timeout_the_endpoint_the_client_or_the_process(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = new()
    assert stream.wait(endpoint, None, 0) is None
    assert stream.wait(endpoint, None, 0.2) is None
    with monkeypatch.context() as quickly:
        quickly.setattr(stream, "LOOK_SECONDS", 0.05)
        assert stream.wait(endpoint, None, 60, abandoned=lambda: True) is None
    threading.Timer(0.2, endpoints.expire, [endpoint]).start()
    with pytest.raises(Gone):
        stream.wait(endpoint, None, 60)
    assert hub.open == 0
    hub.end()
    with pytest.raises(Ending):
        stream.wait(new(), None, 60)


def test_a_bound_of_ids_is_right_to_the_microsecond(capture: Capturing) -> None:
    endpoint = new()
    ids = capture(endpoint, 50)
    newest = again(endpoint).newest_us
    assert last_id(newest - 1) < ids[-1] <= last_id(newest)
    assert [last_id(newest - 50 + n) < ids[n] <= last_id(newest - 49 + n) for n in range(50)] == [True] * 50


def test_a_form_of_an_event_is_kept_for_few_forms_only() -> None:
    entry = feed.Entry(CapturedRequest(id=uuid.uuid4()))
    for number in range(10):
        assert entry.rendered(lambda captured, number=number: b"%d" % number) == b"%d" % number  # type: ignore[misc]
    assert len(entry._rendered) <= 4
