"""What the embedded PostgreSQL is made of: the record of its choices, its files, its roles.

Every step may be cut off at any line and is done again by the next start: the record is replaced in one
rename, the cluster appears under its final name only when initdb has finished, and the statements for roles
and databases can be repeated. `complete` in the record is written last.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from instantlite.embedded_place import Account, EmbeddedError, Home

RECORD = "embedded.json"
PLATFORM = "instantlite"
PROVISIONER = "instantlite_provisioner"


@dataclass(frozen=True)
class Urls:
    """libpq connection URIs (PostgreSQL manual, 32.1.1.2)."""

    platform: str
    customer: str
    superuser: str


@dataclass(frozen=True)
class Record:
    """What the first start chose, kept for every later one in a file only its owner can read."""

    version: int
    port: int
    home: str
    account: str
    platform_password: str
    customer_password: str
    complete: bool = False

    def urls(self) -> Urls:
        """Return how to connect, as each of the three roles."""
        at = f"127.0.0.1:{self.port}"
        sockets = quote(str(Home(Path(self.home)).sockets), safe="")
        return Urls(
            platform=f"postgresql://{PLATFORM}:{self.platform_password}@{at}/{PLATFORM}",
            customer=f"postgresql://{PROVISIONER}:{self.customer_password}@{at}/postgres",
            # requirepeer: the client, too, checks that the other end of the socket is the server's own
            # account.
            superuser=f"postgresql://postgres@/postgres?host={sockets}&port={self.port}"
            f"&requirepeer={quote(self.account, safe='')}",
        )


def read_record(folder: Path) -> Record | None:
    """Return what a start has written in the folder, or None. Raises EmbeddedError when it cannot be read."""
    path = folder / RECORD
    try:
        stored = json.loads(path.read_text())
        return Record(**{**stored, "home": str(folder / stored["home"])})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise EmbeddedError(f"{path} cannot be read ({error.strerror}); run as the account that made it") from error
    except (ValueError, TypeError, KeyError) as error:
        raise EmbeddedError(f"{path} is damaged; delete it, and the next start sets new passwords") from error


def write_record(folder: Path, record: Record) -> None:
    """Store the record so that a reader, or a crash, sees the old one or the new one and nothing between."""
    # A home inside the folder is stored as ".", so that the folder can be moved.
    stored = asdict(record) | ({"home": "."} if Path(record.home) == folder else {})
    partial = folder / f"{RECORD}.partial"
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(json.dumps(stored, indent=1))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / RECORD)


def new_record(version: int, home: Path, account: Account) -> Record:
    """Choose a port and passwords."""
    return Record(version, free_port(), str(home), account.name, secrets.token_urlsafe(32), secrets.token_urlsafe(32))


def free_port() -> int:
    """Return a free TCP port of 127.0.0.1.

    Below 32768: from there on Linux takes ports for outgoing connections, and one of those could hold ours
    while the server is down.
    """
    for port in random.SystemRandom().sample(range(15433, 32768), 100):
        if port_is_free(port):
            return port
    raise EmbeddedError("no free port was found between 15433 and 32767 on 127.0.0.1; stop some programs")


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As PostgreSQL does: connections in TIME_WAIT from the last run must not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def initialise(home: Home, programs: Path, account: Account, *, lock: int, durable: bool) -> None:
    """Run initdb and give its result the final name.

    initdb inherits the lock: when we are killed it goes on alone, and the next start waits for it to end
    instead of clearing the folder under its hands. Raises EmbeddedError with initdb's reason.
    """
    for leftover in home.root.glob("data.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial = home.root / f"data.partial-{secrets.token_hex(4)}"
    partial.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(partial, account.uid, account.gid)
    # The bytes' order (C) needs no table of the operating system, so no index breaks when that is upgraded.
    words = ["--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"]
    words += ["--auth-local=peer", "--auth-host=reject", "--no-instructions"]
    words += [] if durable else ["--no-sync"]
    done = account.run([programs / "initdb", "-D", partial, *words], keep=[lock])
    if done.returncode != 0:
        raise EmbeddedError(f"initdb failed: {_last_line(done.stderr)}; mend that and start again")
    partial.rename(home.cluster)


def _last_line(text: str) -> str:
    """The line of PostgreSQL's complaint that says why, without its level."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    blamed = [line for line in lines if "FATAL:" in line or "error:" in line]
    return (blamed or lines or ["it gave no reason"])[-1]


SETTINGS = """\
# Written anew at every start. The settings that initdb found for this machine come first.
include '{cluster}/postgresql.conf'
hba_file = '{root}/pg_hba.conf'
ident_file = '{root}/pg_ident.conf'

# Only programs on this machine can connect.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'

# The service's pools, and tenants with a few connections each, on a small machine.
max_connections = 200
shared_buffers = 64MB
# The service prepares no two-phase transactions; each one left behind would hold back vacuum.
max_prepared_transactions = 0
# Compiling a query costs more than the short ones here ever win back.
jit = off
# No replica and no archive: the log needs only what crash recovery needs, and little room on disk.
wal_level = minimal
max_wal_senders = 0
max_wal_size = 256MB

# A file for each hour of the day, overwritten the day after. A statement's error goes to its client and not
# in here: tenants could fill the disk with them, and a failing statement may carry a secret.
logging_collector = on
log_directory = '{log}'
log_filename = 'postgresql-%H.log'
log_rotation_age = 60min
log_rotation_size = 0
log_truncate_on_rotation = on
log_min_messages = log
log_min_error_statement = panic
log_line_prefix = '%m [%p] %q%u@%d '
timezone = 'UTC'
log_timezone = 'UTC'
"""

NOT_DURABLE = """
# For tests only: a power cut may lose or break everything, and nothing waits for the disk.
fsync = off
synchronous_commit = off
full_page_writes = off
"""

# First match wins (PostgreSQL manual, 20.1). No line names replication, so that is refused too.
ACCESS = """\
local all postgres           peer map=owner
local all all                reject
host  all postgres 0.0.0.0/0 reject
host  all all 127.0.0.1/32   scram-sha-256
"""


def write_configuration(home: Home, port: int, account: Account, *, durable: bool) -> None:
    """Write the server's three configuration files, in a folder which the server's account cannot change."""
    places = {"cluster": home.cluster, "root": home.root, "sockets": home.sockets, "log": home.log}
    # A quote inside a quoted value of postgresql.conf is doubled.
    quoted = {name: str(path).replace("'", "''") for name, path in places.items()}
    settings = SETTINGS.format(port=port, **quoted) + ("" if durable else NOT_DURABLE)
    files = {
        "postgresql.conf": settings,
        "pg_hba.conf": ACCESS,
        # Whoever starts the server is root or this account itself: both own the files anyway.
        "pg_ident.conf": f'owner "{account.name}" postgres\nowner "root" postgres\n',
    }
    for name, text in files.items():
        partial = home.root / f"{name}.partial"
        partial.write_text(text)
        # The server's account has to read it whatever our umask is; nothing in it is secret.
        partial.chmod(0o644)
        partial.replace(home.root / name)


def furnish(record: Record) -> None:
    """Create the two roles, the platform's database and the tenants' template; safe to repeat."""
    with psycopg.connect(record.urls().superuser, autocommit=True) as connection:
        _role(connection, PLATFORM, record.platform_password, "NOCREATEDB NOCREATEROLE")
        _role(connection, PROVISIONER, record.customer_password, "CREATEDB CREATEROLE")
        if record.version >= 16:
            # From 16 on, CREATEROLE holds no rights over a role it made unless it also grants them to itself.
            connection.execute(f"ALTER ROLE {PROVISIONER} SET createrole_self_grant = 'set, inherit'")
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [PLATFORM]).fetchone():
            connection.execute(f"CREATE DATABASE {PLATFORM} OWNER {PLATFORM} TEMPLATE template0")
        for database in ("postgres", "template1", PLATFORM):
            connection.execute(f"REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC")
        connection.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {PLATFORM} TO {PLATFORM}")
        connection.execute(f"GRANT CONNECT ON DATABASE postgres TO {PROVISIONER}")
    with psycopg.connect(record.urls().superuser, dbname="template1", autocommit=True) as connection:
        # Only a superuser may create pgvector's extension, so tenants get it by being copied from this
        # database.
        if connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchone():
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")


def _role(connection: psycopg.Connection[tuple[object, ...]], name: str, password: str, may: str) -> None:
    """Create or correct a role. The server sees a SCRAM verifier only: no log can show the password."""
    verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    role = sql.Identifier(name)
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
        connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    wanted = sql.SQL("ALTER ROLE {} WITH LOGIN NOSUPERUSER NOREPLICATION NOBYPASSRLS {} PASSWORD {}")
    connection.execute(wanted.format(role, sql.SQL(may), sql.Literal(verifier)))
