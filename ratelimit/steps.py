"""What this app hands to the housekeeping loop."""

from datetime import timedelta

from django.conf import settings
from django.db import connection

from instantlite import redislink
from instantlite.housekeeping import Step, repair_interval

_PRUNE = """
DELETE FROM ratelimit_bucket WHERE key IN (
    SELECT key FROM ratelimit_bucket WHERE tat < date_part('epoch', clock_timestamp()) * 1000000
    LIMIT 5000 FOR UPDATE SKIP LOCKED
)
"""


def prune() -> str | None:
    """Deletes buckets that are full again, a batch at a time: a missing one says the same. Says how many, or None."""
    with connection.cursor() as cursor:
        cursor.execute(_PRUNE)
        pruned = cursor.rowcount
    return f"pruned {pruned} rate limit buckets" if pruned else None


def _down_for() -> timedelta:
    interval: timedelta = settings.INSTANTLITE.redis.down_for
    return interval


def look_for_redis() -> None:
    """Has a Redis that failed tried again, also while no request asks for it."""
    redislink.link.client()


STEPS = (
    Step("prune limits", repair_interval, prune),
    Step("look for redis", _down_for, look_for_redis, lane="redis"),
)
