"""What this app hands to the housekeeping loop."""

from datetime import timedelta

from django.conf import settings

from instantlite.housekeeping import Step
from provisioning import pool, repair, roles
from provisioning.models import Cluster


def _interval() -> timedelta:
    interval: timedelta = settings.INSTANTLITE.housekeeping.interval
    return interval


def _repair_interval() -> timedelta:
    interval: timedelta = settings.INSTANTLITE.housekeeping.repair_interval
    return interval


def sync_clusters() -> None:
    """A row for each configured cluster."""
    Cluster.objects.sync()


STEPS = (
    Step("sync clusters", _repair_interval, sync_clusters),
    Step("refill", _interval, pool.refill_one, on_wake=True),
    Step("reap", _interval, pool.reap_one),
    Step("roles", _interval, roles.finish_one),
    Step("repair", _repair_interval, repair.repair),
    Step("purge", _repair_interval, repair.purge_one_batch),
)
