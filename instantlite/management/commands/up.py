"""`manage.py up`: the whole service on one machine, in one terminal.

Starts the embedded PostgreSQL (unless a DATABASE_URL names another), brings the tables up to date, makes
the first administrator, runs gunicorn, and takes all of it down again in the reverse order.
"""

from __future__ import annotations

import errno
import http.client
import os
import secrets
import signal
import socket
import string
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections

from instantlite import embedded

PROJECT = Path(__file__).resolve().parents[3]
ADMIN = "admin"
READY_SECONDS = 60.0
# Longer than gunicorn's own graceful timeout for requests in flight, shorter than an orchestrator's patience.
STOP_SECONDS = 25.0


class Fatal(Exception):
    """Ends the command; the message is one plain line saying what to do."""


class Command(BaseCommand):
    """Run everything on this machine until Ctrl-C."""

    help = "Run the whole service on this machine: database, tables, administrator, web server."
    # Checks may ask the database, which is not there yet.
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGINT or SIGTERM; exit 0 after those, 1 with a line on stderr after any trouble."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)
        try:
            # Whatever was started is stopped again, last first, on every way out of here.
            with ExitStack() as started:
                self._run(started)
        except KeyboardInterrupt:
            self.stdout.write("instantlite: stopped")
        except (Fatal, embedded.EmbeddedError) as error:
            self.stderr.write(f"instantlite: fatal: {error}")
            raise SystemExit(1) from error

    def _run(self, started: ExitStack) -> NoReturn:
        server = settings.INSTANTLITE.server
        _require_free_port(server.host, server.port)
        server.data_dir.mkdir(parents=True, exist_ok=True)
        # Both change what the settings say, and settings are read once, when Python starts.
        stale = _make_secret_key(server.data_dir)
        if settings.EMBEDDED:
            stale = embedded.urls(server.data_dir) is None or stale
            database = embedded.EmbeddedServer(server.data_dir)
            started.callback(database.stop)
            database.start()
        if stale:
            # The new process finds everything in place and adopts the running database. exec ends this one
            # here, so nothing is stopped in between.
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line
        call_command("migrate", verbosity=0, interactive=False)
        password = _make_admin()
        # Our own connections would otherwise idle for as long as the service runs.
        connections.close_all()
        gunicorn = _start_gunicorn(started)
        _wait_until_live(gunicorn, server.port)
        caches = bool(settings.INSTANTLITE.redis.tenants_url)
        self.stdout.write(_banner(server.port, password, caches=caches))
        self.stdout.flush()
        code = gunicorn.wait()
        raise Fatal(f"the web server ended by itself with exit code {code}; its last lines above say why")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Leave by KeyboardInterrupt, once: a second Ctrl-C must not cut the shutdown short."""
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, signal.SIG_IGN)
    raise KeyboardInterrupt


def _require_free_port(host: str, port: int) -> None:
    """Raise Fatal when gunicorn could not listen there, before anything has been started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As gunicorn does: connections in TIME_WAIT from the last run must not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                advice = "stop the program that holds it, or choose another port"
                raise Fatal(f"port {port} is in use; {advice}") from error
            raise Fatal(f"cannot listen on {host} port {port}: {error.strerror}; choose another") from error


def _make_secret_key(data_dir: Path) -> bool:
    """Create DATA_DIR/secret_key if nobody has given a key; return whether it was created."""
    if settings.INSTANTLITE.server.secret_key:
        return False
    key = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(50))
    # Linked into place when complete: no reader, and no start after a crash, ever sees half a key, and of
    # two starts one wins (a link fails where a name exists).
    partial = data_dir / f"secret_key.{secrets.token_hex(4)}"
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(key)
        os.link(partial, data_dir / "secret_key")
    except FileExistsError:
        return False
    finally:
        partial.unlink()
    return True


def _make_admin() -> str | None:
    """Create the first administrator and return the password, or None when there is one already."""
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return None
    password = secrets.token_urlsafe(12)
    users.create_superuser(username=ADMIN, email="", password=password)
    return password


def _start_gunicorn(started: ExitStack) -> subprocess.Popen[bytes]:
    """Start the web server in its own process group: Ctrl-C reaches us, and we pass it on in our order."""
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "instantlite.wsgi:application"]
    # Limits that one developer does not meet; whoever wants those of production says so.
    environ = {"INSTANTLITE_PROFILE": "laptop", **os.environ}
    gunicorn = subprocess.Popen(command, cwd=PROJECT, process_group=0, env=environ)
    started.callback(_stop_gunicorn, gunicorn)
    return gunicorn


def _stop_gunicorn(gunicorn: subprocess.Popen[bytes]) -> None:
    """Let requests in flight finish, then end the web server whatever it does."""
    gunicorn.terminate()
    try:
        gunicorn.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(gunicorn.pid, signal.SIGKILL)
        gunicorn.wait()


def _wait_until_live(gunicorn: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the service answers. Raises Fatal when gunicorn ends first, or after READY_SECONDS."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if gunicorn.poll() is not None:
            raise Fatal(f"the web server did not start (exit code {gunicorn.returncode}); its lines above say why")
        if _is_live(port):
            return
        time.sleep(0.05)
    raise Fatal(f"no answer on port {port} in {READY_SECONDS:.0f} s; the web server's lines above may say why")


def _is_live(port: int) -> bool:
    # Not urllib: it would send this through the proxy that HTTP_PROXY names.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _banner(port: int, password: str | None, *, caches: bool) -> str:
    """Return what a person who has just started the service wants to know."""
    site = f"http://localhost:{port}"
    secret = (
        f"user {ADMIN}, password {password}  (shown this once)"
        if password
        else f"user {ADMIN}; forgotten? manage.py changepassword {ADMIN}"
    )
    cache = f"\n  a cache, now               curl -X POST {site}/cache/new" if caches else ""
    return f"""
  instantlite is up          {site}

  a database, now            curl -X POST {site}/db/new
  a webhook inbox, now       curl -X POST {site}/webhook/new{cache}
  administration             {site}/admin/
                             {secret}
  stop                       Ctrl-C
"""
