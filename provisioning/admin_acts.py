"""What operators can do to a database or a cache: the owner's own verbs (roles.py), with every failure said in a
sentence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from django.contrib import messages

from instantlite.admin.actions import Act, Outcome
from instantlite.admin.acts import AT_ITS_LONGEST, EXTENSION, NOT_ACTIVE, expiring, extended, extending
from instantlite.resource import Gone, LifetimeReached, State
from provisioning import roles
from provisioning.models.provisioned import Row, rows_of
from provisioning.servers import ServerDown


def _expire(row: Row) -> Outcome:
    try:
        roles.expire(row)
    except Gone:
        return NOT_ACTIVE
    row.refresh_from_db(fields=["state"])
    if row.state == State.GONE:
        return Outcome(messages.SUCCESS, "Expired and dropped")
    return Outcome(messages.WARNING, "Expired, and dropped as soon as its server lets us")


def _extend(row: Row) -> Outcome:
    # LifetimeReached says both "at its longest" and "expired"; an operator wants to know which.
    if not rows_of(type(row)).active().filter(pk=row.pk).exists():
        return NOT_ACTIVE

    def extend() -> Outcome:
        return extended(roles.extend(row, EXTENSION).expires_at)

    return _changing_the_role(row, extend)


def _rotate(row: Row) -> Outcome:
    def rotate() -> Outcome:
        generation = roles.rotate(row).generation
        return Outcome(messages.SUCCESS, "Password rotated", f"generation {generation}")

    return _changing_the_role(row, rotate)


def _changing_the_role(row: Row, change: Callable[[], Outcome]) -> Outcome:
    """The row changes first, then the user on the server: what fails there is still a change, and logged."""
    try:
        return change()
    except Gone:
        return NOT_ACTIVE
    except LifetimeReached:
        return AT_ITS_LONGEST
    except ServerDown as error:
        row.note_down(str(error))
        return Outcome(messages.WARNING, "Recorded, and done as soon as its server answers")
    except row.refusals:
        # Housekeeping takes the same step again, and finds out in its log what is wrong with it.
        return Outcome(messages.ERROR, "Recorded, but its server refused the change of the user")


@dataclass(frozen=True)
class Acts(Generic[Row]):
    """The acts on one kind of resource."""

    expire: Act[Row]
    extend: Act[Row]
    rotate: Act[Row]


def acts_on(noun: str, kind: type[Row]) -> Acts[Row]:
    """The acts, worded for a `noun`."""
    return Acts[Row](
        expire=expiring(
            _expire,
            f"The {noun} is dropped at once, with everything in it, and connections to it end. There is no way back.",
        ),
        extend=extending(_extend),
        rotate=Act(
            name="rotate",
            title="Rotate password",
            warning="The present password stops working and connections end. "
            "The owner finds the new URL under the same token.",
            icon="key",
            run=_rotate,
        ),
    )
