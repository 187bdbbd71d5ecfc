"""Folders for the servers that tests start."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

# What is made once and used to the end of this process's run, see tests/plugin.py.
kept = ExitStack()

_MEMORY = Path("/dev/shm")
# What the servers of four test processes hold at a time, and as much again.
_BYTES = 4 << 30


@contextmanager
def open_folder(*, on_disk: bool = False) -> Iterator[Path]:
    """A temporary folder that PostgreSQL's own account can reach; it goes at the end with all that is in it.

    In memory where there is enough, unless it has to be on a disk: servers that make and empty tables all the time
    spend half of their time in the file system otherwise.

    pytest's tmp_path is closed to everybody else. As root the embedded server would then keep its files elsewhere, as
    it should, and a test run would leave them behind.
    """
    folder = Path(tempfile.mkdtemp(prefix="instantlite-test-", dir=None if on_disk else in_memory()))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def in_memory() -> Path | None:
    """A folder whose files are in memory. None where that has little room, as in many containers, and where somebody
    says with TMPDIR where temporary files go."""
    if "TMPDIR" in os.environ:
        return None
    try:
        room = os.statvfs(_MEMORY)
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        available = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return None
    plenty = min(room.f_bavail * room.f_frsize, available) > _BYTES
    return _MEMORY if plenty and os.access(_MEMORY, os.W_OK) else None
