"""How gunicorn serves the project: gevent workers, loaded before the fork, housekeeping started after it."""

from gevent import monkey

monkey.patch_all()

import resource  # noqa: E402 — the patch comes before everything that may import socket or threading
from typing import Any  # noqa: E402

from instantlite import config as _configuration  # noqa: E402

try:
    _config = _configuration.load()
except _configuration.ConfigError as error:
    _configuration.fatal(error)

bind = f"{_config.server.host}:{_config.server.port}"
workers = _config.server.workers
worker_class = "instantlite.worker.Worker"
# Open streams, and beside them as many ordinary requests and captures as wait at a time.
worker_connections = _config.webhooks.streams + _config.webhooks.queue + 1000
# Each connection is a file, and shells and containers often allow a process no more than 1024 of them.
_files = resource.getrlimit(resource.RLIMIT_NOFILE)
_wanted = worker_connections + 500
if _files[0] != resource.RLIM_INFINITY and _files[0] < _wanted:
    _most = _wanted if _files[1] == resource.RLIM_INFINITY else min(_wanted, _files[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(_files[0], _most), _files[1]))
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
