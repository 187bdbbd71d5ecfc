"""Faults with real processes: what is killed, stopped or left alone, and what users and clusters notice of it."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import requests

from tests.folders import open_folder
from tests.provisioning.leases import end_leases
from tests.service import PROJECT, Service, under_load, wait_for

# Leases and intervals of real seconds, on machines whose disks are slow at times.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module", autouse=True)
def abandoned() -> Iterator[dict[str, Any]]:
    """A database that was made for a minute, and whose service was then killed for good. PostgreSQL lives on.

    Made before the other tests of this file, so that its minute is over when the last one asks.
    """
    with open_folder() as folder:
        service = Service(folder).start()
        made: dict[str, Any] = service.post("/db/new", json={"ttl": 60}).json()
        psycopg.connect(made["connection_url"]).close()
        service.kill()
        yield made
        service.close()


def rows(service: Service, question: str) -> list[Any]:
    with psycopg.connect(service.urls.platform) as platform:
        return platform.execute(question.encode()).fetchall()


def on_cluster(service: Service) -> tuple[set[str], set[str]]:
    """The databases and the roles of ours that the cluster holds, the template aside."""
    with psycopg.connect(service.urls.customer) as admin:
        databases = admin.execute("SELECT datname FROM pg_database WHERE datname ~ '^il_.*' AND datname !~ 'template'")
        names = {str(row[0]) for row in databases.fetchall()}
        roles = admin.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^il_'").fetchall()
        return names, {str(row[0]) for row in roles}


def is_whole(service: Service) -> bool:
    """Every database and role on the cluster is a living row's, and every finished row has both."""
    finished = {row[0] for row in rows(service, "SELECT db_name FROM provisioning_database WHERE state <> 'gone'")}
    between = rows(service, "SELECT 1 FROM provisioning_database WHERE state IN ('building', 'dropping')")
    databases, roles = on_cluster(service)
    return not between and databases == finished == roles


def answers_during(service: Service, work: Callable[[], None], callers: int = 4) -> list[requests.Response]:
    """Posts from several threads while `work` runs; gives the answers that came."""
    answers: list[requests.Response] = []

    def call() -> None:
        try:
            answers.append(service.post("/db/new"))
        except requests.RequestException:  # nobody listens: the caller was told nothing
            time.sleep(0.02)

    under_load(work, *[call] * callers)
    return answers


def made_one(service: Service) -> requests.Response | None:
    """The answer to one more call, if it brought a database."""
    answer = service.post("/db/new")
    return answer if answer.status_code == 201 else None


def test_sigkill_in_the_middle_of_builds_loses_and_leaks_nothing(own_service: Service) -> None:
    own_service.settings |= {"POOL_SIZE": "6"}
    config = own_service.folder / "config.yaml"
    config.write_text("pool: {build_lease: 10s}\nhousekeeping: {interval: 1s, repair_interval: 10s}\n")
    own_service.settings["CONFIG_PATH"] = str(config)

    first: list[requests.Response] = []

    def kill_and_start() -> None:
        for round_ in range(4):
            own_service.start()
            first.append(wait_for(lambda: made_one(own_service), what="a database while four others ask for one"))
            time.sleep(0.07 * round_)  # another moment of the builds each time
            own_service.kill()

    answers = answers_during(own_service, kill_and_start) + first
    acknowledged = [answer.json() for answer in answers if answer.status_code == 201]
    assert len(acknowledged) >= 4
    assert Counter(answer.status_code for answer in answers).keys() <= {201, 503}

    end_leases(own_service, "provisioning_database")
    own_service.start()
    assert wait_for(lambda: is_whole(own_service), seconds=120, what="the house to be whole again")
    for made in acknowledged:
        psycopg.connect(made["connection_url"]).close()
        assert own_service.get(f"/db/{made['token']}").status_code == 200


def test_postgresql_stopped_and_started_under_load_is_503_and_recovers(own_service: Service) -> None:
    own_service.start()

    def stop_and_start() -> None:
        wait_for(lambda: own_service.post("/db/new").status_code == 201, what="a first database")
        own_service.postgres.stop()
        away = [own_service.post("/db/new") for _ in range(3)]
        assert {answer.status_code for answer in away} == {503}
        for answer in away:
            assert answer.json()["error"] == "database_unavailable"
            assert int(answer.headers["Retry-After"]) == answer.json()["retry_after_seconds"] > 0
        ready = own_service.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["database"] == "does not answer"
        assert own_service.get("/livez").status_code == 200
        own_service.postgres.start()
        wait_for(lambda: own_service.post("/db/new").status_code == 201, what="databases after the restart")

    answers = answers_during(own_service, stop_and_start, callers=2)
    assert Counter(answer.status_code for answer in answers).keys() == {201, 503}
    assert own_service.get("/readyz").status_code == 200
    assert all(answer.json()["ok"] is (answer.status_code == 201) for answer in answers)
    for answer in answers:
        if answer.status_code == 201:
            psycopg.connect(answer.json()["connection_url"]).close()


def test_postgresql_killed_and_started_keeps_what_was_acknowledged(durable_service: Service) -> None:
    durable_service.start()

    first: list[requests.Response] = []

    def kill_soon() -> None:
        first.append(wait_for(lambda: made_one(durable_service), what="a first database"))
        time.sleep(0.3)
        durable_service.postgres.kill()

    answers = answers_during(durable_service, kill_soon, callers=2) + first
    durable_service.postgres.start()
    acknowledged = [answer.json() for answer in answers if answer.status_code == 201]
    assert acknowledged
    wait_for(lambda: durable_service.get("/readyz").status_code == 200, what="readiness")
    for made in acknowledged:
        psycopg.connect(made["connection_url"]).close()
        # The first answers may still be 503, while each worker finds its connections again.
        status = f"/db/{made['token']}"
        wait_for(lambda path=status: durable_service.get(path).status_code == 200, what=status)


def test_two_housekeepers_at_once_fill_the_pool_exactly_and_reap_everything(own_service: Service) -> None:
    own_service.settings |= {"HOUSEKEEPING_MODE": "worker", "POOL_SIZE": "5"}
    own_service.start()
    command = [sys.executable, "manage.py", "housekeeping"]
    log = (own_service.folder / "housekeeping.log").open("wb")
    keepers = [subprocess.Popen(command, cwd=PROJECT, env=own_service.environ, stderr=log) for _ in range(2)]
    ready = "SELECT count(*) FROM provisioning_database WHERE state = 'ready'"
    try:
        wait_for(lambda: rows(own_service, ready) == [(5,)], what="a full pool")
        made = [own_service.post("/db/new").json() for _ in range(5)]
        wait_for(lambda: rows(own_service, ready) == [(5,)], what="a full pool after five claims")
        with psycopg.connect(own_service.urls.platform) as platform:
            platform.execute("UPDATE provisioning_database SET expires_at = now() WHERE state = 'active'")
        gone = "SELECT count(*) FROM provisioning_database WHERE state = 'gone'"
        wait_for(lambda: rows(own_service, gone) == [(5,)], seconds=30, what="five tombstones")
        assert {own_service.get(f"/db/{one['token']}").status_code for one in made} == {410}
        assert is_whole(own_service)
    finally:
        for keeper in keepers:
            keeper.terminate()
        assert [keeper.wait(10) for keeper in keepers] == [0, 0]
        log.close()
    assert (own_service.folder / "housekeeping.log").read_text() == ""


def test_a_burst_of_fifty_is_served_whole(own_service: Service) -> None:
    own_service.start()
    with requests.Session() as warm:
        warm.get(f"{own_service.url}/livez", timeout=5)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(own_service.post("/db/new", timeout=60).status_code))
        for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(statuses) == {201: 50}


def test_sigterm_ends_the_service_with_status_0(own_service: Service) -> None:
    own_service.start()
    assert own_service.post("/db/new").status_code == 201
    assert own_service.terminate() == 0


def test_the_cluster_refuses_an_expired_database_while_all_of_our_processes_are_dead(
    abandoned: dict[str, Any],
) -> None:
    expiry = datetime.fromisoformat(abandoned["expires_at"])
    while datetime.now(UTC) <= expiry:  # the one real minute that this suite waits, most of it spent by the tests above
        time.sleep(0.2)
    time.sleep(1.0)  # expires_at is given in whole seconds, rounded down
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(abandoned["connection_url"])
