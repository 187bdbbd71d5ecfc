"""Giving a caller what it asks for, once for each idempotency key."""

from dataclasses import dataclass
from typing import Generic

from instantlite.resource import EphemeralQuerySet, Gone, Resource, Wish


class Mismatch(Exception):
    """The idempotency key was used for a request that asked for something else."""


@dataclass(frozen=True)
class HandedOut(Generic[Resource]):
    """A resource in its owner's hands; `replayed` when an earlier request with the same key had got it already."""

    resource: Resource
    replayed: bool = False


def earlier(rows: EphemeralQuerySet[Resource], wish: Wish) -> Resource | None:
    """What the same client got for the same key; None when that is so long ago that the key is free again.

    Whoever hands it out once more opens it once more: the first request may have died before it did. Raises Mismatch,
    and Gone when the resource is not there any more.
    """
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
