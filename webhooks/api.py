"""The API of webhook inboxes. A view translates HTTP, makes one domain call, and renders."""

from typing import ClassVar
from uuid import UUID

from django.http import HttpResponseBase
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from instantlite.fields import ExtendResource, parse
from instantlite.renderers import Negotiation, OwnParameters
from ratelimit import creating, throttling
from webhooks import api_docs, downloads, endpoints, filters, lists
from webhooks.answer_fields import ChangeEndpoint
from webhooks.models import CapturedRequest, Endpoint
from webhooks.serializers import next_url, render, render_detail, render_status, render_summary
from webhooks.viewsets import InboxViewSet


@api_docs.described
class EndpointViewSet(InboxViewSet):
    """Webhook inboxes that live for a day."""

    with_url: ClassVar[frozenset[str]] = frozenset({"create", "retrieve", "partial_update", "extend"})

    @throttling.charges_itself
    def create(self, request: Request) -> Response:
        """A URL that takes any request, and a page that shows each as it came. The body may be left out."""
        handed_out = creating.hand_out(request, self.rows(), endpoints.hand_out)
        return Response(render(handed_out.resource), status=201, headers=creating.headers(handed_out))

    def retrieve(self, request: Request, token: str) -> Response:
        """Its settings, how many requests came and how many are kept, and its URLs once more."""
        endpoint = self.owned(token)
        return Response(render_status(endpoint))

    def partial_update(self, request: Request, token: str) -> Response:
        """Sets the name, what senders are answered, or how they sign. What is left out stays; null sets the default."""
        endpoint = self.owned(token)
        wanted = parse(request, ChangeEndpoint)
        return Response(render_status(endpoints.change(endpoint, wanted)))

    def destroy(self, request: Request, token: str) -> Response:
        """At once, with every request in it. Senders are told 410."""
        endpoint = self.owned(token)
        endpoints.expire(endpoint)
        return Response({"ok": True, "id": str(endpoint.pk), "status": "deleted"})

    # Marked as actions for drf-spectacular, which describes no other methods; urls.py has their paths.
    @action(detail=True, methods=["post"])
    def extend(self, request: Request, token: str) -> Response:
        """Moves expires_at by ttl, as far as the server's longest lifetime allows; see expires_at in the answer."""
        wanted = parse(request, ExtendResource)
        return Response(render_status(endpoints.extend(self.owned(token), wanted["ttl"])))


@api_docs.described_requests
class CapturedRequestViewSet(InboxViewSet):
    """What an inbox has captured."""

    def get_content_negotiator(self) -> Negotiation:
        """Lists have many parameters, which filters.py checks."""
        # DRF knows the action a moment later; the description of the API is made without a request.
        method = self.request.method if self.request else None
        action = self.action_map.get((method or "").lower())
        return OwnParameters() if action == "list" else Negotiation()

    def list(self, request: Request, token: str) -> Response:
        """Newest first. `next` is the URL of the page that follows."""
        endpoint, page = self.owned(token), filters.page_of(request.query_params)
        listed = lists.read(endpoint, page)
        items = [render_summary(captured) for captured in listed.items]
        return Response({"ok": True, "items": items, "next": next_url(endpoint, listed.next)})

    def retrieve(self, request: Request, token: str, request_id: str) -> Response:
        """All of it: headers in order, the body as text where it is text and in base64 where not."""
        return Response(render_detail(self.found(lists.verified(*self.named(token, request_id)))))

    def destroy(self, request: Request, token: str, request_id: str) -> Response:
        """This one, for good."""
        captured = self.captured(token, request_id)
        return Response({"ok": True, "deleted": endpoints.delete_requests(captured.endpoint_id, [captured.pk])})

    @action(detail=False, methods=["delete"])
    def clear(self, request: Request, token: str) -> Response:
        """All requests that have come until now; the inbox stays."""
        return Response({"ok": True, "deleted": endpoints.clear(self.owned(token))})

    @action(detail=True, methods=["get"])
    def raw(self, request: Request, token: str, request_id: str) -> HttpResponseBase:
        """The body's bytes, as a file."""
        return downloads.body(self.captured(token, request_id))

    @action(detail=True, methods=["get"])
    def part(self, request: Request, token: str, request_id: str, number: str) -> HttpResponseBase:
        """The bytes of one part of a multipart body, as a file; parts count from 1."""
        return downloads.part(self.captured(token, request_id), int(number[:9]))

    @action(detail=True, methods=["get"])
    def har(self, request: Request, token: str, request_id: str) -> HttpResponseBase:
        """An HTTP Archive (HAR 1.2) that holds this request."""
        return downloads.har(self.captured(token, request_id))

    @action(detail=True, methods=["get"])
    def curl(self, request: Request, token: str, request_id: str) -> HttpResponseBase:
        """A shell command that sends it again, byte for byte."""
        return downloads.curl(self.captured(token, request_id))

    def captured(self, token: str, request_id: str) -> CapturedRequest:
        """One request of the caller's inbox. Raises ApiError `not_found`, Gone."""
        return self.found(lists.one(*self.named(token, request_id)))

    def named(self, token: str, request_id: str) -> tuple[Endpoint, UUID]:
        """What a path names. Raises ApiError, Gone."""
        return self.owned(token), filters.request_id("id", request_id)

    def found(self, found: CapturedRequest | None) -> CapturedRequest:
        """It. Raises ApiError `not_found` where it is not there."""
        if found is None:
            raise lists.absent()
        return found
