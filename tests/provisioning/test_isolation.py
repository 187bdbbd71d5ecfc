"""What a tenant's database is, on every version that we run on: its role owns the schema and nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from provisioning import credentials, postgres
from provisioning.connections import ClusterConnections
from provisioning.models import random_word
from tests.provisioning.conftest import Cluster

PASSWORD = "a-password-of-the-test"


@dataclass
class Tenant:
    name: str
    url: str
    cluster: Cluster
    admin: ClusterConnections

    def connect(self, dbname: str | None = None) -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True, dbname=dbname or self.name)

    def open(self, lasts: timedelta = timedelta(hours=1)) -> None:
        postgres.open_role(self.admin, self.name, datetime.now(UTC) + lasts, 5)


@pytest.fixture
def tenant(cluster: Cluster) -> Iterator[Tenant]:
    """A built database that was not handed out yet."""
    admin = cluster.admin()
    prefix = f"il_{random_word(5)}_"
    blueprint = postgres.Blueprint(f"{prefix}template_x", ("vector",), timedelta(seconds=30), 5)
    name = prefix + random_word(8)
    postgres.build(admin, name, credentials.scram_verifier(PASSWORD), blueprint)
    yield Tenant(name, postgres.public_url(cluster.config, name, PASSWORD), cluster, admin)
    postgres.drop(admin, name)
    with admin.use() as connection:
        connection.execute(f"DROP DATABASE {prefix}template_x")
    admin.close_idle()


def refused(tenant: Tenant, statement: str, error: type[psycopg.Error] = psycopg.errors.InsufficientPrivilege) -> None:
    with tenant.connect() as session, pytest.raises(error):
        session.execute(statement)


def test_the_provisioner_is_not_a_superuser(cluster: Cluster) -> None:
    with psycopg.connect(cluster.urls.customer) as session:
        assert session.execute("SHOW is_superuser").fetchone() == ("off",)


def test_a_role_that_was_not_handed_out_cannot_log_in(tenant: Tenant) -> None:
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        tenant.connect()


def test_an_expired_role_cannot_log_in(tenant: Tenant) -> None:
    tenant.open(timedelta(seconds=-1))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        tenant.connect()


def test_the_tenant_owns_the_schema_and_works_in_it(tenant: Tenant) -> None:
    tenant.open()
    with tenant.connect() as session:
        session.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1); CREATE SCHEMA more; CREATE TEMP TABLE x ()")
        session.execute("COMMENT ON SCHEMA public IS 'mine'")
        owner = session.execute("SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public'").fetchone()
        assert owner == (tenant.name,)


def test_pgvector_is_there_where_the_server_has_it(tenant: Tenant) -> None:
    tenant.open()
    with tenant.connect() as session:
        has = session.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'").fetchone()
        is_there = session.execute("SELECT count(*) FROM pg_extension WHERE extname = 'vector'").fetchone()
    assert is_there == has


@pytest.mark.parametrize("dbname", ["postgres", "template1", "instantlite"])
def test_other_databases_are_closed(tenant: Tenant, dbname: str) -> None:
    tenant.open()
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        tenant.connect(dbname)


def test_the_private_template_takes_no_connections(tenant: Tenant) -> None:
    tenant.open()
    with pytest.raises(psycopg.OperationalError, match=r"not currently accepting connections|permission denied"):
        tenant.connect(tenant.name.rpartition("_")[0] + "_template_x")


def test_the_tenant_does_not_own_its_database(tenant: Tenant) -> None:
    tenant.open()
    refused(tenant, f"ALTER DATABASE {tenant.name} CONNECTION LIMIT 100")
    refused(tenant, f"ALTER DATABASE {tenant.name} IS_TEMPLATE true")
    refused(tenant, f"ALTER DATABASE {tenant.name} RENAME TO mine")
    refused(tenant, f"DROP DATABASE {tenant.name}")
    refused(tenant, "CREATE DATABASE another")
    refused(tenant, "CREATE ROLE another")
    refused(tenant, "ALTER ROLE CURRENT_USER CONNECTION LIMIT 100")
    refused(tenant, "ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'")
    refused(tenant, "COPY (SELECT 1) TO PROGRAM 'id'")
    with tenant.connect() as session:
        session.execute(f"GRANT CONNECT ON DATABASE {tenant.name} TO PUBLIC")  # a warning: no privileges were granted
        row = session.execute("SELECT has_database_privilege('public', current_database(), 'CONNECT')").fetchone()
    assert row == (False,)


def test_two_tenants_do_not_reach_each_other(tenant: Tenant, cluster: Cluster) -> None:
    tenant.open()
    admin = cluster.admin()
    name = tenant.name[:-1] + "_"
    template = tenant.name.rpartition("_")[0] + "_template_x"
    blueprint = postgres.Blueprint(template, ("vector",), timedelta(seconds=30), 5)
    postgres.build(admin, name, credentials.scram_verifier(PASSWORD), blueprint)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        tenant.connect(name)
    refused(tenant, f"SET ROLE {name}")
    refused(tenant, "SET ROLE instantlite_provisioner")
    postgres.drop(admin, name)
    admin.close_idle()


def test_drop_removes_everything_whatever_the_tenant_left(tenant: Tenant) -> None:
    tenant.open()
    holding = tenant.connect()
    holding.execute("CREATE TABLE t AS SELECT 1; SELECT lo_create(0); BEGIN; LOCK TABLE t")
    postgres.drop(tenant.admin, tenant.name)
    held = postgres.inventory(tenant.admin, tenant.name)
    assert (held.databases, held.roles) == (frozenset(), frozenset())
    holding.close()


def test_drop_can_be_run_on_any_remainder(tenant: Tenant) -> None:
    with tenant.admin.use() as admin:
        admin.execute(f"DROP DATABASE {tenant.name}")
    postgres.drop(tenant.admin, tenant.name)
    postgres.drop(tenant.admin, tenant.name)
    assert postgres.inventory(tenant.admin, tenant.name).roles == frozenset()


def test_a_half_made_template_is_made_again(cluster: Cluster) -> None:
    admin = cluster.admin()
    prefix = f"il_{random_word(5)}_"
    with admin.use() as connection:
        connection.execute(f"CREATE DATABASE {prefix}template_x")  # and then the process died
    blueprint = postgres.Blueprint(f"{prefix}template_x", (), timedelta(seconds=30), 5)
    postgres.build(admin, f"{prefix}one", credentials.scram_verifier(PASSWORD), blueprint)
    with admin.use() as connection:
        row = connection.execute(
            "SELECT datallowconn FROM pg_database WHERE datname = %s", [f"{prefix}template_x"]
        ).fetchone()
        assert row == (False,)
        postgres.drop(admin, f"{prefix}one")
        connection.execute(f"DROP DATABASE {prefix}template_x")
    admin.close_idle()
