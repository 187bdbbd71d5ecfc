"""On admin's first page: how many databases live where, what the pool holds, what came and went today.

Five statements, and one more where there are caches, each answered by an index over the rows that are alive or of the
last day.
"""

import json
import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.db.models import Count, Min, Q
from django.db.models.functions import Now, TruncHour
from django.utils import timezone

from instantlite.admin.dashboard import Section
from instantlite.resource import State
from provisioning import redis
from provisioning.models import Cache, Cluster, Database

HOURS = 24

# Chart.js's options, whole: unfold takes either its own or these, and its own have no legend and no whole numbers.
CHART_OPTIONS = json.dumps(
    {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "maxBarThickness": 14,
        "plugins": {
            "legend": {"align": "end", "labels": {"boxHeight": 8, "boxWidth": 8, "color": "#8b93a1"}},
            "tooltip": {"mode": "index", "intersect": False},
        },
        "scales": {
            "x": {"grid": {"display": False}, "ticks": {"color": "#8b93a1", "maxRotation": 0, "autoSkipPadding": 12}},
            "y": {"beginAtZero": True, "suggestedMax": 4, "grid": {}, "ticks": {"color": "#8b93a1", "precision": 0}},
        },
    }
)


@dataclass(frozen=True)
class ClusterNow:
    """One cluster's share."""

    name: str
    state: str
    down: str
    active: int
    ready: int
    held: int
    most: int

    @property
    def percent(self) -> int:
        """Of its capacity, in use; a first database already shows."""
        return min(100, math.ceil(100 * self.held / self.most)) if self.most else 100


@dataclass(frozen=True)
class CachesNow:
    """All caches. `late` are expired and not dropped yet."""

    active: int
    confined: int
    late: int
    left_alone: bool


@dataclass(frozen=True)
class Dashboard:
    """Everything that the page shows. `overdue_for` is how long the oldest expired database has waited to go."""

    clusters: tuple[ClusterNow, ...]
    pool_size: int
    overdue: int
    overdue_for: timedelta | None
    hours: tuple[datetime, ...]
    created: tuple[int, ...]
    reaped: tuple[int, ...]
    caches: CachesNow | None = None

    chart_options: ClassVar[str] = CHART_OPTIONS

    @property
    def active(self) -> int:
        return sum(cluster.active for cluster in self.clusters)

    @property
    def ready(self) -> int:
        return sum(cluster.ready for cluster in self.clusters)

    @property
    def down(self) -> list[ClusterNow]:
        return [cluster for cluster in self.clusters if cluster.down]

    @property
    def lag(self) -> str:
        """The reap lag in its largest unit; under a second it is the reaper's ordinary pace."""
        seconds = self.overdue_for.total_seconds() if self.overdue_for else 0
        for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
            if seconds >= 2 * length:
                return f"{seconds // length:.0f} {unit}"
        return f"{seconds:.0f} s"

    @property
    def pool_percent(self) -> int:
        return min(100, round(100 * self.ready / self.pool_size)) if self.pool_size else 100

    def hourly_chart(self) -> str:
        """What came and went, as Chart.js takes it."""
        return json.dumps(
            {
                "labels": [f"{hour:%H}:00" for hour in self.hours],
                "datasets": [
                    # Colours that stand apart on white and on black, and for those who do not tell red from green.
                    {"label": "Created", "data": self.created, "backgroundColor": "#2563eb", "displayYAxis": True},
                    {"label": "Reaped", "data": self.reaped, "backgroundColor": "#f59e0b", "displayYAxis": True},
                ],
            }
        )


def look() -> Dashboard:
    """The state of the installation now: five statements, or six, whatever it holds."""
    now = timezone.now()
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    hours = tuple(this_hour - timedelta(hours=ago) for ago in reversed(range(HOURS)))
    late = Database.objects.filter(state=State.ACTIVE, expires_at__lte=Now()).order_by()
    oldest = late.aggregate(oldest=Min("expires_at"), number=Count("pk"))
    return Dashboard(
        clusters=_clusters(now),
        pool_size=settings.INSTANTLITE.pool.size,
        overdue=oldest["number"],
        overdue_for=now - oldest["oldest"] if oldest["oldest"] else None,
        hours=hours,
        created=_hourly("created_at", Q(), hours),
        reaped=_hourly("gone_at", Q(state=State.GONE), hours),
        caches=_caches() if redis.configured() else None,
    )


def _caches() -> CachesNow:
    active = Cache.objects.filter(state=State.ACTIVE).order_by()
    counted = active.aggregate(
        active=Count("pk"),
        confined=Count("pk", filter=Q(confined=True)),
        late=Count("pk", filter=Q(expires_at__lte=Now())),
    )
    return CachesNow(**counted, left_alone=not redis.within_reach())


def _clusters(now: datetime) -> tuple[ClusterNow, ...]:
    alive = Database.objects.exclude(state=State.GONE).order_by()
    held: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for cluster, state, number in alive.values_list("cluster_id", "state").annotate(number=Count("pk")):
        held[cluster][state] = number
    return tuple(
        ClusterNow(
            name=row.name,
            state=row.state,
            down=(row.down_reason or "no reason given") if row.down_until and row.down_until > now else "",
            active=held[row.name][State.ACTIVE],
            ready=held[row.name][State.READY],
            held=sum(held[row.name].values()),
            most=row.max_databases,
        )
        for row in Cluster.objects.all()
    )


def _hourly(column: str, condition: Q, hours: tuple[datetime, ...]) -> tuple[int, ...]:
    recent = Database.objects.filter(condition, **{f"{column}__gte": hours[0]}).order_by()
    by_hour = recent.values_list(TruncHour(column, tzinfo=UTC)).annotate(number=Count("pk"))
    counted = dict(by_hour)
    return tuple(counted.get(hour, 0) for hour in hours)


SECTION = Section("provisioned", "provisioning.view_database", Dashboard, look)
