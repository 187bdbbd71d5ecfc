"""The whole service while its Redis is killed, frozen, full, refusing and restarted under load: no request notices."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import requests

from tests.folders import open_folder
from tests.redis_server import RedisServer
from tests.service import Service, under_load, wait_for

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def redis_beside() -> Iterator[RedisServer]:
    with open_folder() as folder:
        server = RedisServer(folder).start()
        yield server
        server.kill()


@pytest.fixture(scope="module")
def served(redis_beside: RedisServer) -> Iterator[Service]:
    """A service that uses it, and tries it again after a second."""
    with open_folder() as folder:
        config = folder / "config.yaml"
        config.write_text("redis: {down_for: 1s}\n")
        service = Service(folder, {"REDIS_URL": redis_beside.url, "CONFIG_PATH": str(config)}).start()
        yield service
        service.close()


def state(service: Service) -> tuple[int, bool]:
    """Of one worker; there are two, and each finds out for itself."""
    answer = service.get("/readyz")
    return answer.status_code, answer.json()["degraded"]


def all_say(service: Service, degraded: bool) -> bool:
    return {state(service) for _ in range(8)} == {(200, degraded)}


def statuses_during(service: Service, work: Callable[[], None]) -> Counter[int]:
    """Calls from four threads while `work` runs; gives how often each status came. A broken connection is a 0."""
    token = service.post("/db/new").json()["token"]
    statuses: Counter[int] = Counter()

    def call(path: str) -> None:
        try:
            statuses[service.get(path, timeout=10).status_code] += 1
        except requests.RequestException:
            statuses[0] += 1

    calls = [partial(call, path) for path in ("/", f"/db/{token}", f"/db/{token}", f"/db/{token}")]
    under_load(work, *calls)
    return statuses


@pytest.mark.parametrize("fault", ["killed", "frozen", "full", "restarted"])
def test_no_request_fails_and_the_change_of_side_shows(served: Service, redis_beside: RedisServer, fault: str) -> None:
    wait_for(lambda: all_say(served, degraded=False), what="the service to use Redis")

    def break_and_mend() -> None:
        match fault:
            case "killed":
                redis_beside.kill()
            case "frozen":
                redis_beside.freeze()
            case "full":
                with redis_beside.client() as admin:
                    admin.config_set("maxmemory", "1")
            case "restarted":
                redis_beside.restart()
        if fault != "restarted":  # that one is over before anybody may have noticed
            wait_for(lambda: all_say(served, degraded=True), what="both workers to notice")
            assert served.post("/db/new").status_code == 201
        match fault:
            case "killed":
                redis_beside.start()
            case "frozen":
                redis_beside.thaw()
            case "full":
                with redis_beside.client() as admin:
                    admin.config_set("maxmemory", "0")
        wait_for(lambda: all_say(served, degraded=False), what="the service to use Redis again")

    statuses = statuses_during(served, break_and_mend)
    assert statuses.keys() == {200}, statuses
    assert statuses[200] > 20


def test_each_change_of_side_was_logged_once_by_each_process(served: Service) -> None:
    """At least three faults for each of two workers; on a slow machine an answer may also come too late once."""
    lines = (served.folder / "gunicorn.log").read_text().splitlines()
    lost = [line for line in lines if "instantlite.redis: Redis failed, PostgreSQL stands in" in line]
    found = [line for line in lines if "instantlite.redis: Redis answers again" in line]
    assert len(lost) >= 6
    assert len(found) == len(lost)
    assert not [line for line in lines if "Traceback" in line]
