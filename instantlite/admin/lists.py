"""Long lists that stay fast: a bounded count, and filters whose choices are ours, never the table's."""

import uuid
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

from django.contrib.admin import ShowFacets, SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from instantlite.admin.base import ModelAdmin
from instantlite.resource import State

Row = TypeVar("Row", bound=Model)

FINGERPRINT_LENGTH = 22


class BoundedPaginator(Paginator[Model]):
    """Counts to `most` and no further; older rows are reached with a filter or a search."""

    template_name = "admin/pagination_bounded.html"
    # A count visits every row that it counts; a million tombstones need not be counted to show the newest fifty.
    most = 10_000
    # Whether there are more rows than `count`; known once `count` is.
    more = False

    @property
    def count(self) -> int:
        """Rows that pages lead to."""
        if not hasattr(self, "_counted"):
            rows = self.object_list
            assert isinstance(rows, QuerySet), "a change list pages a queryset"  # noqa: S101 — tells mypy
            found = rows.order_by()[: self.most + 1].count()
            self.more = found > self.most
            self._counted = min(found, self.most)
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


class TextFilter(SimpleListFilter):
    """A word, typed or followed from a row, where there are too many to list."""

    template = "admin/filter_text.html"
    placeholder = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        # Django leaves a filter without lookups out of the page.
        return [("", "")]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """One "choice": what was typed, and the other parameters that the form has to carry along."""
        others = changelist.get_filters_params()
        others.pop(self.parameter_name or "", None)
        if changelist.query:
            others["q"] = [changelist.query]
        carried = [(name, value) for name, values in others.items() for value in values]
        yield {"value": self.value() or "", "carried": carried, "selected": bool(self.value())}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        typed = (self.value() or "").strip()
        return self.matching(queryset, typed) if typed else queryset

    def matching(self, queryset: QuerySet[Any], typed: str) -> QuerySet[Any]:
        """The rows that `typed`, which is not empty, stands for."""
        raise NotImplementedError


class OwnerFilter(TextFilter):
    """A fingerprint or its start: there are as many owners as clients."""

    title = "owner"
    parameter_name = "owner"
    placeholder = "Fingerprint, or its start"

    def matching(self, queryset: QuerySet[Any], typed: str) -> QuerySet[Any]:
        # A whole fingerprint is an equality, which the index answers.
        whole = len(typed) == FINGERPRINT_LENGTH
        return queryset.filter(fingerprint=typed) if whole else queryset.filter(fingerprint__startswith=typed)


class IdFilter(TextFilter):
    """The whole id that stands in a column, named `column`."""

    column: str

    def matching(self, queryset: QuerySet[Any], typed: str) -> QuerySet[Any]:
        key = id_of(typed)
        return queryset.filter(**{self.column: key}) if key else queryset.none()


def id_of(text: str) -> uuid.UUID | None:
    """The id that somebody typed, or that a URL holds; None for anything else."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


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
