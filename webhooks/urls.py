"""Paths of webhook inboxes; those of the API answer with and without a trailing slash.

The receive URL is not among them: see middleware.py.
"""

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, path, re_path

from webhooks import listen_page
from webhooks.api import CapturedRequestViewSet, EndpointViewSet
from webhooks.attempts_api import AttemptViewSet
from webhooks.forwarding_api import DeliveryViewSet, DestinationViewSet, ReplayViewSet
from webhooks.page_urls import PAGES
from webhooks.streaming import StreamViewSet

# Looked up whatever it looks like, so that a mistyped one is told "not_found" and not a path's 404.
_TOKEN = r"(?P<token>[^/]+)"  # noqa: S105 — a pattern
_REQUEST = rf"^webhook/{_TOKEN}/requests/(?P<request_id>[^/]+)"

_DELIVERY = rf"^webhook/{_TOKEN}/deliveries/(?P<delivery_id>[^/]+)"


def _requests(**methods: str) -> Callable[..., Any]:
    return CapturedRequestViewSet.as_view({**methods})


def _destinations(**methods: str) -> Callable[..., Any]:
    return DestinationViewSet.as_view({**methods})


def _deliveries(**methods: str) -> Callable[..., Any]:
    return DeliveryViewSet.as_view({**methods})


urlpatterns: list[URLPattern] = [
    re_path(r"^webhook/new/?$", EndpointViewSet.as_view({"post": "create"}), name="webhook-new"),
    re_path(
        rf"^webhook/{_TOKEN}/?$",
        EndpointViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="webhook-detail",
    ),
    re_path(rf"^webhook/{_TOKEN}/extend/?$", EndpointViewSet.as_view({"post": "extend"}), name="webhook-extend"),
    re_path(rf"^webhook/{_TOKEN}/requests/?$", _requests(get="list", delete="clear"), name="webhook-requests"),
    re_path(rf"{_REQUEST}/?$", _requests(get="retrieve", delete="destroy"), name="webhook-request"),
    re_path(rf"{_REQUEST}/raw/?$", _requests(get="raw"), name="webhook-raw"),
    re_path(rf"{_REQUEST}/parts/(?P<number>[0-9]+)/?$", _requests(get="part"), name="webhook-part"),
    re_path(rf"{_REQUEST}/har/?$", _requests(get="har"), name="webhook-har"),
    re_path(rf"{_REQUEST}/curl/?$", _requests(get="curl"), name="webhook-curl"),
    re_path(
        rf"^webhook/{_TOKEN}/destinations/?$", _destinations(get="list", post="create"), name="webhook-destinations"
    ),
    re_path(
        rf"^webhook/{_TOKEN}/destinations/(?P<destination_id>[^/]+)/?$",
        _destinations(get="retrieve", patch="partial_update", delete="destroy"),
        name="webhook-destination",
    ),
    re_path(rf"{_REQUEST}/deliveries/?$", _deliveries(get="of_request"), name="webhook-request-deliveries"),
    re_path(rf"{_REQUEST}/replay/?$", ReplayViewSet.as_view({"post": "one"}), name="webhook-request-replay"),
    re_path(rf"^webhook/{_TOKEN}/replay/?$", ReplayViewSet.as_view({"post": "many"}), name="webhook-replay"),
    re_path(rf"^webhook/{_TOKEN}/deliveries/?$", _deliveries(get="list"), name="webhook-deliveries"),
    re_path(rf"^webhook/{_TOKEN}/deliveries/retry/?$", _deliveries(post="retry_all"), name="webhook-deliveries-retry"),
    re_path(rf"{_DELIVERY}/?$", _deliveries(get="retrieve"), name="webhook-delivery"),
    re_path(rf"{_DELIVERY}/retry/?$", _deliveries(post="retry"), name="webhook-delivery-retry"),
    re_path(rf"^webhook/{_TOKEN}/events/?$", StreamViewSet.as_view({"get": "events"}), name="webhook-events"),
    re_path(rf"^webhook/{_TOKEN}/wait/?$", StreamViewSet.as_view({"get": "wait"}), name="webhook-wait"),
    re_path(rf"^webhook/{_TOKEN}/attempts/?$", AttemptViewSet.as_view({"post": "create"}), name="webhook-attempts"),
    path("listen.py", listen_page.listen, name="listen"),
    *PAGES,
]
