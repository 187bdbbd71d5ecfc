"""A whole instance for one measurement: a durable PostgreSQL of its own and gunicorn as it is served, in a temporary
folder, and nothing of it left afterwards.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import psycopg
from psycopg.sql import SQL, Identifier

from benchmarks.served import PROJECT, Served, children, free_port, pss, wait_for
from instantlite.embedded import EmbeddedServer, Urls

# Databases of one run stay far below it: the benchmark is to meet the machine's limits, not the configuration's.
CONFIGURATION = "postgres:\n  max_databases: 100000\nhousekeeping:\n  repair_interval: 24h\n"
Connection = psycopg.Connection[tuple[object, ...]]


class Instance:
    """Use it in a `with`; start() and stop() run gunicorn with other settings on the same PostgreSQL."""

    def __init__(self, configuration: str = CONFIGURATION, port: int = 0) -> None:
        """`configuration` is the YAML that it runs with; `port` 0: that of the environment, or a free one."""
        self.folder = Path(tempfile.mkdtemp(prefix="instantlite-bench-"))
        # PostgreSQL runs as another account when we are root, and has to get in.
        self.folder.chmod(0o755)
        (self.folder / "config.yaml").write_text(configuration)
        self.port = port or int(os.environ.get("PORT") or free_port())
        self._secret = secrets.token_hex(32)
        self._postgres = EmbeddedServer(self.folder, durable=True)
        self._gunicorn: Served | None = None
        self.urls: Urls

    def __enter__(self) -> Self:
        signal.signal(signal.SIGTERM, _as_interrupt)
        try:
            self.urls = self._postgres.start()
            self.manage("migrate", "-v0")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        # A second Ctrl-C must not leave half of it behind.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.stop()
            self._postgres.stop()
            elsewhere = self.folder / "postgresql" / "elsewhere"
            if elsewhere.is_symlink():
                shutil.rmtree(elsewhere.resolve(), ignore_errors=True)
            shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            signal.signal(signal.SIGINT, before)

    def start(self, **settings: str) -> None:
        """Serves, with these environment variables on top of the defaults; returns when it answers."""
        log, environ = self.folder / "gunicorn.log", self.environ(settings)
        self._gunicorn = Served("gunicorn.conf.py", "instantlite.wsgi:application", self.port, environ, log)

    def stop(self) -> None:
        """Ends gunicorn; its log is shown if it had something to say."""
        if self._gunicorn:
            self._gunicorn.stop()
            self._gunicorn = None

    def manage(self, *arguments: str) -> None:
        """Runs manage.py to its end. Raises CalledProcessError."""
        subprocess.run([sys.executable, "manage.py", *arguments], cwd=PROJECT, env=self.environ({}), check=True)

    def environ(self, settings: dict[str, str]) -> dict[str, str]:
        """What a process of this instance is started with, and `settings` on top."""
        # Nothing that the caller's shell says about a service of its own may decide what is measured.
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return kept | {
            "CONFIG_PATH": str(self.folder / "config.yaml"),
            "DATABASE_URL": self.urls.platform,
            "CUSTOMER_DATABASE_URL": self.urls.customer,
            "SECRET_KEY": self._secret,
            "PORT": str(self.port),
            "LOG_LEVEL": "WARNING",
            # The load comes from one address, and is to meet the machine's limits.
            "INSTANTLITE_PROFILE": "laptop",
            **settings,
        }

    def connect(self, who: str = "platform") -> Connection:
        """A connection as `platform`, `customer` (the provisioner) or `superuser`; its user closes it."""
        return psycopg.connect(getattr(self.urls, who), autocommit=True)

    def count(self, state: str) -> int:
        with self.connect() as platform:
            row = platform.execute("SELECT count(*) FROM provisioning_database WHERE state = %s", [state]).fetchone()
        return int(str(row[0])) if row else 0

    def fill_pool(self, size: int) -> None:
        """Waits until `size` databases are finished and no build is under way."""
        wait_for(lambda: self.count("ready") >= size, 60 + size, f"{size} databases in the pool")
        wait_for(lambda: self.count("building") == 0, 60, "the last builds to end")

    def clear(self) -> None:
        """Drops every database and role that was made, so that the next phase starts like the first. Not served."""
        with self.connect() as platform:
            rows = platform.execute("SELECT db_name FROM provisioning_database WHERE state <> 'gone'").fetchall()
            platform.execute("TRUNCATE provisioning_database")
        self.drop([str(row[0]) for row in rows])
        with self.connect("superuser") as admin:
            # The next phase is not to pay for the disk writes that this one left.
            admin.execute("CHECKPOINT")

    def drop(self, names: list[str]) -> None:
        """Drops databases and roles of these names, two at a time: DROP DATABASE waits for a checkpoint."""

        def work(part: list[str]) -> None:
            # As superuser, who may also end an autovacuum worker that is in one of them.
            with self.connect("superuser") as admin:
                for name in part:
                    admin.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
                    admin.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(name)))

        threads = [threading.Thread(target=work, args=(names[offset::2],)) for offset in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def server_log(self) -> Path:
        """The file that PostgreSQL writes its log to now."""
        with self.connect("superuser") as admin:
            row = admin.execute("SELECT pg_current_logfile()").fetchone()
        assert row
        return Path(str(row[0]))

    def processes(self) -> tuple[list[int], list[int]]:
        """Process ids: gunicorn's master and workers; all of PostgreSQL."""
        assert self._gunicorn
        postmaster = int((self.folder / "postgresql" / "data" / "postmaster.pid").read_text().split()[0])
        return self._gunicorn.processes, [postmaster, *children(postmaster)]

    def memory(self) -> tuple[list[int], int | None]:
        """PSS in bytes: of gunicorn's master and each worker; of all of PostgreSQL, None where that may not be read."""
        ours, postgres = self.processes()
        try:
            theirs = sum(map(pss, postgres))
        except OSError:
            return list(map(pss, ours)), None
        return list(map(pss, ours)), theirs


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
