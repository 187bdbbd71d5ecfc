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
_wanted = worker_connections + _config.forwarding.in_flight + _config.forwarding.proxied + 500
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

# What is taken for a request. A webhook inbox takes anything that has one meaning, however odd; what two readers could
# understand differently (two lengths, folded or colon-less lines, a bare LF, two hosts) stays a 400, because a proxy
# before us may be the other reader. worker.py words the refusals.
#
# Only the parser in Python gives worker.py the header section as it came; the one in C is used where it is installed.
http_parser = "python"
# Methods are tokens of any case and length (RFC 9110, section 9.1), not 3 to 20 capitals. Django, whose views know them
# in upper case, treats `get` as GET; nothing of ours decides more by a method than what Django asks by the same name.
permit_unconventional_http_method = True
# Bytes of method, target and version together: twice the default, and as many as RFC 9112, section 3, asks for.
limit_request_line = 8190
# Header lines, and bytes of one: what nginx and Apache take by default, so what comes through them gets in here. One
# connection can make us hold the product of both, 0.8 MB.
limit_request_fields = 100
limit_request_field_size = 8190
# Lines whose name has an underscore: WSGI could not tell X_Forwarded_For from X-Forwarded-For, so Django does not see
# them. An inbox does, in the section as it came.
header_map = "drop"
# gunicorn believes a local peer's SCRIPT_NAME and PATH_INFO, and refuses requests whose scheme headers contradict each
# other: a sender's own would be enough. Nobody may say the former, and the scheme only who is named in trusted_proxies,
# in the one header that those set.
forwarded_allow_ips = ",".join(map(str, _config.server.trusted_proxies))
forwarder_headers = ""
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}

loglevel = "warning" if _config.observability.log_format == "console" else "info"

_running: list[Any] = []
# For what is under way as a worker ends.
_FAREWELL_SECONDS = 6


def post_worker_init(worker: Any) -> None:
    """In the worker, once the application is there: its housekeeping loops (unless configured elsewhere)."""
    from instantlite import housekeeping, shutdown  # noqa: PLC0415 — needs Django, which is set up by now

    running = housekeeping.start()
    if running:
        _running.append(running)
        # As soon as the worker is told to end, while it still answers.
        shutdown.register(running.stop)


def worker_exit(server: Any, worker: Any) -> None:
    """As the worker ends: no new step is begun."""
    for running in _running:
        running.join(_FAREWELL_SECONDS)
