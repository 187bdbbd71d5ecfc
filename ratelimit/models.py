"""The buckets of the limiter, where PostgreSQL keeps them."""

from django.db import models


class Bucket(models.Model):
    """One bucket: a limit and a partition of it. A missing one is a full one, so any of them may be deleted when `tat`
    has passed, and all of them may be lost: the table is UNLOGGED.

    Charged by the function ratelimit_charge() and by nothing else; see migration 0001.
    """

    key = models.TextField(primary_key=True)
    # Theoretical arrival time, in microseconds since the Unix epoch; see gcra.py.
    tat = models.BigIntegerField()

    def __str__(self) -> str:
        return self.key
