"""Paths of the API of databases and caches; each answers with and without a trailing slash."""

from typing import Any

from django.urls import URLPattern, re_path

from provisioning.resource_views import ProvisionedViewSet
from provisioning.views import CacheViewSet, DatabaseViewSet

# A token is looked up whatever it looks like, so that a mistyped one is told "not_found" and not a path's 404.
_ANY = r"(?P<token>[^/]+)"


def _paths(kind: str, views: type[ProvisionedViewSet[Any]]) -> list[URLPattern]:
    """The five calls of one kind, the first call first."""
    return [
        re_path(rf"^{kind}/new/?$", views.as_view({"post": "create"}), name=f"{kind}-new"),
        re_path(rf"^{kind}/{_ANY}/?$", views.as_view({"get": "retrieve", "delete": "destroy"}), name=f"{kind}-detail"),
        re_path(rf"^{kind}/{_ANY}/rotate/?$", views.as_view({"post": "rotate"}), name=f"{kind}-rotate"),
        re_path(rf"^{kind}/{_ANY}/extend/?$", views.as_view({"post": "extend"}), name=f"{kind}-extend"),
    ]


urlpatterns = [*_paths("db", DatabaseViewSet), *_paths("cache", CacheViewSet)]
