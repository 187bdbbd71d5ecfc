"""Finds what a crash left behind, on a cluster or in our rows, and hands it to the steps that finish it."""

import logging
from datetime import timedelta

import psycopg
from django.db.models import Q
from django.db.models.functions import Now

from instantlite.resource import State
from provisioning import connections, postgres
from provisioning.models import Cluster, Database

log = logging.getLogger("instantlite.repair")

# A claim is opened milliseconds later. One that is still closed after this was left by a process that died.
_HALF_OPEN_AFTER = timedelta(seconds=60)


def repair() -> str | None:
    """Compares every reachable cluster with our rows, once. Says what it mended, or None."""
    mended = [line for cluster in Cluster.objects.reachable() for line in repair_cluster(cluster)]
    return "; ".join(mended) or None


def repair_cluster(cluster: Cluster) -> list[str]:
    """Mends one cluster. The order of the two looks matters: a row exists before its database does, and a database
    is gone before its row says so. So what the cluster held at the first look and no living row names at the second
    is nobody's; and what a row read before the look named and the cluster did not hold was lost.
    """
    # Rows first, then the cluster, then rows again: each comparison below uses the pair that it needs.
    expected = Database.objects.filter(cluster=cluster, state__in=(State.READY, State.ACTIVE))
    expected_names = set(expected.values_list("db_name", flat=True))
    try:
        held = postgres.inventory(connections.to(cluster.name), cluster.prefix)
        lines = [_drop_stray(cluster, name) for name in _strays(cluster, held)]
    except connections.ClusterDown as error:
        Cluster.objects.mark_down(cluster.name, str(error))
        return []
    lost = expected_names - (held.databases & held.roles)
    lines += [_give_up(name, "the cluster does not hold it any more") for name in sorted(lost)]
    lines += [_give_up(row.db_name, "its claim was never finished") for row in _half_open(cluster, held)]
    return lines


def _strays(cluster: Cluster, held: postgres.Inventory) -> list[str]:
    names = {name for name in held.databases | held.roles if not name.startswith(f"{cluster.prefix}template_")}
    living = Database.objects.filter(cluster=cluster).exclude(state=State.GONE).values_list("db_name", flat=True)
    return sorted(names - set(living))


def _drop_stray(cluster: Cluster, name: str) -> str:
    try:
        postgres.drop(connections.to(cluster.name), name)
    except psycopg.Error as error:
        # Another process drops it in this very moment; or it cannot be dropped, which the next pass finds again.
        log.info("stray %s on cluster %s: %s", name, cluster.name, error)
        return f"could not drop stray {name}"
    log.warning("dropped %s on cluster %s: no row names it", name, cluster.name)
    return f"dropped stray {name}"


def _half_open(cluster: Cluster, held: postgres.Inventory) -> list[Database]:
    closed = held.roles - held.roles_with_login
    claimed = Database.objects.active().filter(cluster=cluster, created_at__lte=Now() - _HALF_OPEN_AFTER)
    return list(claimed.filter(db_name__in=closed))


def _give_up(name: str, why: str) -> str:
    for database in Database.objects.filter(db_name=name).filter(Q(state=State.ACTIVE) | Q(state=State.READY)):
        log.warning("database %s is given up: %s", name, why)
        Database.objects.discard(database.pk, State.ACTIVE, State.READY, error=why)
    return f"gave up {name}"
