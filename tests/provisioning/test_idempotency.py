"""Idempotency-Key: the same client repeating it gets the same database and the same answer; nobody else does."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.models import F
from rest_framework.test import APIClient

from instantlite.resource import State
from provisioning.models import Database

pytestmark = pytest.mark.usefixtures("full_pool")


def new(key: str, body: dict[str, Any] | None = None, address: str = "192.0.2.1") -> Any:
    return APIClient().post("/db/new", body or {}, format="json", headers={"idempotency-key": key}, REMOTE_ADDR=address)


def claimed() -> int:
    return Database.objects.exclude(created_at=None).count()


def test_a_repeat_gets_the_same_answer() -> None:
    first = new("k1", {"name": "a"})
    second = new("k1", {"name": "a"})
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert claimed() == 1


def test_a_repeat_works_when_the_name_was_made_up() -> None:
    assert new("k1").content == new("k1").content


def test_a_different_body_is_a_mismatch() -> None:
    new("k1", {"name": "a"})
    answer = new("k1", {"name": "b"})
    assert answer.status_code == 409
    assert answer.json()["error"] == "idempotency_mismatch"
    assert claimed() == 1


@pytest.mark.parametrize("neighbour", ["192.0.2.2", "192.0.3.1", "2001:db8::1"])
def test_another_client_with_the_same_key_gets_its_own(neighbour: str) -> None:
    """Not even somebody in the same subnet: a guessed key must not open a neighbour's database."""
    assert new("k1").json()["id"] != new("k1", address=neighbour).json()["id"]


def test_a_forged_address_does_not_reach_anothers_database() -> None:
    first = new("k1").json()
    forged = APIClient().post(
        "/db/new",
        headers={"idempotency-key": "k1", "x-forwarded-for": "192.0.2.1", "forwarded": "for=192.0.2.1"},
        REMOTE_ADDR="198.51.100.9",
    )
    assert forged.json()["id"] != first["id"]


def test_racing_requests_with_one_key_make_one_database(full_pool: int) -> None:
    def one(_: int) -> Any:
        try:
            return new("race")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(one, range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert claimed() == 1


def test_a_key_is_free_again_after_a_day() -> None:
    first = new("k1").json()
    Database.objects.filter(pk=first["id"]).update(created_at=F("created_at") - timedelta(hours=24, seconds=1))
    assert new("k1").json()["id"] != first["id"]
    assert new("k1")["Idempotency-Replayed"] == "true"


def test_a_key_whose_database_was_deleted_says_gone() -> None:
    first = new("k1").json()
    APIClient().delete(f"/db/{first['token']}")
    answer = new("k1")
    assert answer.status_code == 410
    assert answer.json()["error"] == "gone"


def test_a_repeat_opens_what_a_killed_process_claimed_and_did_not_open() -> None:
    first = new("k1").json()
    role = first["connection_url"].rpartition("/")[2]
    from provisioning import connections, postgres  # noqa: PLC0415 — beside the one line that needs it

    postgres.close_role(connections.to("default"), role)
    again = new("k1").json()
    psycopg.connect(again["connection_url"]).close()
    assert Database.objects.get(pk=first["id"]).state == State.ACTIVE
