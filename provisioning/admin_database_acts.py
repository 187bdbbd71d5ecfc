"""What operators can do to a database: the owner's own verbs (roles.py), with every failure said in a sentence."""

from collections.abc import Callable
from datetime import timedelta

import psycopg
from django.contrib import messages

from instantlite.resource import Gone, LifetimeReached, State
from provisioning import pool, roles
from provisioning.admin_actions import Act, Outcome, refused
from provisioning.connections import ClusterDown
from provisioning.models import Database

EXTENSION = timedelta(hours=24)

_NOT_ACTIVE = "Left alone, it is not active"


def _expire(database: Database) -> Outcome:
    try:
        roles.expire(database)
    except Gone:
        return refused(_NOT_ACTIVE)
    database.refresh_from_db(fields=["state"])
    if database.state == State.GONE:
        return Outcome(messages.SUCCESS, "Expired and dropped")
    return Outcome(messages.WARNING, "Expired, and dropped as soon as its cluster lets us")


def _extend(database: Database) -> Outcome:
    # LifetimeReached says both "at its longest" and "expired"; an operator wants to know which.
    if not Database.objects.active().filter(pk=database.pk).exists():
        return refused(_NOT_ACTIVE)

    def extend() -> Outcome:
        expires = roles.extend(database, EXTENSION).expires_at
        return Outcome(messages.SUCCESS, "Extended", f"expires {expires:%Y-%m-%d %H:%M:%S} UTC")

    return _changing_the_role(database, extend)


def _rotate(database: Database) -> Outcome:
    def rotate() -> Outcome:
        generation = roles.rotate(database).generation
        return Outcome(messages.SUCCESS, "Password rotated", f"generation {generation}")

    return _changing_the_role(database, rotate)


def _changing_the_role(database: Database, change: Callable[[], Outcome]) -> Outcome:
    """The row changes first, then the role on the cluster: what fails on the cluster is still a change, and logged."""
    try:
        return change()
    except Gone:
        return refused(_NOT_ACTIVE)
    except LifetimeReached:
        return refused("Left alone, it lives for as long as limits.max_lifetime allows already")
    except ClusterDown as error:
        pool.mark_down(database.cluster_id, str(error))
        return Outcome(messages.WARNING, "Recorded, and done as soon as its cluster answers")
    except psycopg.Error:
        # Housekeeping takes the same step again, and finds out in its log what is wrong with it.
        return Outcome(messages.ERROR, "Recorded, but its cluster refused the change of the role")


EXPIRE = Act(
    name="expire",
    title="Expire now",
    warning="The database is dropped at once, with everything in it, and sessions on it end. There is no way back.",
    icon="delete_forever",
    run=_expire,
    dangerous=True,
)
EXTEND = Act(
    name="extend",
    title="Extend by 24 h",
    warning="The expiry moves by 24 hours, never past the longest lifetime that the configuration allows.",
    icon="more_time",
    run=_extend,
)
ROTATE = Act(
    name="rotate",
    title="Rotate password",
    warning="The present password stops working and sessions end. The owner finds the new URL under the same token.",
    icon="key",
    run=_rotate,
)
