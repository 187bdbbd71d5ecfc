"""What a cluster lacks to be a good home for tenants, in plain words, with the SQL that mends it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from django.conf import settings

from provisioning import connections, credentials, postgres
from provisioning.connections import ClusterConnections, ClusterDown, Connection

OLDEST_VERSION = 15


@dataclass(frozen=True)
class Finding:
    """One line of the report. `sql` mends it, run by an administrator (for Redis: commands); empty when that cannot."""

    good: bool
    says: str
    sql: str = ""


def check(name: str) -> Iterator[Finding]:
    """Every finding for a configured cluster: what it says of itself, then a trial: a database made, used, dropped."""
    cluster = connections.to(name)
    try:
        with cluster.use() as admin:
            yield from _server(admin)
            yield from _rights(admin)
            yield from _public_privileges(admin)
            yield from _available_extensions(admin)
    except ClusterDown as error:
        yield Finding(False, f"does not answer: {error}")
        return
    yield from _trial(cluster)


def _server(admin: Connection) -> Iterator[Finding]:
    version = admin.info.server_version // 10000
    yield Finding(version >= OLDEST_VERSION, f"PostgreSQL {version}; {OLDEST_VERSION} is the oldest that works")
    row = admin.execute("SELECT pg_is_in_recovery()").fetchone()
    if row and row[0]:
        yield Finding(False, "this server is a read-only replica; name the primary")


def _rights(admin: Connection) -> Iterator[Finding]:
    row = admin.execute(
        "SELECT current_user::text, rolsuper, rolcreatedb, rolcreaterole, quote_ident(current_user) "
        "FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    if row is None:
        return
    name, superuser, createdb, createrole, quoted = row
    yield Finding(
        not superuser,
        f"role {name} is {'' if superuser else 'not '}a superuser; it should not be one: a fault of ours would be "
        "a fault without limits",
        "CREATE ROLE instantlite_provisioner LOGIN CREATEDB CREATEROLE PASSWORD '…';  -- and name it in the "
        "cluster's URL"
        if superuser
        else "",
    )
    for granted, attribute, why in (
        (createdb, "CREATEDB", "to make databases"),
        (createrole, "CREATEROLE", "to make tenants' roles"),
    ):
        has = bool(granted or superuser)
        yield Finding(
            has, f"role {name} {'has' if has else 'lacks'} {attribute}, {why}", f"ALTER ROLE {quoted} {attribute};"
        )


def _public_privileges(admin: Connection) -> Iterator[Finding]:
    rows = admin.execute(
        "SELECT datname, quote_ident(datname), quote_ident(current_user) FROM pg_database "
        # Not template0, and no template of ours: those take connections from nobody.
        "WHERE datallowconn AND (has_database_privilege('public', oid, 'CONNECT') "
        "OR has_database_privilege('public', oid, 'TEMPORARY')) ORDER BY datname"
    ).fetchall()
    if not rows:
        yield Finding(True, "PUBLIC has neither CONNECT nor TEMPORARY on any database")
    for name, quoted, provisioner in rows:
        yield Finding(
            False,
            f"every tenant may connect to database {name}",
            f"GRANT CONNECT ON DATABASE {quoted} TO {provisioner}; "
            f"REVOKE CONNECT, TEMPORARY ON DATABASE {quoted} FROM PUBLIC;",
        )


def _available_extensions(admin: Connection) -> Iterator[Finding]:
    wanted = settings.INSTANTLITE.postgres.extensions
    rows = admin.execute("SELECT name FROM pg_available_extensions WHERE name = ANY(%s)", [list(wanted)]).fetchall()
    for name in sorted(set(wanted) - {str(row[0]) for row in rows}):
        yield Finding(False, f"extension {name} is not installed on the server; tenants go without it")


def _trial(cluster: ClusterConnections) -> Iterator[Finding]:
    """Does what provisioning does, under a name of its own, and looks at the result as a tenant does."""
    from provisioning.models import Cluster, random_word  # noqa: PLC0415 — checks are imported before models are ready

    Cluster.objects.sync()
    row = Cluster.objects.get(name=cluster.name)
    name = f"{row.prefix}trial_{random_word(6)}"
    secret = random_word(40)
    limits = settings.INSTANTLITE.limits
    wanted = settings.INSTANTLITE.postgres.extensions
    blueprint = postgres.Blueprint(row.template_name, wanted, limits.statement_timeout, limits.connections)
    try:
        started = time.monotonic()
        postgres.build(cluster, name, credentials.scram_verifier(secret), blueprint)
        postgres.open_role(cluster, name, datetime.now(UTC) + timedelta(minutes=5), limits.connections)
        took = (time.monotonic() - started) * 1000
        yield Finding(True, f"a trial database was made in {took:.0f} ms")
        yield from _as_tenant(cluster, name, secret, row.template_name)
    except (psycopg.Error, ClusterDown) as error:
        yield Finding(False, f"a trial database could not be made: {error}".strip())
    finally:
        try:
            postgres.drop(cluster, name)
        except (psycopg.Error, ClusterDown) as error:
            yield Finding(False, f"the trial database {name} could not be dropped: {error}".strip())


def _as_tenant(cluster: ClusterConnections, name: str, secret: str, template: str) -> Iterator[Finding]:
    url = postgres.public_url(settings.CLUSTERS[cluster.name], name, secret)
    try:
        with psycopg.connect(url, connect_timeout=5) as tenant:
            found = {str(row[0]) for row in tenant.execute("SELECT extname FROM pg_extension").fetchall()}
            yield Finding(True, f"a tenant can log in at {tenant.info.host}:{tenant.info.port}")
    except psycopg.Error as error:
        yield Finding(False, f"a tenant cannot log in at the public address: {error}".strip())
        return
    for extension in settings.INSTANTLITE.postgres.extensions:
        if extension in found:
            yield Finding(True, f"extension {extension} is there for tenants")
        else:
            yield Finding(
                False,
                f"tenants lack extension {extension}: this role may not create it, template1 does not hold it",
                f'\\connect template1\nCREATE EXTENSION "{extension}";\nDROP DATABASE {template};  -- it is made anew',
            )
