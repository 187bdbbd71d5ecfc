"""Loaded by pytest before Django's settings are: gives each test process a PostgreSQL, and takes it away at the end.

`-n 2` (pytest-xdist) runs the tests in two processes, which share nothing: each starts its own PostgreSQL, services and
Redis when a test of its share asks for them. The process that hands the tests out runs none and starts none.

With DATABASE_URL set, that server is used instead, by one process: two would find each other's databases on it. Its
role must be a superuser there: the run makes a provisioner role, and takes CONNECT from PUBLIC on the server's
databases, as `manage.py checkcluster` asks of every cluster.
"""

import os
from collections import defaultdict
from collections.abc import Generator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from instantlite.embedded import EmbeddedServer
from tests.folders import kept, open_folder

PROVISIONER = "instantlite_test_provisioner"
_PASSWORD = "only-for-tests"
# Settings want an address. Nobody listens on this one, and the process that hands tests out connects to none.
_NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
# Roughly how many seconds a test takes that uses one of these, to tell the long files from the short ones.
_SECONDS = {
    **dict.fromkeys(("own_service", "durable_service", "abandoned", "pair", "up"), 10.0),
    **dict.fromkeys(("make_folder", "browser", "served"), 2.0),
    **dict.fromkeys(("platform", "two_clusters", "tenants_redis", "own_redis"), 0.8),
    **dict.fromkeys(("transactional_db", "service", "cluster", "store"), 0.2),
}


class Server:
    """The server of this process: `embedded` None when somebody else's is used, or none."""

    embedded: EmbeddedServer | None = None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Before pytest-django reads the settings. Raises UsageError for two processes on somebody else's server."""
    _configure()
    url = _given()
    if _hands_out(early_config):
        if url:
            raise pytest.UsageError("DATABASE_URL names one server, for one process: use -n 0, or unset it")
        os.environ["DATABASE_URL"] = _NOWHERE
    elif url:
        os.environ.setdefault("CUSTOMER_DATABASE_URL", _prepare(url))
    else:
        _start()
    return (yield)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means: a process for each core, two at least, as tests wait for disks and servers half of their
    time, and four at most, as each has servers that take memory. None but this one on somebody else's server."""
    return 0 if _given() else min(max(len(os.sched_getaffinity(0)), 2), 4)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In one of several processes: files that take long come first, so that all are done at the same time.

    Which ones do is told by what their tests start. Among a file's tests the order stays Django's.
    """
    if not os.environ.get("PYTEST_XDIST_WORKER"):
        return
    takes: dict[str, float] = defaultdict(float)
    for item in items:
        names: list[str] = getattr(item, "fixturenames", [])
        takes[item.location[0]] += max((_SECONDS.get(name, 0.01) for name in names), default=0.01)
    items.sort(key=lambda item: (-takes[item.location[0]], item.location[0]))


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish() -> Generator[None, None, None]:
    """The server and its folder go before the process says that it is done: it is given few seconds after that."""
    yield
    _stop()


def pytest_unconfigure() -> None:
    """They go, whatever the tests did, and where there was no session too."""
    _stop()


def _given() -> str:
    """The address of somebody else's server, or nothing."""
    url = os.environ.get("DATABASE_URL", "")
    return "" if url == _NOWHERE else url


def _hands_out(config: pytest.Config) -> bool:
    """Whether this process runs no test itself: asked for `-n`, and not started by another that was."""
    wanted = getattr(config.known_args_namespace, "numprocesses", None)
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return False
    if wanted in ("auto", "logical"):
        return not config.known_args_namespace.usepdb and pytest_xdist_auto_num_workers() > 0
    return bool(wanted)


def _configure() -> None:
    os.environ.setdefault("SECRET_KEY", "a-key-for-tests-that-nobody-else-will-ever-use")
    os.environ.setdefault("POOL_SIZE", "2")
    os.environ["HOUSEKEEPING_MODE"] = "off"
    # Hundreds of calls come from one address; the tests of the limits set their own.
    os.environ["INSTANTLITE_PROFILE"] = "laptop"
    os.environ["REDIS_URL"] = ""
    # What a developer's own configuration says must not decide what the tests see.
    os.environ["CONFIG_PATH"] = ""


def _start() -> None:
    Server.embedded = EmbeddedServer(kept.enter_context(open_folder()), durable=False)
    urls = Server.embedded.start()
    with psycopg.connect(urls.superuser, autocommit=True) as admin:
        # Django makes a database for tests, as the platform's role.
        admin.execute("ALTER ROLE instantlite CREATEDB")
        admin.execute("GRANT CONNECT ON DATABASE postgres TO instantlite")
    os.environ["DATABASE_URL"] = urls.platform
    os.environ["CUSTOMER_DATABASE_URL"] = urls.customer


def _stop() -> None:
    if Server.embedded:
        Server.embedded.stop()
        Server.embedded = None
    kept.close()


def _prepare(url: str) -> str:
    """Makes somebody else's server a home for tenants; gives the provisioner's URL."""
    with psycopg.connect(url, autocommit=True) as admin:
        row = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [PROVISIONER]).fetchone()
        verb = "ALTER" if row else "CREATE"
        admin.execute(f"{verb} ROLE {PROVISIONER} LOGIN CREATEDB CREATEROLE PASSWORD '{_PASSWORD}'")
        for (name,) in admin.execute("SELECT quote_ident(datname) FROM pg_database WHERE datallowconn").fetchall():
            admin.execute(f"REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC")
        admin.execute(f"GRANT CONNECT ON DATABASE postgres TO {PROVISIONER}")
    parts = conninfo_to_dict(url)
    return f"postgresql://{PROVISIONER}:{_PASSWORD}@{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/postgres"
