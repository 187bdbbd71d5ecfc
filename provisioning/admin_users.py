"""Operators and their groups: Django's own pages, in unfold's clothes."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Field, ManyToManyField
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectMultipleWidget

if TYPE_CHECKING:

    class Dressed:
        """unfold's ModelAdmin has no types, and all that it adds to Django's pages is how they look."""
else:
    from unfold.admin import ModelAdmin as Dressed

admin.site.unregister(User)
admin.site.unregister(Group)


# Django's pair of boxes is wider than a page beside the navigation; unfold's one box shows four of dozens of choices.
_ROOMY: dict[type[Field[Any, Any]], dict[str, Any]] = {
    ManyToManyField: {"widget": UnfoldAdminSelectMultipleWidget(attrs={"style": "height: 16rem"})}
}


@admin.register(User)
class OperatorAdmin(UserAdmin[User], Dressed):
    """Who may sign in here."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    filter_horizontal = ()
    formfield_overrides = _ROOMY


@admin.register(Group)
class OperatorGroupAdmin(GroupAdmin, Dressed):
    """Permissions that several operators share."""

    filter_horizontal = ()
    formfield_overrides = _ROOMY
