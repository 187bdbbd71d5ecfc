"""Clusters: the PostgreSQL servers on which tenants' databases are."""

import hashlib
import json
import logging
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from provisioning.models.names import new_prefix

log = logging.getLogger("instantlite.pool")


def recipe() -> str:
    """A short hash of what a pooled database is built with; after a change of it, old ones are not handed out."""
    config = settings.INSTANTLITE
    parts = [*config.postgres.extensions, config.limits.statement_timeout.total_seconds()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


class ClusterQuerySet(models.QuerySet["Cluster"]):
    """Where databases can go."""

    def sync(self) -> None:
        """Makes a row for each configured cluster; others stay, for the databases that they still hold."""
        for name, config in settings.CLUSTERS.items():
            _, created = self.get_or_create(name=name, defaults={"max_databases": config.max_databases})
            if not created:
                self.filter(name=name).exclude(max_databases=config.max_databases).update(
                    max_databases=config.max_databases
                )

    def reachable(self) -> Self:
        """Configured, and not found to be down a moment ago."""
        return self.filter(name__in=settings.CLUSTERS).filter(Q(down_until=None) | Q(down_until__lte=Now()))

    def mark_down(self, name: str, reason: str) -> bool:
        """Leaves a cluster alone for a while, in every process. True for the one who found out first, who logs it."""
        until = Now() + settings.INSTANTLITE.postgres.down_for
        first = bool(self.reachable().filter(name=name).update(down_until=until, down_reason=reason[:500]))
        if first:
            log.warning("cluster %s is left alone for a moment: %s", name, reason)
        return first

    def move_to(self, name: str, state: "Cluster.State") -> bool:
        """An operator's wish. False when the cluster was in that state already."""
        return bool(self.filter(name=name).exclude(state=state).update(state=state))


class Cluster(models.Model):
    """A PostgreSQL server that holds tenants' databases. Its URL stays in the configuration: it holds a password."""

    class State(models.TextChoices):
        ACCEPTING = "accepting"
        DRAINING = "draining"

    name = models.CharField(max_length=40, primary_key=True)
    prefix = models.CharField(max_length=16, unique=True, default=new_prefix, editable=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACCEPTING)
    max_databases = models.PositiveIntegerField(default=1000)
    down_until = models.DateTimeField(null=True, editable=False)
    down_reason = models.CharField(max_length=500, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ClusterQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def template_name(self) -> str:
        """The private template that this cluster's databases are copied from, one for each recipe."""
        return f"{self.prefix}template_{recipe()}"
