"""Actions in admin: asked once more before anything happens, told afterwards, and written to the admin log.

One `Act` serves a button on an object's page and an entry in the list's menu. Only a POST that comes from the
confirmation page changes anything.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote, unquote
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.enums import ActionVariant

from instantlite.admin.base import ModelAdmin, page_action

# Each object costs a round trip or a few to its cluster, one after the other, within one request.
MOST_AT_ONCE = 100
_NAMED_IN_A_MESSAGE = 5

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Outcome:
    """What became of one object. `summary` is the same for all that fared the same; `detail` goes to the log."""

    level: int
    summary: str
    detail: str = ""
    changed: bool = True


def refused(summary: str) -> Outcome:
    """Nothing was changed, so nothing is logged."""
    return Outcome(messages.ERROR, summary, changed=False)


@dataclass(frozen=True)
class Act(Generic[Row]):
    """Something that an operator can do to an object. `run` foresees every failure and says it as an Outcome."""

    name: str
    title: str
    # What will happen, for the page that asks.
    warning: str
    icon: str
    run: Callable[[Row], Outcome]
    dangerous: bool = False
    # The object is gone afterwards, and its page with it.
    removes: bool = False


class ActingAdmin(ModelAdmin[Row]):
    """A read-only admin whose objects are changed by acts alone. Whoever may change the model may act."""

    list_disable_select_all = True  # acts are bounded; see MOST_AT_ONCE

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        """No form to fill in; has_act_permission() guards the acts."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False

    def has_act_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Django's own permission to change the model."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    def path(self, page: str, *arguments: str) -> str:
        """The path of one of this model's pages: "changelist", or "change" of an object."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=arguments)

    def facts(self, row: Row) -> str:
        """What tells one object from another on the page that asks."""
        raise NotImplementedError

    def selected(self, request: HttpRequest, rows: QuerySet[Row], act: Act[Row], action: str) -> HttpResponse | None:
        """The list's menu: asks, and with the answer acts. None leads back to the list."""
        chosen = list(rows[: MOST_AT_ONCE + 1])
        if len(chosen) > MOST_AT_ONCE:
            self.message_user(request, f"Choose {MOST_AT_ONCE} at most at a time.", messages.ERROR)
            return None
        if request.POST.get("confirmed") == "yes":
            self.carry_out(request, act, chosen)
            return None
        selection = {ACTION_CHECKBOX_NAME: [row.pk for row in chosen], "action": action}
        return self._ask(request, act, chosen, self.path("changelist"), selection)

    def single(self, request: HttpRequest, object_id: str, act: Act[Row]) -> HttpResponse:
        """The button on an object's page: GET asks, POST acts."""
        row = self.get_object(request, unquote(object_id))
        back = self.path("change", quote(object_id))
        if row is None:
            self.message_user(request, "It is not there any more.", messages.WARNING)
            return HttpResponseRedirect(reverse("admin:index"))
        if request.method == "POST":
            self.carry_out(request, act, [row])
            return HttpResponseRedirect(self.path("changelist") if act.removes else back)
        return self._ask(request, act, [row], back, {})

    def carry_out(self, request: HttpRequest, act: Act[Row], rows: Iterable[Row]) -> None:
        """Acts on each row, logs what changed, and tells the operator in as few sentences as there are outcomes."""
        told: dict[tuple[int, str], list[str]] = defaultdict(list)
        for row in rows:
            outcome = act.run(row)
            told[outcome.level, outcome.summary].append(str(row))
            if outcome.changed:
                self.log_change(request, row, f"{act.title}: {outcome.detail or outcome.summary}")
        for (level, summary), names in told.items():
            self.message_user(request, f"{summary}: {_enumerate(names)}.", level)

    def _ask(
        self, request: HttpRequest, act: Act[Row], rows: list[Row], back: str, fields: dict[str, Any]
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": act.title,
            "opts": self.opts,
            "act": act,
            "affected": [(row, self.facts(row)) for row in rows],
            "back": back,
            "selection": fields.get(ACTION_CHECKBOX_NAME, ()),
            "selection_name": ACTION_CHECKBOX_NAME,
            "action": fields.get("action", ""),
        }
        return TemplateResponse(request, "admin/confirm_action.html", context)


def _enumerate(names: list[str]) -> str:
    more = len(names) - _NAMED_IN_A_MESSAGE
    return ", ".join(names[:_NAMED_IN_A_MESSAGE]) + (f" and {more} more" if more > 0 else "")


def on_page(act: Act[Row]) -> Callable[[ActingAdmin[Row], HttpRequest, str], HttpResponse]:
    """The act as a button on an object's page. To be a class attribute by the name of `<act.name>_one`."""

    def view(self: ActingAdmin[Row], request: HttpRequest, object_id: str) -> HttpResponse:
        return self.single(request, object_id, act)

    view.__name__ = f"{act.name}_one"
    return page_action(
        description=act.title,
        permissions=["act"],
        url_path=act.name,
        icon=act.icon,
        variant=ActionVariant.DANGER if act.dangerous else ActionVariant.DEFAULT,
    )(view)


def in_list(act: Act[Row]) -> Callable[[ActingAdmin[Row], HttpRequest, QuerySet[Row]], HttpResponse | None]:
    """The act as an entry in the list's menu of actions, for the selected rows."""

    def view(self: ActingAdmin[Row], request: HttpRequest, rows: QuerySet[Row]) -> HttpResponse | None:
        return self.selected(request, rows, act, view.__name__)

    view.__name__ = f"{act.name}_selected"
    return admin.action(description=act.title, permissions=["act"])(view)
