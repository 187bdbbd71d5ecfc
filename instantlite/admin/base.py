"""unfold's ModelAdmin, under types: the package has none, and what it extends is Django's."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    View = TypeVar("View", bound=Callable[..., Any])

    def page_action(
        *, description: str, permissions: Sequence[str], url_path: str, icon: str, variant: object
    ) -> Callable[[View], View]:
        """Makes a view of a ModelAdmin a button on the page of an object (ModelAdmin.actions_detail)."""
        ...
else:
    from unfold.admin import ModelAdmin
    from unfold.decorators import action as page_action

__all__ = ["ModelAdmin", "page_action"]
