"""What tests of the queue and its writer do: submit from many threads, and hold the writer up meanwhile."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from pytest_django.fixtures import Settings

from instantlite import platformdb
from tests.service import wait_for
from webhooks.capture import Capture
from webhooks.ingest import Ingest
from webhooks.writer import Verdict

Outcome = Verdict | Exception

_WAITS = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'instantlite ingest' AND wait_event_type = 'Lock'"
_END = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE application_name = 'instantlite ingest' AND datname = current_database()
"""


def configure(settings: Settings, **options: Any) -> None:
    """Sets options of the section `webhooks`, for one test."""
    config = settings.INSTANTLITE
    settings.INSTANTLITE = replace(config, webhooks=replace(config.webhooks, **options))


@dataclass
class Senders:
    """Threads that each submit a request; what came of each, in the order in which they queued up."""

    ingest: Ingest
    threads: list[threading.Thread] = field(default_factory=list)
    _outcomes: dict[int, Outcome] = field(default_factory=dict)

    def submit(self, *captures: Capture, in_order: bool = True) -> None:
        """Has them queued, one after the other unless told that the order is of no matter."""
        for one in captures:
            before = self.ingest.depth
            thread = threading.Thread(target=self._submit, args=(len(self.threads), one))
            self.threads.append(thread)
            thread.start()
            if in_order:
                wait_for(lambda depth=before: self.ingest.depth > depth, what="a request to be queued")

    def _submit(self, place: int, one: Capture) -> None:
        try:
            self._outcomes[place] = self.ingest.submit(one)
        except Exception as error:  # noqa: BLE001 — whatever it is, the test looks at it
            self._outcomes[place] = error

    def outcomes(self) -> list[Outcome]:
        """Waits for all of them."""
        for thread in self.threads:
            thread.join()
        return [self._outcomes[place] for place in range(len(self.threads))]

    def stored(self) -> list[UUID]:
        """The ids of all, which must have been stored."""
        outcomes = self.outcomes()
        assert [getattr(one, "outcome", one) for one in outcomes] == ["stored"] * len(outcomes)
        return [one.request_id for one in outcomes if isinstance(one, Verdict)]


def submit_at_once(ingest: Ingest, captures: Sequence[Capture]) -> list[Outcome]:
    """What came of them, each submitted by a thread of its own."""
    senders = Senders(ingest)
    senders.submit(*captures, in_order=False)
    return senders.outcomes()


@contextmanager
def locked(endpoint_id: UUID) -> Iterator[None]:
    """Somebody else holds the endpoint's row."""
    with platformdb.connect() as other, other.transaction():
        other.execute("SELECT 1 FROM webhooks_endpoint WHERE id = %s FOR UPDATE", [endpoint_id])
        yield


@contextmanager
def held(ingest: Ingest, capture: Capture) -> Iterator[Senders]:
    """The writer is in the middle of a statement, which stores `capture` and goes on at the end of the block."""
    senders = Senders(ingest)
    with locked(capture.endpoint_id):
        senders.submit(capture, in_order=False)
        wait_for(waits, what="the writer to wait for the endpoint's row")
        yield senders


def waits() -> bool:
    """Whether a writer waits for a lock."""
    return bool(_ask(_WAITS))


def end_backend() -> None:
    """pg_terminate_backend() for the writer's, be it idle or in a statement; returns when it is gone."""
    assert _ask(_END) == [(True,)]


def _ask(question: str) -> list[Any]:
    with platformdb.connect() as other:
        return other.execute(question.encode()).fetchall()
