"""gunicorn as one process group, and what /proc says of processes: their children, memory and time."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.load import Client

PROJECT = Path(__file__).resolve().parent.parent
_TICK = os.sysconf("SC_CLK_TCK")


class Served:
    """A gunicorn that answers `/livez` once the constructor returns; its output goes to `log`."""

    def __init__(self, configuration: str, application: str, port: int, environ: dict[str, str], log: Path) -> None:
        self._log = log
        command = [sys.executable, "-m", "gunicorn", "-c", configuration, application]
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                command, cwd=PROJECT, env=environ, stdout=file, stderr=file, process_group=0
            )
        try:
            probe = Client(port)
            wait_for(lambda: probe.send("GET", "/livez").status == 200, 30, "the service to answer")
            probe.close()
        except BaseException:
            self.stop()
            raise

    @property
    def processes(self) -> list[int]:
        """The master, then its workers."""
        return [self._process.pid, *children(self._process.pid)]

    def stop(self) -> None:
        """Ends it; its log is shown if it had something to say."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for line in self._log.read_text().strip().splitlines()[-20:]:
            print(f"      | {line}")
        self._log.write_text("")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def pss(pid: int) -> int:
    """Proportional set size: each shared page counts for its share, so that the sum over processes is true."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended just now
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time that they have used, and that children which they have waited for had (proc_pid_stat(5))."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / _TICK


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Asks until it is so. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)
