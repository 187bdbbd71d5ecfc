"""Giving a caller what it asks for, once for each idempotency key."""

from dataclasses import dataclass
from typing import Generic

from instantlite.resource import Gone, Wish
from provisioning.models.provisioned import Row, rows_of


class Mismatch(Exception):
    """The idempotency key was used for a request that asked for something else."""


@dataclass(frozen=True)
class HandedOut(Generic[Row]):
    """A resource in its owner's hands; `replayed` when an earlier request with the same key had got it already."""

    resource: Row
    replayed: bool = False


def earlier(model: type[Row], wish: Wish) -> Row | None:
    """What the same client got for the same key; None when that is so long ago that the key is free again.

    Whoever hands it out once more opens it once more: the first request may have died before it did. Raises Mismatch,
    and Gone when the resource is not there any more.
    """
    rows = rows_of(model)
    if rows.forget_stale_key(wish):
        return None
    found = rows.by_idempotency(wish)
    if found is None:
        return None
    if not found.asked_by(wish):
        raise Mismatch
    if not rows.active().filter(pk=found.pk).exists():
        raise Gone
    return found
