"""Every statement that is ever sent to a tenants' cluster. Knows no models.

The provisioner is not a superuser: it has CREATEDB and CREATEROLE, owns what it creates, and on PostgreSQL 16 and
later gives itself the membership that it needs (CREATEROLE alone stopped implying it there).
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from instantlite.config import ClusterConfig
from provisioning.connections import ClusterConnections, Connection


@dataclass(frozen=True)
class Blueprint:
    """What a new database is made with. `extensions` are in the template; the rest is set on the role."""

    template: str
    extensions: tuple[str, ...]
    statement_timeout: timedelta
    connections: int


@dataclass(frozen=True)
class Usage:
    """What a tenant uses now."""

    size_bytes: int
    connections: int


@dataclass(frozen=True)
class Inventory:
    """What a cluster holds under a prefix."""

    databases: frozenset[str]
    roles: frozenset[str]
    roles_with_login: frozenset[str]


def public_url(config: ClusterConfig, name: str, password: str) -> str:
    """What a tenant connects with, as it stands, in psql and every driver: `postgresql://` (SQLAlchemy refuses
    `postgres://`), characters that need no escaping, and `sslmode` where the cluster's own URL has one.
    """
    host = f"[{config.public_host}]" if ":" in config.public_host else config.public_host
    sslmode = conninfo_to_dict(config.url).get("sslmode")
    query = f"?sslmode={sslmode}" if sslmode else ""
    return f"postgresql://{name}:{password}@{host}:{config.public_port}/{name}{query}"


def _run(connection: Connection, *statements: Composable) -> None:
    """Sends the statements in one round trip; more than one make one transaction (the simple query protocol)."""
    connection.execute(SQL("; ").join(statements))


def build(cluster: ClusterConnections, name: str, verifier: str, blueprint: Blueprint) -> None:
    """Makes the role and the database `name`, complete but for the login. What a crash leaves, drop() removes.

    The database is born with connections forbidden, so that no other tenant can slip in before PUBLIC has lost
    CONNECT on it. The tenant owns the schema public, not the database: an owner could grant CONNECT again, raise
    the limits, or mark the database a template and so defeat DROP DATABASE.
    """
    role, database = Identifier(name), Identifier(name)
    with cluster.use() as admin:
        prepare_template(cluster, admin, blueprint)
        _run(
            admin,
            SQL(
                "CREATE ROLE {} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS "
                "CONNECTION LIMIT {} PASSWORD {}"
            ).format(role, Literal(blueprint.connections), Literal(verifier)),
            *_own_role(admin, role),
            SQL("ALTER ROLE {} SET statement_timeout = {}").format(
                role, Literal(f"{int(blueprint.statement_timeout.total_seconds() * 1000)}ms")
            ),
        )
        _run(
            admin,
            SQL("CREATE DATABASE {} TEMPLATE {} ALLOW_CONNECTIONS false").format(
                database, Identifier(blueprint.template)
            ),
        )
        _run(
            admin,
            SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database),
            SQL("GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {} TO {}").format(database, role),
            SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(database),
        )
        with cluster.connect(name) as inside:
            _run(
                inside,
                SQL("ALTER SCHEMA public OWNER TO {}").format(role),
                SQL("REVOKE ALL ON SCHEMA public FROM PUBLIC"),
            )


def _own_role(admin: Connection, role: Composable) -> list[Composed]:
    """What lets the provisioner hand the schema to a role, and end the role's sessions.

    PostgreSQL 16 gives the creator of a role ADMIN OPTION only (release notes, "CREATEROLE"); before, no membership.
    """
    options = SQL(" WITH INHERIT TRUE, SET TRUE") if admin.info.server_version >= 160000 else SQL("")
    return [SQL("GRANT {} TO CURRENT_USER").format(role) + options]


def prepare_template(cluster: ClusterConnections, admin: Connection, blueprint: Blueprint) -> None:
    """Makes the private template if it is not there. Forbidding connections is the last step, and so the mark of a
    finished one: a template that still allows them was left half made, and is made again.

    An extension that neither template1 has nor the provisioner may create is left out: checkcluster says so.
    """
    if _template_done(admin, blueprint.template):
        return
    # Held by the session, so that a crash releases it; others wait here and then find the template done.
    lock = zlib.crc32(blueprint.template.encode())
    admin.execute("SELECT pg_advisory_lock(%s)", [lock])
    try:
        if _template_done(admin, blueprint.template):
            return
        template = Identifier(blueprint.template)
        _run(admin, SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(template))
        _run(admin, SQL("CREATE DATABASE {} TEMPLATE template1").format(template))
        _run(admin, SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(template))
        with cluster.connect(blueprint.template) as inside:
            for extension in blueprint.extensions:
                _create_extension(inside, extension)
        _run(admin, SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(template))
    finally:
        admin.execute("SELECT pg_advisory_unlock(%s)", [lock])


def _template_done(admin: Connection, name: str) -> bool:
    row = admin.execute("SELECT NOT datallowconn FROM pg_database WHERE datname = %s", [name]).fetchone()
    return bool(row and row[0])


def _create_extension(inside: Connection, name: str) -> None:
    try:
        inside.execute(SQL("CREATE EXTENSION IF NOT EXISTS {}").format(Identifier(name)))
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile):
        return


def open_role(cluster: ClusterConnections, name: str, until: datetime, connections: int) -> None:
    """Lets the role log in until the expiry, which then holds even while nobody is left to reap. One round trip."""
    _alter_role(cluster, name, SQL("LOGIN CONNECTION LIMIT {} VALID UNTIL {}").format(connections, until.isoformat()))


def set_role(cluster: ClusterConnections, name: str, until: datetime, verifier: str | None) -> None:
    """Moves the role's expiry; with a verifier, its password too, and ends the sessions that used the old one."""
    with cluster.use() as admin:
        if verifier is None:
            _run(admin, SQL("ALTER ROLE {} VALID UNTIL {}").format(Identifier(name), until.isoformat()))
            return
        _run(
            admin,
            SQL("ALTER ROLE {} VALID UNTIL {} PASSWORD {}").format(Identifier(name), until.isoformat(), verifier),
            _end_sessions(name),
        )


def close_role(cluster: ClusterConnections, name: str) -> None:
    """No further logins. Sessions that are open stay open."""
    _alter_role(cluster, name, SQL("NOLOGIN"))


def _alter_role(cluster: ClusterConnections, name: str, change: Composable) -> None:
    with cluster.use() as admin:
        _run(admin, SQL("ALTER ROLE {} ").format(Identifier(name)) + change)


def _end_sessions(name: str) -> Composed:
    return SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {}").format(Literal(name))


def drop(cluster: ClusterConnections, name: str) -> None:
    """Ends the sessions, drops the database and the role. Whatever part of them exists: safe to run again.

    The role is closed first, or a client that reconnects in a loop could hold the database for ever.
    """
    identifier = Identifier(name)
    with cluster.use() as admin:
        present = _present(admin, name)
        if "role" in present:
            _run(admin, SQL("ALTER ROLE {} NOLOGIN").format(identifier), _end_sessions(name))
        if "database" in present:
            drop_database(admin, name)
        if "role" in present:
            _run(admin, SQL("DROP ROLE IF EXISTS {}").format(identifier))


def drop_database(admin: Connection, name: str) -> None:
    """Drops a database with the sessions in it."""
    statement = SQL("DROP DATABASE IF EXISTS {}").format(Identifier(name))
    try:
        _run(admin, statement + SQL(" WITH (FORCE)"))
    except psycopg.errors.InsufficientPrivilege:
        # An autovacuum worker is in it, which only a superuser may end. Without FORCE the server sends it away by
        # itself and waits for the rest to leave, 5 s at most (CountOtherDBBackends); tenants' sessions are ended.
        _run(admin, statement)


def _present(admin: Connection, name: str) -> set[object]:
    rows = admin.execute(
        "SELECT 'role' FROM pg_roles WHERE rolname = %(name)s "
        "UNION ALL SELECT 'database' FROM pg_database WHERE datname = %(name)s",
        {"name": name},
    )
    return {row[0] for row in rows}


def usage(cluster: ClusterConnections, name: str) -> Usage | None:
    """Size on disk and sessions of one database; None when the cluster does not hold it. One round trip."""
    with cluster.use() as admin:
        row = admin.execute(
            "SELECT pg_database_size(oid), (SELECT count(*) FROM pg_stat_activity WHERE datname = d.datname) "
            "FROM pg_database d WHERE datname = %s",
            [name],
        ).fetchone()
    return Usage(int(str(row[0])), int(str(row[1]))) if row else None


def inventory(cluster: ClusterConnections, prefix: str) -> Inventory:
    """Every database and role whose name starts with `prefix`, templates included."""
    with cluster.use() as admin:
        databases = admin.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix]).fetchall()
        roles = admin.execute(
            "SELECT rolname, rolcanlogin FROM pg_roles WHERE starts_with(rolname, %s)", [prefix]
        ).fetchall()
    return Inventory(
        databases=_names(databases),
        roles=_names(roles),
        roles_with_login=_names(row for row in roles if row[1]),
    )


def _names(rows: Iterable[tuple[object, ...]]) -> frozenset[str]:
    return frozenset(str(row[0]) for row in rows)
