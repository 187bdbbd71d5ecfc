"""The embedded PostgreSQL as operating system processes: find, launch, wait for, end.

The server is nobody's child: whoever starts it may be killed, and the next start finds it by the pid file in
its data directory (PostgreSQL manual, 66.1, `postmaster.pid`).
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from instantlite.embedded_place import Account, Home

# Crash recovery replays at most max_wal_size; a slow disk does that in well under two minutes.
START_SECONDS = 120.0
STOP_SECONDS = 30.0
PAUSE_SECONDS = 0.02


def postmaster(home: Home) -> int | None:
    """Return the process id of the server that runs on this cluster, or None."""
    pid, _ = _pid_file(home)
    return pid if pid and _is_server(pid, home) else None


def _pid_file(home: Home) -> tuple[int | None, str]:
    """Return the pid and the status (`starting`, `ready`, `stopping`) from the pid file."""
    try:
        lines = (home.cluster / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[7].strip() if len(lines) > 7 else "starting"
    except (OSError, ValueError, IndexError):
        # Absent, or read in the moment when the server has created it and not yet written.
        return None, ""


def _is_server(pid: int, home: Home) -> bool:
    """Whether this process is the cluster's server: after a reboot its number may belong to anybody."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    words = Path(f"/proc/{pid}/cmdline")
    try:
        # A zombie's command line is empty. The folder /proc/<pid>/cwd would say the same but is closed to a
        # root without CAP_SYS_PTRACE, as in many containers.
        return os.fsencode(home.cluster) in words.read_bytes().split(b"\0")
    except OSError:
        # No such file: not Linux, so the pid file's word has to do; or it ended just now.
        return not Path("/proc/self").exists()


def launch(home: Home, programs: Path, account: Account) -> int | None:
    """Start the server in the background; return its process id, or None when the shell could not.

    It belongs to no terminal and is no child of ours: a shell starts it in a new session and ends.
    (`pg_ctl` would do, but puts our paths through a command line that it quotes only in part.)
    """
    if postmaster(home) is None:
        # Left by a killed server. PostgreSQL would not start while any process has the number in these files:
        # another one after a reboot, or the dead server itself where nobody reaps orphans, as in containers.
        # Removing them is safe: the socket's folder is this cluster's alone, and a server that still used
        # the cluster would be found by its shared memory, keyed by the folder's inode.
        for leftover in [home.cluster / "postmaster.pid", *home.sockets.glob(".s.PGSQL.*")]:
            leftover.unlink(missing_ok=True)
    script = '"$0" -D "$1" -c config_file="$2" </dev/null >>"$3" 2>&1 & echo $!'
    config, first_words = home.root / "postgresql.conf", home.log / "startup.log"
    shell = account.run(["/bin/sh", "-c", script, programs / "postgres", home.cluster, config, first_words])
    return int(shell.stdout) if shell.stdout.strip().isdigit() else None


def wait_ready(home: Home, launched: int | None = None) -> bool:
    """Wait until the server accepts connections; False when it ended instead, or after two minutes.

    `launched` is the process just started, which may not have written its pid file yet.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        pid, status = _pid_file(home)
        running = pid is not None and _is_server(pid, home)
        if running and status == "ready":
            return True
        if not running and not (launched and _is_server(launched, home)):
            return False
        time.sleep(PAUSE_SECONDS)
    return False


def end(home: Home) -> bool:
    """Shut the server down, hard when that takes over half a minute; False when it is still there then."""
    for request in (signal.SIGINT, signal.SIGQUIT):
        pid = postmaster(home)
        if pid is None:
            return True
        _signal(pid, request)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if not _is_server(pid, home):
                return True
            time.sleep(PAUSE_SECONDS)
    return postmaster(home) is None


def destroy(home: Home) -> None:
    """Kill the server and its children with SIGKILL, as a power cut would, and wait until all are gone."""
    pid = postmaster(home)
    if pid is None:
        return
    # Stopped first: a postmaster that sees a child die would start to put things in order.
    _signal(pid, signal.SIGSTOP)
    family = [pid, *_children(pid)]
    for member in family:
        _signal(member, signal.SIGKILL)
    deadline = time.monotonic() + STOP_SECONDS
    while any(_alive(member) for member in family) and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _children(parent: int) -> list[int]:
    """Process ids of the children, from /proc; none where there is no /proc (they then end by themselves)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields and int(fields[1]) == parent:
            found.append(int(folder.name))
    return found


def _alive(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] not in ("Z", "X")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the name: state, parent, …; empty for no such process."""
    try:
        # The name stands in brackets and may hold blanks and brackets itself, see proc(5).
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
