"""The dashboard: right numbers, few statements, and none at all within five seconds of the last look."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instantlite.resource import State, Wish
from provisioning import pool
from provisioning.dashboard import look
from provisioning.models import Cluster, Database

pytestmark = pytest.mark.usefixtures("platform")


@pytest.fixture(autouse=True)
def _nothing_cached(platform: None) -> None:
    cache.clear()


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    return client


def row(name: str, **values: object) -> Database:
    return Database.objects.create(cluster=Cluster.objects.get(), db_name=name, **values)


def test_alive_and_pooled_databases_are_counted_by_cluster() -> None:
    pool.build_one()
    pool.hand_out(Wish(fingerprint="f"))
    pool.build_one()
    pool.build_one()
    row("gone", state=State.GONE)
    now = look()
    assert (now.active, now.ready, now.pool_size) == (1, 2, settings.INSTANTLITE.pool.size)
    (cluster,) = now.clusters
    assert (cluster.active, cluster.ready, cluster.held) == (1, 2, 3)


def test_created_and_reaped_are_counted_by_the_hour() -> None:
    this_hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    row("a", state=State.GONE, created_at=this_hour - timedelta(hours=2), gone_at=this_hour)
    row("b", state=State.GONE, created_at=this_hour - timedelta(minutes=61), gone_at=this_hour)
    row("c", state=State.GONE, created_at=this_hour - timedelta(hours=24), gone_at=this_hour - timedelta(hours=23))
    now = look()
    assert len(now.hours) == len(now.created) == len(now.reaped) == 24
    assert now.hours[-1] == this_hour
    assert now.created[-3:] == (2, 0, 0)
    assert sum(now.created) == 2
    assert (now.reaped[0], now.reaped[-1], sum(now.reaped)) == (1, 2, 3)


def test_the_oldest_overdue_database_is_the_reap_lag() -> None:
    now = timezone.now()
    row("late", state=State.ACTIVE, expires_at=now - timedelta(minutes=7))
    row("later", state=State.ACTIVE, expires_at=now - timedelta(minutes=1))
    row("alive", state=State.ACTIVE, expires_at=now + timedelta(minutes=1))
    seen = look()
    assert (seen.overdue, seen.lag) == (2, "7 min")


def test_a_cluster_that_is_down_is_named_with_its_reason() -> None:
    Cluster.objects.mark_down(Cluster.objects.get().name, "connection refused")
    assert [cluster.down for cluster in look().down] == ["connection refused"]


def test_it_takes_five_statements_whatever_there_is() -> None:
    for number in range(20):
        cluster = Cluster.objects.create(name=f"c{number}")
        Database.objects.create(cluster=cluster, db_name=f"d{number}", state=State.ACTIVE, created_at=timezone.now())
    with CaptureQueriesContext(connection) as seen:
        look()
    assert len(seen) == 5


def test_a_second_look_within_seconds_asks_nothing_of_the_databases(operator: Client) -> None:
    operator.get("/admin/")
    with CaptureQueriesContext(connection) as seen:
        answer = operator.get("/admin/")
    assert 'id="hourly"' in answer.content.decode()
    assert [query["sql"] for query in seen if "provisioning_" in query["sql"]] == []


def test_who_may_not_see_databases_sees_no_numbers(client: Client) -> None:
    client.force_login(User.objects.create_user("guest", is_staff=True))
    answer = client.get("/admin/")
    assert answer.status_code == 200
    assert 'id="dashboard"' not in answer.content.decode()
