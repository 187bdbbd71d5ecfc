"""POST /db/new: one call, one answer, a database that works."""

import re
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy
from django.db import connection
from rest_framework.test import APIClient

from instantlite.resource import State
from provisioning import pool
from provisioning.models import Database

pytestmark = pytest.mark.usefixtures("full_pool")


def test_the_answer_is_complete(api: APIClient) -> None:
    answer = api.post("/db/new", {"name": "orders", "ttl": "2h"}, format="json")
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {
        *("ok", "id", "token", "name", "connection_url", "tier", "limits", "expires_at", "note", "status_url")
    }
    assert body["ok"] is True
    assert body["name"] == "orders"
    assert body["tier"] == "anonymous"
    assert body["limits"] == {"storage_mb": 100, "connections": 5, "expires_in": 7200}
    assert body["status_url"] == f"http://localhost:8000/db/{body['token']}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["expires_at"])
    lasts = datetime.fromisoformat(body["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=59) < lasts <= timedelta(hours=2)
    assert answer["Cache-Control"] == "no-store"


def test_the_url_works_in_psycopg_with_pgvector_in_place(api: APIClient) -> None:
    url = api.post("/db/new").json()["connection_url"]
    assert url.startswith("postgresql://")
    with psycopg.connect(url) as tenant:
        tenant.execute("CREATE TABLE items (id serial, embedding vector(3))")
        tenant.execute("INSERT INTO items (embedding) VALUES ('[1,2,3]')")
        row = tenant.execute("SELECT embedding <-> '[1,2,4]' FROM items").fetchone()
    assert row == (1.0,)


def test_the_url_works_in_sqlalchemy(api: APIClient) -> None:
    url = api.post("/db/new").json()["connection_url"]
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as tenant:
        assert tenant.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
    engine.dispose()
    # As it stands, SQLAlchemy takes the URL for its default driver: it must at least parse it.
    assert sqlalchemy.make_url(url).get_backend_name() == "postgresql"


def test_the_url_works_in_psql(api: APIClient) -> None:
    url = api.post("/db/new").json()["connection_url"]
    run = subprocess.run(["psql", url, "-Atc", "SELECT 6 * 7"], capture_output=True, text=True, check=True)
    assert run.stdout == "42\n"


def test_plain_text_is_the_url_and_a_newline(api: APIClient) -> None:
    answer = api.post("/db/new", headers={"accept": "text/plain"})
    assert answer.status_code == 201
    assert answer["Content-Type"].startswith("text/plain")
    assert re.fullmatch(rb"postgresql://[^\s]+\n", answer.content)


def test_format_env_is_a_line_for_an_env_file(api: APIClient) -> None:
    answer = api.post("/db/new?format=env")
    assert re.fullmatch(rb"DATABASE_URL=postgresql://[^\s]+\n", answer.content)


@pytest.mark.parametrize("path", ["/db/new", "/db/new/"])
def test_a_trailing_slash_changes_nothing(api: APIClient, path: str) -> None:
    assert api.post(path).status_code == 201


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '{"name": "crème 🍮", "ttl": 90}'),
        ("application/json", ' {"ttl": "90s", "name": "crème 🍮"} '),
        ("application/x-www-form-urlencoded", "name=cr%C3%A8me+%F0%9F%8D%AE&ttl=90"),
        ("application/x-www-form-urlencoded", '{"name": "crème 🍮", "ttl": "90s"}'),
        (
            "multipart/form-data; boundary=X",
            '--X\r\nContent-Disposition: form-data; name="name"\r\n\r\ncrème 🍮\r\n'
            '--X\r\nContent-Disposition: form-data; name="ttl"\r\n\r\n90\r\n--X--\r\n',
        ),
    ],
)
def test_json_and_forms_say_the_same(api: Any, content_type: str, body: str) -> None:
    answer = api.generic("POST", "/db/new", body.encode(), content_type=content_type)
    assert answer.status_code == 201, answer.content
    assert answer.json()["name"] == "crème 🍮"
    assert answer.json()["limits"]["expires_in"] == 90


def test_a_name_is_made_up_where_none_is_given(api: APIClient) -> None:
    body = api.post("/db/new", {"name": None, "ttl": None}, format="json").json()
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d{3}", body["name"])


def test_nobody_gets_what_another_call_got(api: APIClient) -> None:
    first = api.post("/db/new", {"name": "same"}, format="json").json()
    second = api.post("/db/new", {"name": "same"}, format="json").json()
    assert first["id"] != second["id"]
    assert first["token"] != second["token"]
    assert first["connection_url"] != second["connection_url"]


def test_a_claim_takes_three_statements_at_most(api: APIClient, statements: list[str]) -> None:
    assert api.post("/db/new").status_code == 201
    # The limits, all in one; the claim; and on the cluster, the role.
    charge, claim, role = statements
    assert charge.startswith("SELECT ratelimit_charge(")
    assert "UPDATE provisioning_database" in claim
    assert "ALTER ROLE" in role


def test_the_limits_hold_for_the_tenant(api: APIClient) -> None:
    url = api.post("/db/new").json()["connection_url"]
    with psycopg.connect(url) as tenant:
        assert tenant.execute("SHOW statement_timeout").fetchone() == ("30s",)
    held = [psycopg.connect(url) for _ in range(5)]
    with pytest.raises(psycopg.OperationalError, match="too many connections"):
        psycopg.connect(url)
    for tenant in held:
        tenant.close()


def test_an_empty_pool_builds_there_and_then(api: APIClient) -> None:
    Database.objects.filter(state=State.READY).update(state=State.DROPPING)
    url = api.post("/db/new").json()["connection_url"]
    with psycopg.connect(url) as tenant:
        tenant.execute("CREATE TABLE t ()")


def test_the_tables_hold_nothing_that_opens_a_database(api: APIClient) -> None:
    """Decision 3 of the design: a dump of our tables opens nobody's database, not even through the API."""
    key = "a-key-of-the-caller"
    body = api.post("/db/new", headers={"idempotency-key": key}).json()
    secrets = [body["token"], body["connection_url"], body["connection_url"].split(":")[2].split("@")[0], key]
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(d)::text FROM provisioning_database d")
        dump = str(cursor.fetchall())
    assert body["id"] in dump
    assert [secret for secret in secrets if secret in dump] == []


def test_a_pooled_role_cannot_log_in_before_it_is_claimed() -> None:
    waiting = Database.objects.filter(state=State.READY).first()
    assert waiting is not None
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(waiting.connection_url)
    assert pool.refill_one() is None
