"""The probes: what each says, and of whom."""

import pytest
from django.db import connection
from rest_framework.test import APIClient

from instantlite import health


@pytest.mark.parametrize("slash", ["", "/"])
def test_livez_and_healthz_ask_nobody(api: APIClient, slash: str) -> None:
    assert api.get(f"/livez{slash}").json() == {"ok": True}
    assert api.get(f"/healthz{slash}").json() == {"ok": True, "service": "instantlite"}


@pytest.mark.django_db
def test_readyz_is_200_when_the_database_answers_and_is_migrated(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_migrated", False)
    answer = api.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        200,
        {"ok": True, "degraded": False, "checks": {"database": "ok", "migrations": "ok"}},
    )


@pytest.mark.django_db
def test_readyz_says_that_migrations_are_missing(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrated", False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'provisioning'")
    answer = api.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["ok"] is False
    assert "not applied; run manage.py migrate" in answer.json()["checks"]["migrations"]
