"""Paths of the databases' API; each answers with and without a trailing slash."""

from django.urls import re_path

from provisioning.views import DatabaseViewSet

# A token is looked up whatever it looks like, so that a mistyped one is told "not_found" and not a path's 404.
_ANY = r"(?P<token>[^/]+)"

urlpatterns = [
    re_path(r"^db/new/?$", DatabaseViewSet.as_view({"post": "create"}), name="db-new"),
    re_path(rf"^db/{_ANY}/?$", DatabaseViewSet.as_view({"get": "retrieve", "delete": "destroy"}), name="db-detail"),
    re_path(rf"^db/{_ANY}/rotate/?$", DatabaseViewSet.as_view({"post": "rotate"}), name="db-rotate"),
    re_path(rf"^db/{_ANY}/extend/?$", DatabaseViewSet.as_view({"post": "extend"}), name="db-extend"),
]
