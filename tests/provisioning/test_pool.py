"""The pool and its placement: concurrency, several clusters, clusters that are away, full or drained."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.models.functions import Now
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from instantlite.resource import State, Wish
from provisioning import connections, pool, postgres, reaper
from provisioning.models import Cluster, Database
from tests.provisioning.conftest import Cluster as Server

WISH = Wish(fingerprint="f")


def in_threads(count: int, work: Any) -> list[Any]:
    """Runs `work` so many times at once; gives the results."""

    def one(_: int) -> Any:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


def refuse(*_: Any, **__: Any) -> Any:
    raise connections.ClusterDown("connection refused")


@pytest.mark.usefixtures("platform")
class TestOneCluster:
    def test_refill_stops_when_the_pool_is_full(self, settings: Settings) -> None:
        size = settings.INSTANTLITE.pool.size
        done = []
        while line := pool.refill_one():
            done.append(line)
        assert len(done) == size == Database.objects.pooled().count()

    def test_many_refills_at_once_do_not_overfill(self, settings: Settings) -> None:
        in_threads(8, pool.refill_one)
        assert Database.objects.filter(state=State.READY).count() == settings.INSTANTLITE.pool.size

    def test_claims_at_once_get_different_databases_and_build_what_is_missing(self, full_pool: int) -> None:
        handed_out = in_threads(8, lambda: pool.hand_out(WISH).resource)
        assert len({database.pk for database in handed_out}) == 8
        for database in handed_out:
            psycopg.connect(database.connection_url).close()

    def test_a_claim_notifies_the_housekeepers(self, full_pool: int) -> None:
        from instantlite import housekeeping, platformdb  # noqa: PLC0415 — beside the one test that needs them

        with platformdb.connect() as listener:
            listener.execute(f"LISTEN {housekeeping.WAKE_CHANNEL}")
            pool.hand_out(WISH)
            assert len(list(listener.notifies(timeout=2, stop_after=1))) == 1

    def test_a_full_cluster_makes_no_more(self, full_pool: int, settings: Settings, api: APIClient) -> None:
        Cluster.objects.update(max_databases=full_pool)
        settings.CLUSTERS = {}  # so that syncing does not put the configured number back
        settings.CLUSTERS = _with_capacity(full_pool)
        for _ in range(full_pool):
            assert api.post("/db/new").status_code == 201
        answer = api.post("/db/new")
        assert (answer.status_code, answer.json()["error"]) == (503, "provisioning_unavailable")
        assert answer.json()["retry_after_seconds"] == 60 == int(answer["Retry-After"])
        assert pool.refill_one() is None

    def test_a_cluster_that_is_away_is_a_503_that_says_when_to_try_again(
        self, api: APIClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres, "build", refuse)
        answer = api.post("/db/new")
        assert (answer.status_code, answer.json()["error"]) == (503, "provisioning_unavailable")
        assert answer.json()["retry_after_seconds"] == 5
        assert Cluster.objects.get().down_reason == "connection refused"
        assert pool.refill_one() is None

    def test_a_lack_of_rights_is_a_503_too(self, api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
        def lacks(*_: Any) -> None:
            raise psycopg.errors.InsufficientPrivilege("permission denied to create database")

        monkeypatch.setattr(postgres, "build", lacks)
        answer = api.post("/db/new")
        assert (answer.status_code, answer.json()["error"]) == (503, "provisioning_unavailable")
        assert "manage.py checkcluster" in Cluster.objects.get().down_reason
        assert Database.objects.get().state == State.DROPPING

    def test_what_a_failed_build_left_is_taken_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        build = postgres.build

        def breaks_off(*arguments: Any) -> None:
            build(*arguments)
            refuse()

        monkeypatch.setattr(postgres, "build", breaks_off)
        assert pool.build_one() is None
        Cluster.objects.update(down_until=None)
        Database.objects.update(lease_until=Now())
        assert (reaper.reap_one(Database) or "").startswith("dropped")
        row = Cluster.objects.get()
        held = postgres.inventory(connections.to(row.name), row.prefix)
        assert {name for name in held.databases | held.roles if "template" not in name} == set()

    def test_a_database_that_cannot_be_opened_goes_back_to_the_pool(
        self, full_pool: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres, "open_role", refuse)
        monkeypatch.setattr(postgres, "build", refuse)
        with pytest.raises(pool.Unavailable):
            pool.hand_out(WISH)
        assert Database.objects.filter(state=State.READY, created_at=None, fingerprint="").count() == full_pool

    def test_a_database_that_somebody_dropped_is_not_handed_out(self, full_pool: int) -> None:
        first = Database.objects.filter(state=State.READY).order_by("built_at").first()
        assert first is not None
        postgres.drop(connections.to(first.cluster_id), first.db_name)
        given = pool.hand_out(WISH).resource
        assert given.pk != first.pk
        psycopg.connect(given.connection_url).close()
        assert Database.objects.get(pk=first.pk).state == State.DROPPING

    def test_a_build_slower_than_its_lease_leaves_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        build = postgres.build

        def overtaken(*arguments: Any) -> None:
            build(*arguments)
            Database.objects.update(lease_until=Now())
            assert reaper.reap_one(Database)

        monkeypatch.setattr(postgres, "build", overtaken)
        assert pool.build_one() is None
        assert Database.objects.get().state == State.GONE

    def test_a_changed_recipe_is_not_handed_out(self, full_pool: int) -> None:
        Database.objects.filter(state=State.READY).update(recipe="older")
        assert Database.objects.claim(WISH) is None


def _with_capacity(most: int) -> dict[str, Any]:
    from dataclasses import replace  # noqa: PLC0415 — one use

    from django.conf import settings  # noqa: PLC0415 — the original, not the fixture's copy

    configured = settings.INSTANTLITE.clusters()
    return {cluster.name: replace(cluster, max_databases=most) for cluster in configured}


class TestTwoClusters:
    def test_the_least_loaded_one_is_chosen(self, two_clusters: list[Server]) -> None:
        built = [pool.build_one() for _ in range(4)]
        assert sorted(database.cluster_id for database in built if database) == ["v16", "v16", "v18", "v18"]

    def test_one_that_is_away_is_skipped(self, two_clusters: list[Server], settings: Settings) -> None:
        from dataclasses import replace  # noqa: PLC0415 — one use

        away = replace(two_clusters[0].config, url="postgresql://x@127.0.0.1:1/postgres")
        settings.CLUSTERS = {**settings.CLUSTERS, away.name: away}
        for _ in range(3):
            assert pool.hand_out(WISH).resource.cluster_id == "v18"
        assert Cluster.objects.get(name="v16").down_until is not None
        settings.CLUSTERS = {one.config.name: one.config for one in two_clusters}

    def test_a_draining_one_gets_none_and_loses_its_pool(self, two_clusters: list[Server]) -> None:
        for _ in range(2):
            pool.build_one()
        Cluster.objects.filter(name="v16").update(state=Cluster.State.DRAINING)
        assert [pool.hand_out(WISH).resource.cluster_id for _ in range(2)] == ["v18", "v18"]
        assert (reaper.reap_one(Database) or "").startswith("dropped")
        assert not Database.objects.filter(cluster="v16", state=State.READY).exists()

    def test_one_that_is_away_delays_only_its_own_reaping(self, two_clusters: list[Server], settings: Settings) -> None:
        given = [pool.hand_out(WISH).resource for _ in range(2)]
        assert {database.cluster_id for database in given} == {"v16", "v18"}
        Database.objects.update(expires_at=Now())
        Cluster.objects.mark_down("v16", "away")
        while reaper.reap_one(Database):
            pass
        assert Database.objects.get(cluster="v18").state == State.GONE
        assert Database.objects.get(cluster="v16").state == State.ACTIVE
        Cluster.objects.update(down_until=None)
        assert reaper.reap_one(Database)
        assert Database.objects.get(cluster="v16").state == State.GONE
