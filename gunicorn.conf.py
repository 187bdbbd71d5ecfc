"""How gunicorn serves the project: gevent workers, loaded before the fork, housekeeping started after it."""

from gevent import monkey

monkey.patch_all()

from typing import Any  # noqa: E402 — the patch comes before everything that may import socket or threading

from instantlite import config as _configuration  # noqa: E402

try:
    _config = _configuration.load()
except _configuration.ConfigError as error:
    _configuration.fatal(error)

bind = f"{_config.server.host}:{_config.server.port}"
workers = _config.server.workers
worker_class = "instantlite.worker.Worker"
worker_connections = 1000
# Code is loaded once and shared by the workers, which saves some 40 MB each. No thread and no connection may exist
# before the fork; what needs one starts in post_worker_init.
preload_app = True
timeout = 60
graceful_timeout = 20
keepalive = 5
# A worker's heartbeat file on a disk can block when the disk is busy; memory cannot.
worker_tmp_dir = "/dev/shm"  # noqa: S108 — gunicorn makes an unlinked file of its own in it
loglevel = "warning" if _config.observability.log_format == "console" else "info"

_housekeepers: list[Any] = []


def post_worker_init(worker: Any) -> None:
    """In the worker, once the application is there: its housekeeping loop (unless configured elsewhere)."""
    from instantlite import housekeeping  # noqa: PLC0415 — needs Django, which the application has set up by now

    _housekeepers.extend(housekeeping.start())


def worker_exit(server: Any, worker: Any) -> None:
    """As the worker ends: no new step is begun."""
    for housekeeper in _housekeepers:
        housekeeper.stop()
