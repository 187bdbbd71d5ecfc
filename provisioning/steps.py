"""What this app hands to the housekeeping loop."""

from functools import partial

from instantlite.housekeeping import Step, interval, repair_interval
from provisioning import caches, pool, reaper, repair, roles, sampling
from provisioning.models import Cache, Cluster, Database


def sync_clusters() -> None:
    """A row for each configured cluster."""
    Cluster.objects.sync()


STEPS = (
    Step("sync clusters", repair_interval, sync_clusters),
    Step("refill", interval, pool.refill_one, on_wake=True),
    Step("reap", interval, partial(reaper.reap_one, Database)),
    Step("roles", interval, partial(roles.finish_one, Database)),
    Step("repair", repair_interval, repair.repair),
    Step("purge", repair_interval, partial(reaper.purge_one_batch, Database)),
    Step("caches reap", interval, partial(reaper.reap_one, Cache), lane="redis"),
    Step("cache users", interval, caches.look_after_users, lane="redis"),
    Step("cache roles", interval, partial(roles.finish_one, Cache), lane="redis"),
    Step("cache sample", interval, sampling.sample_one, lane="redis"),
    Step("caches purge", repair_interval, partial(reaper.purge_one_batch, Cache)),
)
