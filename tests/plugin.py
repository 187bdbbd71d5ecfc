"""Loaded by pytest before Django's settings are: gives the run a PostgreSQL of its own, and takes it away at the end.

With DATABASE_URL set, that server is used instead. Its role must be a superuser there: the run makes a provisioner
role, and takes CONNECT from PUBLIC on the server's databases, as `manage.py checkcluster` asks of every cluster.
"""

import os
from contextlib import ExitStack

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from instantlite.embedded import EmbeddedServer
from tests.folders import open_folder

PROVISIONER = "instantlite_test_provisioner"
_PASSWORD = "only-for-tests"


class Server:
    """The server of this run: `embedded` None when somebody else's is used."""

    embedded: EmbeddedServer | None = None
    stack = ExitStack()


def _start() -> None:
    os.environ.setdefault("SECRET_KEY", "a-key-for-tests-that-nobody-else-will-ever-use")
    os.environ.setdefault("POOL_SIZE", "2")
    os.environ["HOUSEKEEPING_MODE"] = "off"
    # Hundreds of calls come from one address; the tests of the limits set their own.
    os.environ["INSTANTLITE_PROFILE"] = "laptop"
    os.environ["REDIS_URL"] = ""
    # What a developer's own configuration says must not decide what the tests see.
    os.environ["CONFIG_PATH"] = ""
    if os.environ.get("DATABASE_URL"):
        os.environ.setdefault("CUSTOMER_DATABASE_URL", _prepare(os.environ["DATABASE_URL"]))
        return
    Server.embedded = EmbeddedServer(Server.stack.enter_context(open_folder()), durable=False)
    urls = Server.embedded.start()
    with psycopg.connect(urls.superuser, autocommit=True) as admin:
        # Django makes a database for tests, as the platform's role.
        admin.execute("ALTER ROLE instantlite CREATEDB")
        admin.execute("GRANT CONNECT ON DATABASE postgres TO instantlite")
    os.environ["DATABASE_URL"] = urls.platform
    os.environ["CUSTOMER_DATABASE_URL"] = urls.customer


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


def pytest_unconfigure(config: pytest.Config) -> None:
    """The server and its folder go, whatever the tests did."""
    if Server.embedded:
        Server.embedded.stop()
    Server.stack.close()


_start()
