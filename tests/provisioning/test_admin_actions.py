"""Admin's actions: asked first, carried out by POST alone, logged, and every failure told as a message."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from instantlite.resource import State, Wish
from provisioning import connections, pool, roles
from provisioning.connections import ClusterDown
from provisioning.models import Cluster, Database

pytestmark = pytest.mark.usefixtures("platform")

LIST = "/admin/provisioning/database/"


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    return client


@pytest.fixture
def database() -> Database:
    return pool.hand_out(Wish(fingerprint="f" * 22, name="the one")).resource


def choose(operator: Client, act: str, *databases: Database, confirmed: bool) -> Any:
    """What the list's menu sends, before and after the confirmation."""
    form = {"action": f"{act}_selected", "_selected_action": [str(row.pk) for row in databases]}
    return operator.post(LIST, form | ({"confirmed": "yes"} if confirmed else {}), follow=True)


def said(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def logged(row: Database | Cluster) -> list[str]:
    return [entry.change_message for entry in LogEntry.objects.filter(object_id=str(row.pk))]


@pytest.mark.parametrize("act", ["expire", "extend", "rotate"])
def test_asking_changes_nothing(operator: Client, database: Database, act: str) -> None:
    before = Database.objects.values().get(pk=database.pk)
    for answer in (
        operator.get(f"{LIST}{database.pk}/{act}/"),
        choose(operator, act, database, confirmed=False),
    ):
        assert answer.status_code == 200
        assert "the one" in answer.content.decode()
    forged = {"action": f"{act}_selected", "_selected_action": str(database.pk), "confirmed": "yes"}
    operator.get(LIST, forged)
    operator.get(f"{LIST}{database.pk}/{act}/", forged)
    assert Database.objects.values().get(pk=database.pk) == before
    assert logged(database) == []


def test_extending_moves_the_expiry_by_a_day_and_is_logged(operator: Client, database: Database) -> None:
    answer = operator.post(f"{LIST}{database.pk}/extend/", follow=True)
    row = Database.objects.get(pk=database.pk)
    assert said(answer) == "Extended: the one."
    assert row.expires_at
    assert database.expires_at
    assert row.expires_at - database.expires_at == timedelta(hours=24)
    assert logged(row) == [f"Extend by 24 h: expires {row.expires_at:%Y-%m-%d %H:%M:%S} UTC"]


def test_rotating_gives_a_new_password_and_shows_none(operator: Client, database: Database) -> None:
    answer = choose(operator, "rotate", database, confirmed=True)
    row = Database.objects.get(pk=database.pk)
    assert row.password != database.password
    assert row.applied_generation == row.generation == 1
    assert said(answer) == "Password rotated: the one."
    assert row.password not in answer.content.decode()
    assert logged(row) == ["Rotate password: generation 1"]


def test_expiring_drops_each_selected_database_and_logs_each(operator: Client, database: Database) -> None:
    other = pool.hand_out(Wish(fingerprint="f" * 22, name="the other")).resource
    answer = choose(operator, "expire", database, other, confirmed=True)
    assert set(Database.objects.values_list("state", flat=True)) == {State.GONE}
    assert said(answer).startswith("Expired and dropped: the other, the one")
    assert len(logged(database)) == len(logged(other)) == 1


@pytest.mark.parametrize("act", ["expire", "extend", "rotate"])
def test_a_database_that_is_gone_is_left_alone(operator: Client, database: Database, act: str) -> None:
    roles.expire(database)
    answer = operator.post(f"{LIST}{database.pk}/{act}/", follow=True)
    assert answer.status_code == 200
    assert said(answer) == "Left alone, it is not active: the one."
    assert logged(database) == []


def test_the_longest_lifetime_is_said(operator: Client, database: Database) -> None:
    longest = settings.INSTANTLITE.limits.max_lifetime
    Database.objects.filter(pk=database.pk).update(created_at=timezone.now() - longest)
    answer = choose(operator, "extend", database, confirmed=True)
    assert "limits.max_lifetime" in said(answer)
    assert logged(database) == []


# An expiry has moved once it is recorded; the cluster follows.
@pytest.mark.parametrize(("act", "told"), [("extend", "Extended"), ("rotate", "Recorded"), ("expire", "Expired, and")])
def test_a_cluster_that_is_away_is_no_error(
    operator: Client, database: Database, monkeypatch: pytest.MonkeyPatch, act: str, told: str
) -> None:
    def away(cluster: str) -> None:
        raise ClusterDown("connection refused")

    with monkeypatch.context() as patched:
        patched.setattr(connections, "to", away)
        answer = operator.post(f"{LIST}{database.pk}/{act}/", follow=True)
    assert answer.status_code == 200
    assert said(answer).startswith(told)
    assert len(logged(database)) == 1


def test_more_than_a_hundred_at_once_are_refused(operator: Client) -> None:
    cluster = Cluster.objects.get()
    rows = Database.objects.bulk_create(
        Database(cluster=cluster, db_name=f"x{i}", state=State.GONE) for i in range(101)
    )
    answer = choose(operator, "expire", *rows, confirmed=True)
    assert said(answer) == "Choose 100 at most at a time."


def test_a_database_that_never_was_leads_back(operator: Client) -> None:
    answer = operator.get(f"{LIST}{uuid.uuid4()}/expire/", follow=True)
    assert said(answer) == "It is not there any more."


def test_a_post_without_the_csrf_token_is_refused(database: Database) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("operator"))
    assert strict.post(f"{LIST}{database.pk}/expire/").status_code == 403
    assert Database.objects.get(pk=database.pk).state == State.ACTIVE


def test_who_may_only_look_cannot_act(client: Client, database: Database) -> None:
    guest = User.objects.create_user("guest", is_staff=True)
    guest.user_permissions.add(Permission.objects.get(codename="view_database"))
    client.force_login(guest)
    assert "Expire now" not in client.get(f"{LIST}{database.pk}/change/").content.decode()
    assert client.post(f"{LIST}{database.pk}/expire/").status_code == 403
    choose(client, "expire", database, confirmed=True)
    assert Database.objects.get(pk=database.pk).state == State.ACTIVE


@pytest.mark.parametrize("send", [Client.get, Client.post])
def test_nobody_gets_in_without_signing_in(
    client: Client, database: Database, send: Callable[[Client, str], HttpResponse]
) -> None:
    answer = send(client, f"{LIST}{database.pk}/expire/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/login/")
    assert Database.objects.get(pk=database.pk).state == State.ACTIVE


def test_a_cluster_is_drained_and_accepts_again(operator: Client) -> None:
    cluster = Cluster.objects.get()
    page = f"/admin/provisioning/cluster/{cluster.pk}"
    assert operator.get(f"{page}/drain/").status_code == 200
    assert Cluster.objects.get().state == Cluster.State.ACCEPTING
    operator.post(f"{page}/drain/")
    assert Cluster.objects.get().state == Cluster.State.DRAINING
    assert "Draining already" in said(operator.post(f"{page}/drain/", follow=True))
    operator.post(f"{page}/accept/")
    assert Cluster.objects.get().state == Cluster.State.ACCEPTING
    assert logged(cluster) == [
        "Accept: Accepting databases",
        "Drain: Draining, and gets no more databases",
    ]
