"""What a process that was killed left behind, and the step that takes it on from there."""

from datetime import timedelta

import psycopg
import pytest
from django.db.models import F
from django.db.models.functions import Now

from instantlite.resource import State, Wish
from provisioning import connections, pool, postgres, reaper, repair, roles
from provisioning.connections import ClusterConnections
from provisioning.models import Cluster, Database

WISH = Wish(fingerprint="f", idempotency_key="k", client="192.0.2.1")

pytestmark = pytest.mark.usefixtures("full_pool")


@pytest.fixture
def admin() -> ClusterConnections:
    return connections.to("default")


def handed_out() -> Database:
    return pool.hand_out(WISH).resource


def test_a_sound_house_needs_no_repair() -> None:
    handed_out()
    assert repair.repair() is None


def test_a_database_and_a_role_without_a_row_are_dropped(admin: ClusterConnections) -> None:
    prefix = Cluster.objects.get().prefix
    with admin.use() as connection:
        connection.execute(f"CREATE ROLE {prefix}stray")
        connection.execute(f"CREATE DATABASE {prefix}stray2")
    mended = repair.repair()
    assert mended == f"dropped stray {prefix}stray; dropped stray {prefix}stray2"
    assert repair.repair() is None


def test_another_installations_databases_are_left_alone(admin: ClusterConnections) -> None:
    with admin.use() as connection:
        connection.execute("CREATE ROLE il_other_abc")
        assert repair.repair() is None
        connection.execute("DROP ROLE il_other_abc")


def test_a_row_whose_database_was_lost_is_given_up(admin: ClusterConnections) -> None:
    database = handed_out()
    postgres.drop(admin, database.db_name)
    assert repair.repair() == f"gave up {database.db_name}"
    assert Database.objects.get(pk=database.pk).state == State.DROPPING


def test_a_tombstone_whose_database_came_back_is_dropped_again(admin: ClusterConnections) -> None:
    database = handed_out()
    Database.objects.filter(pk=database.pk).update(state=State.GONE, gone_at=Now())
    assert repair.repair() == f"dropped stray {database.db_name}"


def test_a_claim_that_was_never_opened_is_given_up_and_its_key_is_free(admin: ClusterConnections) -> None:
    database = handed_out()
    postgres.close_role(admin, database.db_name)
    assert repair.repair() is None  # it may be opened in this very moment
    Database.objects.filter(pk=database.pk).update(created_at=F("created_at") - timedelta(seconds=61))
    assert repair.repair() == f"gave up {database.db_name}"
    assert handed_out().pk != database.pk


def test_an_abandoned_build_is_reaped() -> None:
    database = Database.objects.start_build()
    assert database is not None
    assert reaper.reap_one(Database) is None
    Database.objects.filter(pk=database.pk).update(lease_until=Now())
    assert reaper.reap_one(Database) == f"dropped {database.db_name}"


def test_an_abandoned_drop_is_taken_up_again() -> None:
    database = handed_out()
    Database.objects.start_dropping(database.pk, State.ACTIVE)  # and then the process died
    assert reaper.reap_one(Database) is None
    Database.objects.filter(pk=database.pk).update(lease_until=Now())
    assert reaper.reap_one(Database) == f"dropped {database.db_name}"


def test_a_rotation_that_was_cut_off_is_finished() -> None:
    database = handed_out()
    old = database.connection_url
    Database.objects.rotate(database.pk)  # and then the process died
    assert roles.finish_one(Database) is None  # its process may be at it in this very moment
    Database.objects.update(role_stale_since=F("role_stale_since") - timedelta(seconds=11))
    assert roles.finish_one(Database) == f"brought role {database.db_name} up to date"
    assert roles.finish_one(Database) is None
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old)
    psycopg.connect(Database.objects.get(pk=database.pk).connection_url).close()


def test_a_drop_that_fails_is_tried_again_later_and_says_why(
    admin: ClusterConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = handed_out()
    Database.objects.filter(pk=database.pk).update(expires_at=Now())

    def fails(*_: object) -> None:
        raise psycopg.errors.DependentObjectsStillExist("some objects depend on it")

    with monkeypatch.context() as patch:
        patch.setattr(postgres, "drop", fails)
        assert reaper.reap_one(Database) == f"could not drop {database.db_name}"
    assert reaper.reap_one(Database) is None
    assert Database.objects.get(pk=database.pk).last_error == "some objects depend on it"
    Database.objects.filter(pk=database.pk).update(lease_until=Now())
    assert reaper.reap_one(Database) == f"dropped {database.db_name}"
