"""Long lists that stay fast: a bounded count, and filters whose choices are ours, never the table's."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.contrib.admin import ShowFacets, SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from instantlite.resource import State
from provisioning.admin_base import ModelAdmin
from provisioning.models.provisioned import Row

# A count visits every row that it counts; a million tombstones need not be counted to show the newest fifty.
MOST_COUNTED = 10_000


class BoundedPaginator(Paginator[Model]):
    """Counts to MOST_COUNTED and no further; older rows are reached with a filter or a search."""

    template_name = "admin/pagination_bounded.html"
    # Whether there are more rows than `count`; known once `count` is.
    more = False

    @property
    def count(self) -> int:
        """Rows that pages lead to."""
        if not hasattr(self, "_counted"):
            rows = self.object_list
            assert isinstance(rows, QuerySet), "a change list pages a queryset"  # noqa: S101 — tells mypy
            found = rows.order_by()[: MOST_COUNTED + 1].count()
            self.more = found > MOST_COUNTED
            self._counted = min(found, MOST_COUNTED)
        return self._counted


class ExpiryFilter(SimpleListFilter):
    """Ranges of the expiry. Those about what is still alive are answered by the partial index of active rows."""

    title = "expiry"
    parameter_name = "expiry"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [
            ("overdue", "Overdue, not reaped"),
            ("hour", "Within the hour"),
            ("day", "Within 24 hours"),
            ("later", "Later"),
            ("expired", "Expired"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        hour, day = Now() + timedelta(hours=1), Now() + timedelta(hours=24)
        ranges = {
            "overdue": Q(state=State.ACTIVE, expires_at__lte=Now()),
            "hour": Q(state=State.ACTIVE, expires_at__gt=Now(), expires_at__lte=hour),
            "day": Q(state=State.ACTIVE, expires_at__gt=Now(), expires_at__lte=day),
            "later": Q(state=State.ACTIVE, expires_at__gt=day),
            "expired": Q(expires_at__lte=Now()),
        }
        wanted = ranges.get(self.value() or "")
        return queryset.filter(wanted) if wanted else queryset


class OwnerFilter(SimpleListFilter):
    """A fingerprint, typed or followed from a row: there are as many owners as clients, too many to list."""

    title = "owner"
    parameter_name = "owner"
    template = "admin/filter_text.html"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        # Django leaves a filter without lookups out of the page.
        return [("", "")]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """One "choice": what was typed, and the other parameters that the form has to carry along."""
        others = changelist.get_filters_params()
        others.pop(self.parameter_name, None)
        if changelist.query:
            others["q"] = [changelist.query]
        carried = [(name, value) for name, values in others.items() for value in values]
        yield {"value": self.value() or "", "carried": carried, "selected": bool(self.value())}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        typed = (self.value() or "").strip()
        if not typed:
            return queryset
        # A whole fingerprint is an equality, which the index answers.
        whole = len(typed) == 22
        return queryset.filter(fingerprint=typed) if whole else queryset.filter(fingerprint__startswith=typed)


class BoundedList(ModelAdmin[Row]):
    """What a list over a long table leaves undone."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    # Facets count the table once for each choice of each filter.
    show_facets = ShowFacets.NEVER

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Says how many there are beside the pages, where the bound is said with it, and nowhere else."""
        changelist = super().get_changelist_instance(request)
        changelist.full_result_count = changelist.result_count
        return changelist
