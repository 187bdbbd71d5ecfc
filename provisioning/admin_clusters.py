"""The clusters' pages. Rows come from the configuration; operators say only whether new databases go there."""

from django.contrib import admin, messages
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from instantlite.admin.actions import Act, ActingAdmin, Outcome, in_list, on_page, refused
from instantlite.admin.display import NOTHING, badge, moment, state_badge
from instantlite.resource import State
from provisioning.models import Cluster, Database


def _drain(cluster: Cluster) -> Outcome:
    if not Cluster.objects.move_to(cluster.name, Cluster.State.DRAINING):
        return refused("Draining already")
    return Outcome(messages.SUCCESS, "Draining, and gets no more databases")


def _accept(cluster: Cluster) -> Outcome:
    if not Cluster.objects.move_to(cluster.name, Cluster.State.ACCEPTING):
        return refused("Accepting already")
    return Outcome(messages.SUCCESS, "Accepting databases")


DRAIN = Act(
    name="drain",
    title="Drain",
    warning="No database is made or handed out there any more, and those in its pool are dropped. "
    "Databases in somebody's hands live on until they expire.",
    icon="water_drop",
    run=_drain,
    dangerous=True,
)
ACCEPT = Act(
    name="accept",
    title="Accept",
    warning="New databases are made there again, as long as its capacity lasts.",
    icon="check_circle",
    run=_accept,
)


def _databases(*states: State) -> Coalesce:
    """How many databases of a cluster are in these states: counted by the index of those that are not gone."""
    alive = Database.objects.order_by().filter(cluster=OuterRef("pk")).exclude(state=State.GONE)
    counted = alive.filter(state__in=states).values("cluster").annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


@admin.register(Cluster)
class ClusterAdmin(ActingAdmin[Cluster]):
    """A handful of rows. The clusters' URLs hold passwords and stay in the configuration."""

    list_display = ["name", "status", "reachable", "load", "pool_depth"]
    sortable_by = ()
    actions = [in_list(DRAIN), in_list(ACCEPT)]
    drain_one = on_page(DRAIN)
    accept_one = on_page(ACCEPT)
    actions_detail = ["accept_one", "drain_one"]
    fieldsets = [
        (None, {"fields": ["name", "status", "reachable", "last_trouble", "load", "pool_depth", "prefix", "since"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cluster]:
        """With the load, of which a database that is being dropped is still a part."""
        load = _databases(State.BUILDING, State.READY, State.ACTIVE, State.DROPPING)
        return super().get_queryset(request).annotate(held=load, pooled=_databases(State.READY))

    def facts(self, row: Cluster) -> str:
        return f"{row.state}, {getattr(row, 'held', 0)} of {row.max_databases} databases"

    @admin.display(description="state")
    def status(self, cluster: Cluster) -> str:
        return state_badge(cluster.state)

    @admin.display(description="answers")
    def reachable(self, cluster: Cluster) -> str:
        if cluster.down_until is None or cluster.down_until <= timezone.now():
            return badge("up", "success")
        # The reason shows on the cluster's page and the dashboard; a row of the list is one line high on a phone.
        return badge("down", "danger", hover=cluster.down_reason)

    @admin.display(description="last trouble")
    def last_trouble(self, cluster: Cluster) -> str:
        return cluster.down_reason or NOTHING

    @admin.display(description="load")
    def load(self, cluster: Cluster) -> str:
        held = getattr(cluster, "held", 0)
        return format_html('<span class="whitespace-nowrap">{} of {}</span>', held, cluster.max_databases)

    @admin.display(description="in the pool")
    def pool_depth(self, cluster: Cluster) -> int:
        return int(getattr(cluster, "pooled", 0))

    @admin.display(description="known since")
    def since(self, cluster: Cluster) -> str:
        return moment(cluster.created_at)
