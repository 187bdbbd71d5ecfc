"""The paths of the project: each app's, the probes, the description of the API, admin, the landing page."""

from django.contrib import admin
from django.urls import include, path, re_path

from instantlite import health, landing

handler400 = "instantlite.errors.bad_request"
handler403 = "instantlite.errors.permission_denied"
handler404 = "instantlite.errors.not_found"
handler500 = "instantlite.errors.server_error"

urlpatterns = [
    path("", landing.landing, name="landing"),
    path("", include("provisioning.urls")),
    path("", include("webhooks.urls")),
    re_path(r"^livez/?$", health.livez, name="livez"),
    re_path(r"^readyz/?$", health.readyz, name="readyz"),
    re_path(r"^healthz/?$", health.healthz, name="healthz"),
    re_path(r"^openapi\.json/?$", landing.ApiDescription.as_view(), name="openapi"),
    re_path(r"^docs/?$", landing.ApiReference.as_view(url_name="openapi"), name="docs"),
    path("admin/", admin.site.urls),
]
