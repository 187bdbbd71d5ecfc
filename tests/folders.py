"""Folders for the servers that tests start."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

# What is made once and used to the end of this process's run, see tests/plugin.py.
kept = ExitStack()


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that PostgreSQL's own account can reach; it goes at the end with all that is in it.

    pytest's tmp_path is closed to everybody else. As root the embedded server would then keep its files elsewhere, as
    it should, and a test run would leave them behind.
    """
    folder = Path(tempfile.mkdtemp(prefix="instantlite-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
