"""The first page of admin: each app hands in what it wants seen there, and templates/admin/index.html shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest

# How old the numbers may be, in each process (or in the installation, where Redis holds the cache).
CACHE_SECONDS = 5


@dataclass(frozen=True)
class Section:
    """A part of the page. The template knows what `look` gives, a `kind`, by `name`; `permission` is who may see it."""

    name: str
    permission: str
    kind: type
    look: Callable[[], Any]

    def seen(self) -> Any:
        """What it looked like within the last CACHE_SECONDS."""
        key = f"dashboard.{self.name}"
        now = cache.get(key)
        if not isinstance(now, self.kind):  # nothing, or what an older version left in a shared cache
            now = self.look()
            cache.set(key, now, CACHE_SECONDS)
        return now


_sections: dict[str, Section] = {}


def register(section: Section) -> None:
    """Shows it from now on. Called once by each app, in its admin.py."""
    _sections[section.name] = section


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """unfold's DASHBOARD_CALLBACK. Who may see no section gets the page without numbers."""
    context["title"] = "Dashboard"
    for section in _sections.values():
        if request.user.has_perm(section.permission):
            context[section.name] = section.seen()
    return context
