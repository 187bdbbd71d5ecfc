"""`manage.py up`, which is what `make run` runs: from nothing to a database, down again, and up with its data."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psycopg
import pytest
import requests

from instantlite import embedded
from tests.folders import open_folder
from tests.service import PROJECT, free_port

# What the test run itself is configured with must not leak into a newcomer's first start.
CONFIGURED = (
    *("DATABASE_URL", "CUSTOMER_DATABASE_URL", "REDIS_URL", "SECRET_KEY", "POOL_SIZE", "HOUSEKEEPING_MODE"),
    *("CONFIG_PATH", "INSTANTLITE_PROFILE"),
)


class Up:
    """One `manage.py up`, in a process group of its own."""

    def __init__(self, data: Path, port: int) -> None:
        self.port = port
        environ = {name: value for name, value in os.environ.items() if name not in CONFIGURED}
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=PROJECT,
            env=environ | {"DATA_DIR": str(data), "PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def banner(self) -> str:
        """What it prints until it is up."""
        out: IO[str] = self.process.stdout  # type: ignore[assignment]  # a pipe was asked for
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            line = out.readline()
            assert line, f"ended before it was up: {lines} {self.end()}"
            lines.append(line)
        return "".join(lines)

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """The exit status after a signal, and what it wrote to standard error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, err = self.process.communicate(timeout=40)
        return self.process.returncode, err


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as opened:
        yield opened


@pytest.fixture
def up() -> Iterator[list[Up]]:
    """Where a test puts what it started, so that nothing outlives it."""
    started: list[Up] = []
    yield started
    for one in started:
        one.end()


def start(up: list[Up], data: Path, port: int) -> tuple[Up, str]:
    one = Up(data, port)
    up.append(one)
    return one, one.banner()


def test_a_newcomer_gets_a_database_and_an_inbox_and_finds_them_again_after_a_restart(
    folder: Path, up: list[Up]
) -> None:
    port, data = free_port(), folder / "data"
    first, banner = start(up, data, port)
    assert f"http://localhost:{port}" in banner
    assert f"curl -X POST http://localhost:{port}/db/new" in banner
    assert f"curl -X POST http://localhost:{port}/webhook/new" in banner
    password = re.search(r"user admin, password (\S+)", banner)
    assert password is not None

    answer = requests.post(f"http://localhost:{port}/db/new", timeout=30)
    assert '"provisions";q=10000;' in answer.headers["RateLimit-Policy"], "nobody is locked out of their own machine"
    made = answer.json()
    with psycopg.connect(made["connection_url"]) as tenant:
        tenant.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    login = requests.get(f"http://localhost:{port}/admin/login/", timeout=10)
    assert login.status_code == 200
    inbox = requests.post(f"http://localhost:{port}/webhook/new", timeout=30).json()
    assert requests.post(f"{inbox['receive_url']}/a", "a body", timeout=10).status_code == 200

    assert first.end(signal.SIGINT) == (0, "")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(made["connection_url"])

    second, banner = start(up, data, port)
    assert password.group(1) not in banner
    with psycopg.connect(made["connection_url"]) as tenant:
        assert tenant.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert requests.get(f"http://localhost:{port}/db/{made['token']}", timeout=10).status_code == 200
    (kept,) = requests.get(f"{inbox['status_url']}/requests", timeout=10).json()["items"]
    assert (kept["path"], kept["size"]) == ("/a", 6)
    assert second.end(signal.SIGTERM) == (0, "")
    addresses = embedded.urls(data)
    assert addresses is not None
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(addresses.platform)


def test_a_port_that_is_taken_is_said_in_one_line_before_anything_starts(folder: Path, up: list[Up]) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        one = Up(folder / "data", holder.getsockname()[1])
        status, err = one.end(0)
    assert status == 1
    assert err.startswith("instantlite: fatal: port ")
    assert err.count("\n") == 1
    assert not (folder / "data").exists()


def test_a_broken_configuration_is_one_line_and_status_1(tmp_path: Path) -> None:
    broken = tmp_path / "config.yaml"
    broken.write_text("server:\n  prot: 8000\n")
    run = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=PROJECT,
        env=os.environ | {"CONFIG_PATH": str(broken)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith(f"instantlite: fatal: {broken}: server.prot: ")
    assert "port" in run.stderr
