"""The pool of finished databases: handing one out, building the next.

Each step does one unit of work, may run in any number of processes at once, and may be killed at any line: what it
leaves is a row in a named state with a time on it, and a step that takes it on from there.
"""

import logging
import threading
import time

import psycopg
from django.conf import settings
from django.db import IntegrityError

from instantlite.handing_out import HandedOut, earlier
from instantlite.platformdb import let_go_of_connection
from instantlite.resource import State, Wish
from provisioning import connections, credentials, postgres
from provisioning.connections import ClusterDown
from provisioning.models import Cluster, Database, NoPlace

log = logging.getLogger("instantlite.pool")


class Unavailable(Exception):
    """No cluster can make a database right now. `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("no cluster can make a database right now")
        self.retry_after = retry_after


# How many requests of this process may build at once when the pool is empty; the others wait for their turn, and
# look into the pool again when it comes.
_build_slots = threading.BoundedSemaphore(settings.INSTANTLITE.pool.parallel_builds)


def hand_out(wish: Wish) -> HandedOut[Database]:
    """A database for `wish`: a finished one from the pool, else one built there and then.

    Raises Unavailable, Mismatch, and for a repeated idempotency key Gone and ClusterDown.
    """
    deadline = time.monotonic() + settings.INSTANTLITE.pool.wait.total_seconds()
    while True:
        try:
            database = Database.objects.claim(wish)
        except IntegrityError:
            # No key was taken: a fault of ours, and nothing that is there is this caller's.
            if wish.idempotency_key is None:
                raise
            repeated = earlier(Database.objects.all(), wish)
            if repeated:
                _open_role(repeated)
                return HandedOut(repeated, replayed=True)
            continue
        if database and _open(database):
            return HandedOut(database)
        if database is None:
            _build_for_a_caller(deadline)


def _open(database: Database) -> bool:
    """Lets the owner log in. False when that cannot be; the row is then back in the pool, or with the reaper."""
    try:
        _open_role(database)
    except ClusterDown as error:
        database.note_down(str(error))
        Database.objects.release(database)
        return False
    except psycopg.Error as error:
        # The cluster answers, but not with this database: somebody dropped it, or the role, behind our back.
        log.error("database %s cannot be opened: %s", database.db_name, error)
        Database.objects.discard(database.pk, State.ACTIVE, error=str(error))
        return False
    return True


def _open_role(database: Database) -> None:
    assert database.expires_at is not None, "a claimed database has an expiry"  # noqa: S101 — tells mypy
    cluster = connections.to(database.cluster_id)
    postgres.open_role(cluster, database.db_name, database.expires_at, database.connections)


def _build_for_a_caller(deadline: float) -> None:
    """Adds a database to the pool while a request waits. Raises Unavailable when there is no place or no time."""
    patience = deadline - time.monotonic()
    let_go_of_connection()
    if patience <= 0 or not _build_slots.acquire(timeout=patience):
        raise Unavailable(retry_after=5)
    try:
        # Another process may have filled the pool while this caller waited for its turn.
        if Database.objects.pooled().filter(state=State.READY).exists():
            return
        build_one()
    except NoPlace:
        Cluster.objects.sync()
        if Database.objects.placement() is None:
            raise Unavailable(retry_after=_retry_after()) from None
    finally:
        _build_slots.release()


def _retry_after() -> int:
    """Seconds until asking again makes sense: a cluster that is away is tried again soon, a full one is not."""
    away = Cluster.objects.filter(name__in=settings.CLUSTERS).count() > Cluster.objects.reachable().count()
    return max(1, round(settings.INSTANTLITE.postgres.down_for.total_seconds())) if away else 60


def refill_one() -> str | None:
    """Builds one database if the pool has a gap. Says what it did, or None when there is nothing to do."""
    try:
        database = build_one(only_below=settings.INSTANTLITE.pool.size)
    except NoPlace:
        return None
    return f"built {database.db_name}" if database else None


def build_one(*, only_below: int | None = None) -> Database | None:
    """Builds one database on the least loaded cluster. Raises NoPlace. None when none was wanted, or it failed."""
    database = Database.objects.start_build(only_below=only_below)
    if database is None:
        return None
    blueprint = _blueprint(database)
    let_go_of_connection()
    try:
        cluster = connections.to(database.cluster_id)
        verifier = credentials.scram_verifier(database.password)
        postgres.build(cluster, database.db_name, verifier, blueprint)
    except ClusterDown as error:
        database.note_down(str(error))
        Database.objects.discard(database.pk, State.BUILDING, error=str(error))
    except psycopg.Error as error:
        # It lacks a right, a template, or room: asking again at once would fail again at once.
        database.note_down(f"{error} (manage.py checkcluster {database.cluster_id} says what is missing)")
        Database.objects.discard(database.pk, State.BUILDING, error=str(error))
    else:
        if Database.objects.finish_build(database):
            return database
        # Slower than its lease: the reaper has it, and may have gone before the last statement of the build.
        postgres.drop(cluster, database.db_name)
    return None


def _blueprint(database: Database) -> postgres.Blueprint:
    config = settings.INSTANTLITE
    return postgres.Blueprint(
        template=database.cluster.template_name,
        extensions=config.postgres.extensions,
        statement_timeout=config.limits.statement_timeout,
        connections=config.limits.connections,
    )
