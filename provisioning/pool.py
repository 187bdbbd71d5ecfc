"""The pool of finished databases: handing one out, building the next, and taking one away.

Each step does one unit of work, may run in any number of processes at once, and may be killed at any line: what it
leaves is a row in a named state with a time on it, and a step that takes it on from there.
"""

import logging
import threading
import time
from dataclasses import dataclass

import psycopg
from django.conf import settings
from django.db import IntegrityError

from instantlite.platformdb import let_go_of_connection
from instantlite.resource import Gone, State, Wish
from provisioning import connections, credentials, postgres
from provisioning.connections import ClusterDown
from provisioning.models import Cluster, Database, NoPlace

log = logging.getLogger("instantlite.pool")


class Unavailable(Exception):
    """No cluster can make a database right now. `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("no cluster can make a database right now")
        self.retry_after = retry_after


class Mismatch(Exception):
    """The idempotency key was used for a request that asked for something else."""


@dataclass(frozen=True)
class HandedOut:
    """A database in its owner's hands; `replayed` when an earlier request with the same key had got it already."""

    database: Database
    replayed: bool = False


# How many requests of this process may build at once when the pool is empty; the others wait for their turn, and
# look into the pool again when it comes.
_build_slots = threading.BoundedSemaphore(settings.INSTANTLITE.pool.parallel_builds)


def hand_out(wish: Wish) -> HandedOut:
    """A database for `wish`: a finished one from the pool, else one built there and then.

    Raises Unavailable, Mismatch, and for a repeated idempotency key Gone and ClusterDown.
    """
    deadline = time.monotonic() + settings.INSTANTLITE.pool.wait.total_seconds()
    while True:
        try:
            database = Database.objects.claim(wish)
        except IntegrityError:
            replay = _replay(wish)
            if replay:
                return replay
            continue
        if database and _open(database):
            return HandedOut(database)
        if database is None:
            _build_for_a_caller(deadline)


def _replay(wish: Wish) -> HandedOut | None:
    """What the same client got for the same key; None when that is so long ago that the key is free again.

    The role is opened once more: the first request may have died between the claim and the opening. Raises Mismatch,
    Gone when the database is not there any more, ClusterDown.
    """
    if Database.objects.forget_stale_key(wish):
        return None
    database = Database.objects.by_idempotency(wish)
    if database is None:
        return None
    if not database.asked_by(wish):
        raise Mismatch
    if not Database.objects.active().filter(pk=database.pk).exists():
        raise Gone
    _open_role(database)
    return HandedOut(database, replayed=True)


def _open(database: Database) -> bool:
    """Lets the owner log in. False when that cannot be; the row is then back in the pool, or with the reaper."""
    try:
        _open_role(database)
    except ClusterDown as error:
        mark_down(database.cluster_id, str(error))
        Database.objects.release(database)
        return False
    except psycopg.Error as error:
        # The cluster answers, but not with this database: somebody dropped it, or the role, behind our back.
        log.error("database %s cannot be opened: %s", database.db_name, error)
        discard(database, State.ACTIVE, error=str(error))
        return False
    return True


def _open_role(database: Database) -> None:
    assert database.expires_at is not None, "a claimed database has an expiry"  # noqa: S101 — tells mypy
    cluster = connections.to(database.cluster_id)
    postgres.open_role(cluster, database.db_name, database.expires_at, database.connections)


def discard(database: Database, *states: State, error: str = "") -> None:
    """Hands a database that nobody should get to the reaper, and frees the key that it was claimed with."""
    Database.objects.filter(pk=database.pk).update(idempotency_mac=None)
    Database.objects.start_dropping(database.pk, *states, error=error)


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
        if Cluster.objects.for_placement() is None:
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
        mark_down(database.cluster_id, str(error))
        discard(database, State.BUILDING, error=str(error))
    except psycopg.Error as error:
        # It lacks a right, a template, or room: asking again at once would fail again at once.
        mark_down(database.cluster_id, f"{error} (manage.py checkcluster {database.cluster_id} says what is missing)")
        discard(database, State.BUILDING, error=str(error))
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


def mark_down(cluster: str, reason: str) -> None:
    """Leaves a cluster alone for a few seconds, in every process; logged by the one that noticed first."""
    if Cluster.objects.mark_down(cluster, reason):
        log.warning("cluster %s is left alone for a moment: %s", cluster, reason)


def reap_one() -> str | None:
    """Drops one database whose time is up. Says what it did, or None when there is nothing to do."""
    database = Database.objects.claim_due()
    if database is None:
        return None
    return drop_leased(database)


def drop_leased(database: Database) -> str:
    """Drops a database that this process holds the lease of; a failure schedules the next try."""
    try:
        postgres.drop(connections.to(database.cluster_id), database.db_name)
    except ClusterDown as error:
        mark_down(database.cluster_id, str(error))
        Database.objects.drop_failed(database, str(error))
        return f"could not reach {database.cluster_id} to drop {database.db_name}"
    except psycopg.Error as error:
        log.warning("could not drop %s, try %d: %s", database.db_name, database.tries, error)
        Database.objects.drop_failed(database, str(error))
        return f"could not drop {database.db_name}"
    Database.objects.dropped(database.pk)
    return f"dropped {database.db_name}"
