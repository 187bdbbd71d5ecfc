"""What this app hands to the housekeeping loop."""

from datetime import timedelta
from functools import partial

from django.conf import settings

from instantlite.housekeeping import Step
from provisioning import caches, pool, reaper, repair, roles, sampling
from provisioning.models import Cache, Cluster, Database


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
    Step("reap", _interval, partial(reaper.reap_one, Database)),
    Step("roles", _interval, partial(roles.finish_one, Database)),
    Step("repair", _repair_interval, repair.repair),
    Step("purge", _repair_interval, partial(reaper.purge_one_batch, Database)),
    Step("caches reap", _interval, partial(reaper.reap_one, Cache), lane="redis"),
    Step("cache users", _interval, caches.look_after_users, lane="redis"),
    Step("cache roles", _interval, partial(roles.finish_one, Cache), lane="redis"),
    Step("cache sample", _interval, sampling.sample_one, lane="redis"),
    Step("caches purge", _repair_interval, partial(reaper.purge_one_batch, Cache)),
)
