"""The whole service as real processes on ports of its own, for tests of pages, faults and shutdown."""

import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import requests

from instantlite import embedded_setup
from instantlite.embedded import EmbeddedServer, Urls
from tests.folders import kept, open_folder

PROJECT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A free port of 127.0.0.1 that stays free until the caller listens on it, and while its server is down.

    From 32768 on Linux takes ports for outgoing connections, of any test at any time; from 15433 on the embedded
    PostgreSQL chooses. Of the rest each of the processes that test at once (tests/plugin.py) has its share.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = range(10_000 + number, 15_433, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    return next(port for port in random.SystemRandom().sample(share, len(share)) if embedded_setup.port_is_free(port))


@dataclass
class Service:
    """gunicorn with its workers, beside a PostgreSQL of its own."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    secret_key: str = field(default_factory=lambda: secrets.token_hex(32))
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        data = self.folder / "data"
        copied = _copy_migrated(data)
        self.postgres = EmbeddedServer(data, durable=self.settings.pop("durable", "") == "yes")
        self.urls: Urls = self.postgres.start()
        if not copied:
            self.manage("migrate", "-v0")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What our processes are started with: nothing of the test run's own service."""
        return os.environ | {
            "DATABASE_URL": self.urls.platform,
            "CUSTOMER_DATABASE_URL": self.urls.customer,
            "SECRET_KEY": self.secret_key,
            "PORT": str(self.port),
            "APP_URL": self.url,
            "HOUSEKEEPING_MODE": "web",
            **self.settings,
        }

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs manage.py to its end; gives what it printed. Raises CalledProcessError unless told not to check."""
        return _manage(self.environ, *arguments, check=check)

    def start(self) -> "Service":
        """Starts gunicorn and waits until it answers."""
        command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "instantlite.wsgi:application"]
        with (self.folder / "gunicorn.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=PROJECT, env=self.environ, stderr=log, stdout=log, process_group=0
            )
        try:
            wait_for(self._answers, seconds=30, what="the service to answer")
        except AssertionError as error:
            # The log goes with the folder.
            said = (self.folder / "gunicorn.log").read_text(errors="replace").splitlines()[-20:]
            raise AssertionError(
                "\n".join([f"{error}; it ended with {self._process.poll()} and said:", *said])
            ) from None
        return self

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/livez", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def kill(self) -> None:
        """SIGKILL to every process of ours at once, as a power cut would."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def terminate(self) -> int:
        """SIGTERM to the master; gives its exit status."""
        assert self._process
        self._process.terminate()
        status = self._process.wait(30)
        self._process = None
        return status

    def post(self, path: str, **options: Any) -> requests.Response:
        return requests.post(f"{self.url}{path}", timeout=options.pop("timeout", 30), **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=options.pop("timeout", 30), **options)

    def close(self) -> None:
        """Everything ends."""
        self.kill()
        self.postgres.stop()


def _manage(environ: dict[str, str], *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=environ, check=check, capture_output=True, text=True, timeout=60)


@cache
def _migrated() -> Path:
    """The data folder of a PostgreSQL with our tables, which does not run. Made once in a process: to make one takes
    five seconds, to copy it a small part of one."""
    folder = kept.enter_context(open_folder())
    with EmbeddedServer(folder, durable=False) as server:
        urls = server.start()
        environ = {"DATABASE_URL": urls.platform, "CUSTOMER_DATABASE_URL": urls.customer, "SECRET_KEY": "x" * 50}
        _manage(os.environ | environ, "migrate", "-v0")
    return folder


def _copy_migrated(data: Path) -> bool:
    """Makes `data` a copy with a port of its own. False where that cannot be, as PostgreSQL cannot enter our folders
    here and keeps its files elsewhere."""
    if (_migrated() / "postgresql" / "elsewhere").exists():
        return False
    subprocess.run(["cp", "-a", _migrated(), data], check=True)
    folder = data / "postgresql"
    record = embedded_setup.read_record(folder)
    assert record
    embedded_setup.write_record(folder, replace(record, port=embedded_setup.free_port()))
    return True


def wait_for(condition: Any, *, seconds: float = 20, what: str = "it") -> Any:
    """Asks again and again until the answer is true; gives that answer. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for {what}")


def under_load(work: Callable[[], None], *calls: Callable[[], None]) -> None:
    """Does `work` while each of `calls` is made again and again, in a thread of its own."""
    done = threading.Event()

    def again_and_again(call: Callable[[], None]) -> None:
        while not done.is_set():
            call()

    threads = [threading.Thread(target=again_and_again, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    try:
        work()
    finally:
        done.set()
        for thread in threads:
            thread.join()
