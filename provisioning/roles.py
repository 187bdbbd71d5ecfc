"""Changes of what is in its owner's hands. The row changes first and carries a mark; then its user on the server is
brought to what the row says, and the mark goes. Whoever dies in between, a step of housekeeping finishes.
"""

import logging
import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from instantlite.platformdb import let_go_of_connection
from instantlite.resource import Gone, LifetimeReached, State
from provisioning import reaper
from provisioning.models.provisioned import Row, rows_of
from provisioning.servers import ServerDown

log = logging.getLogger("instantlite.roles")

# How long DELETE waits for what the owner left behind to be removed; the owner is shut out before that.
CALLERS_PATIENCE_SECONDS = 0.5

# Each change holds a platform connection while it waits for the server. Half of them at most, or a server that is slow
# would keep all other requests from the database.
_slots = threading.BoundedSemaphore(max(1, settings.INSTANTLITE.database.pool_max // 2))


def rotate(row: Row) -> Row:
    """A new password; sessions with the old one end. Raises Gone, ServerDown."""
    if not rows_of(type(row)).rotate(row.pk):
        raise Gone
    return apply(type(row), row.pk)


def extend(row: Row, ttl: timedelta) -> Row:
    """Moves the expiry by `ttl`, never past the longest lifetime. Raises LifetimeReached, Gone.

    A server that is away is no error: the expiry has moved, and the server follows by itself. Told to ask again, a
    caller would extend once more.
    """
    longest = settings.INSTANTLITE.limits.max_lifetime
    mark: dict[str, Any] = {"role_stale_since": Now()} if row.expires_on_server else {}
    if not rows_of(type(row)).extend(row.pk, ttl, longest, **mark):
        raise LifetimeReached
    if row.expires_on_server:
        try:
            return apply(type(row), row.pk)
        except ServerDown as error:
            row.note_down(str(error))
    extended = rows_of(type(row)).active().filter(pk=row.pk).first()
    if extended is None:
        raise Gone
    return extended


def expire(row: Row) -> None:
    """Takes it away at once; when its server does not answer, the reaper goes on trying. Raises Gone."""
    if not rows_of(type(row)).start_dropping(row.pk, State.ACTIVE):
        raise Gone
    reaper.drop_leased(row, CALLERS_PATIENCE_SECONDS)


def apply(model: type[Row], resource_id: UUID) -> Row:
    """Brings the user on the server to what the row says, and gives the row. Raises Gone, ServerDown.

    The row stays locked meanwhile: of two callers the later one reads the newer row, so that an older password can
    never overwrite a newer one.
    """
    let_go_of_connection()
    if not _slots.acquire(timeout=settings.INSTANTLITE.database.pool_timeout.total_seconds()):
        raise model.down("too many changes wait for a server that is slow")
    try:
        return _apply(model, resource_id)
    finally:
        _slots.release()


def _apply(model: type[Row], resource_id: UUID) -> Row:
    with transaction.atomic():
        row = rows_of(model).active().select_for_update().filter(pk=resource_id).first()
        if row is None:
            raise Gone
        if row.role_stale_since is None:
            return row
        row.tell_server()
        row.applied_generation = row.generation
        row.role_stale_since = None
        row.save(update_fields=["applied_generation", "role_stale_since"])
        return row


def finish_one(model: type[Row]) -> str | None:
    """Finishes one change whose process died, or whose server was away. Says what it did."""
    row = rows_of(model).stale_roles(timedelta(seconds=10)).first()
    if row is None:
        return None
    try:
        apply(model, row.pk)
    except Gone:
        return None
    except ServerDown as error:
        row.note_down(str(error))
        return None
    except row.refusals as error:
        log.error("role %s cannot be changed: %s", row.user_name, error)
        rows_of(model).discard(row.pk, State.ACTIVE, error=str(error))
    return f"brought role {row.user_name} up to date"
