"""The writer without its PostgreSQL for a moment: nobody waits beyond patience, nothing is stored twice or too late."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from instantlite import platformdb
from tests.service import wait_for
from tests.webhooks import ingesting, sending
from tests.webhooks.ingesting import configure, end_backend, held, locked
from tests.webhooks.sending import capture, stored
from webhooks import writer
from webhooks.ingest import Away, Ingest
from webhooks.models import Endpoint

SHORT = timedelta(milliseconds=200)


def bodies(endpoint: Endpoint) -> list[bytes]:
    return [bytes(one.body) for one in stored(endpoint.pk)]


@contextmanager
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No new connection can be made."""

    def away(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("connection refused")

    with monkeypatch.context() as patched:
        patched.setattr(platformdb, "connect", away)
        yield


class TestPatience:
    def test_who_has_given_up_before_its_turn_is_not_stored_later(
        self, ingest: Ingest, endpoint: Endpoint, settings: Settings
    ) -> None:
        with held(ingest, capture(endpoint.pk, b"taken")) as senders:
            senders.submit(capture(endpoint.pk, b"patient"))
            configure(settings, patience=SHORT)
            with pytest.raises(Away):
                ingest.submit(capture(endpoint.pk, b"gave up"))
        assert len(senders.stored()) == 2
        assert ingest.submit(capture(endpoint.pk, b"next")).outcome == "stored"
        assert bodies(endpoint) == [b"taken", b"patient", b"next"]

    def test_nor_who_has_given_up_while_there_was_no_postgresql(
        self, ingest: Ingest, endpoint: Endpoint, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        configure(settings, patience=SHORT)
        with nowhere(monkeypatch), pytest.raises(Away):
            ingest.submit(capture(endpoint.pk, b"gave up"))
        configure(settings, patience=timedelta(seconds=20))
        assert ingest.submit(capture(endpoint.pk, b"next")).outcome == "stored"
        assert bodies(endpoint) == [b"next"]

    def test_a_sender_is_told_so_in_the_one_shape(
        self, ingest: Ingest, endpoint: Endpoint, settings: Settings, api: APIClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        configure(settings, patience=SHORT)
        with nowhere(monkeypatch):
            answer = api.post(sending.path_of(endpoint))
        assert (answer.status_code, answer.json()["error"]) == (503, "capture_unavailable")
        assert int(answer["Retry-After"]) == answer.json()["retry_after_seconds"] > 0


class TestAway:
    def test_a_request_waits_for_a_postgresql_that_comes_back(
        self, ingest: Ingest, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        senders = ingesting.Senders(ingest)
        with nowhere(monkeypatch):
            senders.submit(capture(endpoint.pk, b"0"), in_order=False)
            wait_for(lambda: ingest._thread and ingest.depth == 0, what="the first to be taken")
            senders.submit(capture(endpoint.pk, b"1"))
        assert len(senders.stored()) == 2
        assert bodies(endpoint) == [b"0", b"1"]

    def test_a_backend_that_was_ended_while_idle_costs_no_request(self, ingest: Ingest, endpoint: Endpoint) -> None:
        for number in range(3):
            assert ingest.submit(capture(endpoint.pk, b"%d" % number)).outcome == "stored"
            end_backend()
        assert bodies(endpoint) == [b"0", b"1", b"2"]

    def test_a_backend_that_was_ended_in_a_statement_has_undone_it(self, ingest: Ingest, endpoint: Endpoint) -> None:
        with held(ingest, capture(endpoint.pk, b"0")) as senders:
            end_backend()
        assert len(senders.stored()) == 1
        assert bodies(endpoint) == [b"0"]

    def test_a_connection_that_was_lost_in_a_statement_is_not_repeated(
        self, ingest: Ingest, endpoint: Endpoint
    ) -> None:
        """The server never heard that we are gone, and goes on: written again, it would be there twice."""
        with held(ingest, capture(endpoint.pk, b"0")) as senders:
            connection = ingest._writer._connection
            assert connection
            with socket.socket(fileno=os.dup(connection.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)
            assert [type(one) for one in senders.outcomes()] == [Away]
        wait_for(lambda: bodies(endpoint), what="the lost statement to be committed")
        assert ingest.submit(capture(endpoint.pk, b"1")).outcome == "stored"
        assert bodies(endpoint) == [b"0", b"1"]

    def test_a_row_that_somebody_keeps_locked_is_waited_for_in_several_tries(
        self, ingest: Ingest, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(writer, "_SETTINGS", "-c lock_timeout=50ms")
        senders = ingesting.Senders(ingest)
        with locked(endpoint.pk):
            senders.submit(capture(endpoint.pk, b"0"), in_order=False)
            wait_for(lambda: caplog.text.count("canceling statement due to lock timeout") > 1, what="two tries")
        assert len(senders.stored()) == 1
        assert bodies(endpoint) == [b"0"]

    def test_a_server_that_vanishes_is_noticed(self, ingest: Ingest, endpoint: Endpoint) -> None:
        """The kernel asks whether it is there; by default after two hours."""
        ingest.submit(capture(endpoint.pk))
        connection = ingest._writer._connection
        assert connection
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            assert same.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            assert [same.getsockopt(socket.IPPROTO_TCP, one) for one in options] == [4, 2, 3, 10_000]


@pytest.mark.parametrize(("severity", "undone"), [("ERROR", True), ("FATAL", True), ("PANIC", False), (None, False)])
def test_only_what_the_server_says_it_undid_is_written_again(severity: str | None, undone: bool) -> None:
    """A PANIC may be about the commit itself; a connection that is lost says nothing."""

    class Lost(psycopg.OperationalError):
        @property
        def diag(self) -> Any:
            return SimpleNamespace(severity_nonlocalized=severity)

    assert writer._is_undone(Lost()) is undone


def test_a_process_with_thousands_of_descriptors_stores_too(ingest: Ingest, endpoint: Endpoint) -> None:
    """select() knows none above 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this account may open {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        for _ in range(2):  # the second asks whether the connection has news
            assert ingest.submit(capture(endpoint.pk)).outcome == "stored"
        connection = ingest._writer._connection
        assert connection
        assert connection.fileno() > 1023
    finally:
        for one in opened:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
