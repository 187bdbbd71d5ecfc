"""Changes of a database that is in its owner's hands. The row changes first and carries a mark; then its role on the
cluster is brought to what the row says, and the mark goes. Whoever dies in between, a step of housekeeping finishes.
"""

import logging
from datetime import timedelta
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from instantlite.resource import Gone, LifetimeReached, State
from provisioning import connections, credentials, pool, postgres
from provisioning.models import Database

log = logging.getLogger("instantlite.roles")


def owned(token: str) -> Database | None:
    """The active database of a token; None when there never was one. Raises Gone."""
    database = Database.objects.by_token(token)
    if database is not None and not database.is_active:
        raise Gone
    return database


def rotate(database: Database) -> Database:
    """A new password; sessions with the old one end. Raises Gone, ClusterDown."""
    if not Database.objects.rotate(database.pk):
        raise Gone
    return apply(database.pk)


def extend(database: Database, ttl: timedelta) -> Database:
    """Moves the expiry by `ttl`, never past the longest lifetime. Raises LifetimeReached, Gone, ClusterDown."""
    longest = settings.INSTANTLITE.limits.max_lifetime
    if not Database.objects.extend(database.pk, ttl, longest, role_stale_since=Now()):
        raise LifetimeReached
    return apply(database.pk)


def expire(database: Database) -> None:
    """Takes the database away at once; when its cluster does not answer, the reaper goes on trying. Raises Gone."""
    if not Database.objects.start_dropping(database.pk, State.ACTIVE):
        raise Gone
    pool.drop_leased(database)


def apply(resource_id: UUID) -> Database:
    """Brings the role to what the row says, and gives the row. Raises Gone, ClusterDown.

    The row stays locked meanwhile: of two callers the later one reads the newer row, so that an older password can
    never overwrite a newer one.
    """
    with transaction.atomic():
        database = Database.objects.active().select_for_update().filter(pk=resource_id).first()
        if database is None:
            raise Gone
        if database.role_stale_since is None:
            return database
        changed = database.applied_generation != database.generation
        verifier = credentials.scram_verifier(database.password) if changed else None
        assert database.expires_at is not None, "an active database has an expiry"  # noqa: S101 — tells mypy
        postgres.set_role(connections.to(database.cluster_id), database.db_name, database.expires_at, verifier)
        database.applied_generation = database.generation
        database.role_stale_since = None
        database.save(update_fields=["applied_generation", "role_stale_since"])
        return database


def finish_one() -> str | None:
    """Finishes one change whose process died, or whose cluster was away. Says what it did."""
    database = Database.objects.stale_roles(timedelta(seconds=10)).first()
    if database is None:
        return None
    try:
        apply(database.pk)
    except Gone:
        return None
    except connections.ClusterDown as error:
        pool.mark_down(database.cluster_id, str(error))
        return None
    except psycopg.Error as error:
        log.error("role %s cannot be changed: %s", database.db_name, error)
        pool.discard(database, State.ACTIVE, error=str(error))
    return f"brought role {database.db_name} up to date"
