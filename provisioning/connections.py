"""Administrative connections to tenants' clusters: a few per process, kept warm, given up at the first doubt.

Not psycopg_pool: that one connects in the background and tells a caller only "timeout" when a cluster is away. A
request must learn at once that a connection was refused, and why, to go on to the next cluster.
"""

import select
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from django.conf import settings
from psycopg.conninfo import make_conninfo

from instantlite.config import ClusterConfig
from instantlite.logs import first_line
from provisioning.servers import ServerDown

Connection = psycopg.Connection[tuple[object, ...]]


class ClusterDown(ServerDown):
    """A PostgreSQL cluster is away."""


@dataclass
class ClusterConnections:
    """Autocommit connections to one cluster's maintenance database; at most `most` at a time, in use or idle."""

    name: str
    url: str
    most: int
    connect_timeout: float
    _idle: deque[Connection] = field(default_factory=deque)
    _places: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._places = threading.Semaphore(self.most)

    @contextmanager
    def use(self) -> Iterator[Connection]:
        """A connection for a few statements. Raises ClusterDown for everything that is the cluster's absence."""
        if not self._places.acquire(timeout=self.connect_timeout * 5):
            raise ClusterDown("all administrative connections are in use")
        try:
            with translated():
                connection = self._take() or self.connect()
                try:
                    yield connection
                finally:
                    self._put_back(connection)
        finally:
            self._places.release()

    def connect(self, dbname: str | None = None) -> Connection:
        """A new connection, to the maintenance database or another one of the cluster. Its user closes it."""
        return psycopg.connect(
            make_conninfo(self.url, **({"dbname": dbname} if dbname else {})),
            autocommit=True,
            application_name="instantlite admin",
            connect_timeout=max(2, round(self.connect_timeout)),
            # No plan is worth keeping: these statements are DDL, each with other names.
            prepare_threshold=None,
            # A statement that waits for a lock of a tenant's must not hold a caller up for ever.
            options="-c statement_timeout=30s -c lock_timeout=10s",
            keepalives_idle=30,
        )

    def close_idle(self) -> None:
        """Closes the connections that nobody uses now."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not connection.closed and not _has_news(connection):
                return connection
            connection.close()

    def _put_back(self, connection: Connection) -> None:
        if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.close()
        else:
            self._idle.append(connection)


def _has_news(connection: Connection) -> bool:
    """Whether an idle connection's socket is readable: the server closed it. Costs no round trip."""
    poll = select.poll() if hasattr(select, "poll") else None
    if poll is None:
        return bool(select.select([connection.fileno()], [], [], 0)[0])
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def translated() -> Iterator[None]:
    """Turns the errors of a cluster that is away, starting, stopping or out of connections into ClusterDown."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.ObjectInUse):
            raise
        raise ClusterDown(first_line(error)) from error


_open: dict[str, ClusterConnections] = {}
_opening = threading.Lock()


def configured(cluster: str) -> ClusterConfig:
    """The configuration of a cluster. Raises ClusterDown when it is not there any more."""
    config: ClusterConfig | None = settings.CLUSTERS.get(cluster)
    if config is None:
        raise ClusterDown(f"cluster {cluster} is not in the configuration")
    return config


def to(cluster: str) -> ClusterConnections:
    """This process's connections to a configured cluster. Raises ClusterDown when it is not configured any more."""
    config = configured(cluster)
    with _opening:
        found = _open.get(cluster)
        if found is None or found.url != config.url:
            if found:
                found.close_idle()
            options = settings.INSTANTLITE.postgres
            timeout = options.connect_timeout.total_seconds()
            found = _open[cluster] = ClusterConnections(cluster, config.url, options.pool_max, timeout)
        return found


def close_all() -> None:
    """Closes what is idle, for a process that is about to end."""
    with _opening:
        for cluster in _open.values():
            cluster.close_idle()
