"""What the holder of a token can do, and what is left when the time is up."""

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db.models import F
from django.db.models.functions import Now
from rest_framework.test import APIClient

from instantlite import keys
from instantlite.resource import State
from instantlite.uuid7 import uuid7
from provisioning import reaper
from provisioning.models import Database

pytestmark = pytest.mark.usefixtures("full_pool")


@pytest.fixture
def made(api: APIClient) -> dict[str, Any]:
    """A database in its owner's hands: the answer to POST /db/new."""
    answer: dict[str, Any] = api.post("/db/new", {"ttl": "1h"}, format="json").json()
    return answer


def overdue(made: dict[str, Any]) -> None:
    Database.objects.filter(pk=made["id"]).update(expires_at=Now() - timedelta(seconds=1))


def test_status_tells_size_sessions_and_the_url_once_more(api: APIClient, made: dict[str, Any]) -> None:
    with psycopg.connect(made["connection_url"]):
        status = api.get(f"/db/{made['token']}").json()
    assert status["status"] == "active"
    assert status["connections"] == 1
    assert status["size_bytes"] > 1_000_000
    assert status["created_at"] < status["expires_at"]
    assert {name: status[name] for name in made} == made


def test_status_as_text_is_the_url(api: APIClient, made: dict[str, Any]) -> None:
    answer = api.get(f"/db/{made['token']}/", headers={"accept": "text/plain"})
    assert answer.content.decode() == made["connection_url"] + "\n"


def test_delete_is_at_once(api: APIClient, made: dict[str, Any]) -> None:
    session = psycopg.connect(made["connection_url"], autocommit=True)
    answer = api.delete(f"/db/{made['token']}")
    assert answer.status_code == 200
    assert answer.json() == {"ok": True, "id": made["id"], "status": "deleted"}
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(made["connection_url"])
    assert Database.objects.get(pk=made["id"]).state == State.GONE
    session.close()


def test_rotate_ends_the_old_password_and_its_sessions(api: APIClient, made: dict[str, Any]) -> None:
    session = psycopg.connect(made["connection_url"], autocommit=True)
    rotated = api.post(f"/db/{made['token']}/rotate").json()
    assert rotated["token"] == made["token"]
    assert rotated["connection_url"] != made["connection_url"]
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(made["connection_url"])
    psycopg.connect(rotated["connection_url"]).close()
    assert api.get(f"/db/{made['token']}").json()["connection_url"] == rotated["connection_url"]
    session.close()


def test_rotate_takes_a_password_back_that_the_tenant_changed(api: APIClient, made: dict[str, Any]) -> None:
    with psycopg.connect(made["connection_url"], autocommit=True) as tenant:
        tenant.execute("ALTER ROLE CURRENT_USER PASSWORD 'mine'")
    psycopg.connect(api.post(f"/db/{made['token']}/rotate").json()["connection_url"]).close()


def test_extend_moves_the_expiry_on_the_cluster_too(api: APIClient, made: dict[str, Any]) -> None:
    extended = api.post(f"/db/{made['token']}/extend", {"ttl": "2h"}, format="json").json()
    moved = datetime.fromisoformat(extended["expires_at"]) - datetime.fromisoformat(made["expires_at"])
    assert moved == timedelta(hours=2)
    with psycopg.connect(made["connection_url"]) as tenant:
        row = tenant.execute("SELECT rolvaliduntil FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row is not None
    assert f"{row[0]:%Y-%m-%dT%H:%M:%S}" == extended["expires_at"].rstrip("Z")


def test_extend_never_goes_past_the_longest_lifetime(api: APIClient, made: dict[str, Any]) -> None:
    for _ in range(3):
        answer = api.post(f"/db/{made['token']}/extend", {"ttl": "24h"}, format="json")
        assert answer.status_code == 200
    status = api.get(f"/db/{made['token']}").json()
    lifetime = datetime.fromisoformat(status["expires_at"]) - datetime.fromisoformat(status["created_at"])
    assert lifetime == timedelta(hours=72)
    refused = api.post(f"/db/{made['token']}/extend", {"ttl": "60s"}, format="json")
    assert (refused.status_code, refused.json()["error"]) == (409, "lifetime_reached")


@pytest.mark.parametrize("body", [{}, {"ttl": None}, {"ttl": "1s"}, {"ttl": "2h", "name": "x"}])
def test_extend_needs_a_good_ttl(api: APIClient, made: dict[str, Any], body: dict[str, Any]) -> None:
    answer = api.post(f"/db/{made['token']}/extend", body, format="json")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def calls(api: APIClient, token: str) -> list[Any]:
    return [
        api.get(f"/db/{token}"),
        api.post(f"/db/{token}/rotate"),
        api.post(f"/db/{token}/extend", {"ttl": "1h"}, format="json"),
        api.delete(f"/db/{token}"),
    ]


def token_with_another_mac(token: str) -> str:
    return token[:-1] + ("A" if token[-1] != "A" else "B")


def test_a_token_that_never_was_is_not_found(api: APIClient, made: dict[str, Any]) -> None:
    forged = keys.token_for("cache", keys.resource_id_of("db", made["token"]) or uuid7())
    for token in ("x", "new2", "db_" + "A" * 43, token_with_another_mac(made["token"]), forged, made["id"], "%00", "é"):
        for answer in calls(api, token):
            assert (answer.status_code, answer.json()["error"]) == (404, "not_found"), token


def test_a_pooled_database_has_no_token_yet(api: APIClient) -> None:
    waiting = Database.objects.filter(state=State.READY).first()
    assert waiting is not None
    assert {answer.status_code for answer in calls(api, waiting.token)} == {404}


def test_after_the_expiry_everything_is_gone(api: APIClient, made: dict[str, Any]) -> None:
    overdue(made)
    for answer in calls(api, made["token"]):
        assert (answer.status_code, answer.json()["error"]) == (410, "gone")


def test_the_reaper_takes_what_is_overdue_and_leaves_a_tombstone(api: APIClient, made: dict[str, Any]) -> None:
    kept = api.post("/db/new").json()
    overdue(made)
    done = reaper.reap_one(Database)
    assert done is not None
    assert done.startswith("dropped")
    assert reaper.reap_one(Database) is None
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(made["connection_url"])
    psycopg.connect(kept["connection_url"]).close()
    assert Database.objects.get(pk=made["id"]).state == State.GONE
    assert {answer.status_code for answer in calls(api, made["token"])} == {410}


def test_the_reaper_ends_sessions_that_hold_on(api: APIClient, made: dict[str, Any]) -> None:
    with psycopg.connect(made["connection_url"]) as holding:
        holding.execute("CREATE TABLE t (); BEGIN; LOCK TABLE t")
        overdue(made)
        assert (reaper.reap_one(Database) or "").startswith("dropped")
        with pytest.raises(psycopg.OperationalError):
            holding.execute("SELECT 1")
        holding.close()


def test_the_cluster_itself_refuses_a_login_after_the_expiry(api: APIClient) -> None:
    """VALID UNTIL on the role: it holds while no process of ours lives. (test_faults.py waits for a real expiry.)"""
    made = api.post("/db/new", {"ttl": 60}, format="json").json()
    row = Database.objects.get(pk=made["id"])
    with psycopg.connect(made["connection_url"]) as tenant:
        until = tenant.execute("SELECT rolvaliduntil FROM pg_roles WHERE rolname = current_user").fetchone()
    assert until == (row.expires_at,)


def test_old_tombstones_go(made: dict[str, Any]) -> None:
    Database.objects.filter(pk=made["id"]).update(expires_at=Now() - timedelta(seconds=1))
    reaper.reap_one(Database)
    assert reaper.purge_one_batch(Database) is None
    Database.objects.filter(pk=made["id"]).update(gone_at=F("gone_at") - timedelta(days=30, seconds=1))
    assert reaper.purge_one_batch(Database) == "deleted 1 tombstones"
