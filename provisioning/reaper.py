"""Taking away what is over: from its server, then, much later, from our records."""

import logging

from django.conf import settings

from instantlite.platformdb import let_go_of_connection
from instantlite.resource import State
from provisioning.models.provisioned import Row, rows_of
from provisioning.servers import ServerDown

log = logging.getLogger("instantlite.reaper")


def reap_one(model: type[Row]) -> str | None:
    """Drops one whose time is up. Says what it did, or None when there is nothing to do."""
    row = rows_of(model).claim_due()
    return drop_leased(row) if row else None


def drop_leased(row: Row, patience: float | None = None) -> str:
    """Drops one that this process holds the lease of; a failure schedules the next try. `patience`: how long the caller
    waits, in seconds; what takes longer is left to the reaper.
    """
    rows = rows_of(type(row))
    let_go_of_connection()
    try:
        if not row.leave_server(patience):
            rows.drop_later(row)
            return f"began to drop {row.user_name}"
    except ServerDown as error:
        row.note_down(str(error))
        rows.drop_failed(row, str(error))
        return f"no answer about dropping {row.user_name}"
    except row.refusals as error:
        log.warning("could not drop %s, try %d: %s", row.user_name, row.tries, error)
        rows.drop_failed(row, str(error))
        return f"could not drop {row.user_name}"
    rows.dropped(row.pk)
    return f"dropped {row.user_name}"


def purge_one_batch(model: type[Row]) -> str | None:
    """Deletes tombstones that are older than the configuration keeps them."""
    rows = rows_of(model)
    age = settings.INSTANTLITE.housekeeping.tombstones
    batch = list(rows.old_tombstones(age).values_list("pk", flat=True)[:500])
    deleted, _ = rows.filter(pk__in=batch, state=State.GONE).delete()
    return f"deleted {deleted} tombstones" if deleted else None
