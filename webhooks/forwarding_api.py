"""The API that sends on: destinations, deliveries, replays."""

from typing import Any

from django.conf import settings
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from instantlite import errors
from instantlite.errors import ApiError
from instantlite.fields import Nothing, parse
from instantlite.renderers import Negotiation, OwnParameters
from webhooks import deliveries, delivery_lists, destinations, filters, forwarding_docs, lists, replay, signatures
from webhooks import forwarding_shapes as shapes
from webhooks.destination_fields import (
    DestinationChange,
    DestinationSettings,
    ReplaySettings,
    ReplayTarget,
    RetrySettings,
)
from webhooks.models import CapturedRequest, Delivery, Destination, Endpoint
from webhooks.viewsets import InboxViewSet

# Deliveries of one request that one call lists; GET …/deliveries has pages.
MOST_OF_ONE = 200


class ForwardingViewSet(InboxViewSet):
    """What these views share."""

    def destination(self, endpoint: Endpoint, destination_id: str) -> Destination:
        """One of the inbox. Raises ApiError `not_found`."""
        key = filters.request_id("destination", destination_id)
        found = Destination.objects.of(endpoint.pk).filter(pk=key).first()
        if found is None:
            raise _no_destination()
        return found

    def captured(self, endpoint: Endpoint, request_id: str) -> CapturedRequest:
        """One request of the inbox. Raises ApiError `not_found`."""
        found = lists.one(endpoint, filters.request_id("id", request_id))
        if found is None:
            raise lists.absent()
        return found

    def as_error(self, exception: Exception) -> ApiError | None:
        match exception:
            case destinations.TooMany():
                return ApiError(
                    errors.TOO_MANY_DESTINATIONS,
                    f"This inbox has {settings.INSTANTLITE.forwarding.destinations} destinations, as many as one may "
                    "have. Delete one, or make another inbox.",
                )
            case signatures.SecretNeeded():
                return ApiError(
                    errors.INVALID_REQUEST, "signature.secret: is needed, since none is kept for this provider."
                )
            case replay.NoDestination():
                return ApiError(
                    errors.NO_DESTINATION,
                    "This inbox has no destination that is on. Add one with POST …/destinations, or give a url.",
                )
            case replay.TooManyWait():
                return ApiError(
                    errors.TOO_MANY_DELIVERIES,
                    replay.TOO_MANY_WAIT,
                )
            case replay.NotKept():
                return ApiError(
                    errors.BODY_NOT_KEPT,
                    "Its body was too large to be kept. Give another body, or replay another request.",
                )
        return super().as_error(exception)


@forwarding_docs.destinations
class DestinationViewSet(ForwardingViewSet):
    """Where an inbox's requests are sent on to."""

    def list(self, request: Request, token: str) -> Response:
        """In the order in which they were made."""
        rows = list(Destination.objects.of(self.owned(token).pk))
        return Response({"ok": True, "items": shapes.destinations(rows)})

    def create(self, request: Request, token: str) -> Response:
        """Requests that arrive from now on are sent there."""
        endpoint, wanted = self.owned(token), parse(request, DestinationSettings)
        return Response(_shown(destinations.add(endpoint, wanted)), status=201)

    def retrieve(self, request: Request, token: str, destination_id: str) -> Response:
        """How it is doing."""
        return Response(_shown(self.destination(self.owned(token), destination_id)))

    def partial_update(self, request: Request, token: str, destination_id: str) -> Response:
        """What is left out stays. Turned on again, what waited for it is sent."""
        row, wanted = self.destination(self.owned(token), destination_id), parse(request, DestinationChange)
        changed = destinations.change(row, wanted)
        if changed is None:
            raise _no_destination()
        return Response(_shown(changed))

    def destroy(self, request: Request, token: str, destination_id: str) -> Response:
        """What it was to get is not sent any more; what it got stays on record."""
        row = self.destination(self.owned(token), destination_id)
        if not destinations.remove(row):
            raise _no_destination()
        return Response({"ok": True, "id": str(row.pk), "status": "deleted"})


@forwarding_docs.deliveries
class DeliveryViewSet(ForwardingViewSet):
    """What was sent on, and how that went."""

    def get_content_negotiator(self) -> Negotiation:
        method = self.request.method if self.request else None
        action = self.action_map.get((method or "").lower())
        return OwnParameters() if action == "list" else Negotiation()

    def list(self, request: Request, token: str) -> Response:
        """Of all requests, newest first. `next` is the URL of the page that follows."""
        endpoint, page = self.owned(token), delivery_lists.page_of(request.query_params)
        listed, more = delivery_lists.read(endpoint, page)
        return Response({"ok": True, "items": shapes.deliveries(listed), "next": more})

    @action(detail=True, methods=["get"])
    def of_request(self, request: Request, token: str, request_id: str) -> Response:
        """Of one request, in the order in which they were made."""
        captured = self.captured(self.owned(token), request_id)
        rows = Delivery.objects.of(captured.endpoint_id, captured.pk).defer("edited_body")
        # The newest: somebody may have asked for it again and again.
        newest = list(rows.reverse()[:MOST_OF_ONE])[::-1]
        return Response({"ok": True, "items": shapes.deliveries(newest)})

    def retrieve(self, request: Request, token: str, delivery_id: str) -> Response:
        """One of them, with every answer that is kept."""
        row = self.delivery(self.owned(token), delivery_id)
        return Response({"ok": True, **shapes.deliveries([row], 2**40)[0]})

    @action(detail=True, methods=["post"])
    def retry(self, request: Request, token: str, delivery_id: str) -> Response:
        """Now, and with all its tries anew. One that is delivered is not sent again: replay its request."""
        parse(request, Nothing)
        endpoint = self.owned(token)
        if not deliveries.again(self.delivery(endpoint, delivery_id)):
            raise ApiError(
                errors.NOT_RETRYABLE,
                "Only a delivery that is dead, skipped or waiting can be tried again. Replay its request instead.",
            )
        return Response({"ok": True, **shapes.deliveries([self.delivery(endpoint, delivery_id)])[0]}, status=202)

    @action(detail=False, methods=["post"])
    def retry_all(self, request: Request, token: str) -> Response:
        """All that are dead, or those of one destination."""
        endpoint, wanted = self.owned(token), parse(request, RetrySettings)
        return Response(
            {"ok": True, "retried": deliveries.all_again(endpoint.pk, wanted.get("destination_id"))}, status=202
        )

    def delivery(self, endpoint: Endpoint, delivery_id: str) -> Delivery:
        """One of the inbox. Raises ApiError `not_found`."""
        key = filters.request_id("delivery", delivery_id)
        found = Delivery.objects.filter(pk=key, endpoint_id=endpoint.pk).first()
        if found is None:
            raise ApiError(errors.NOT_FOUND, "This inbox has no such delivery; it goes when its request is deleted.")
        return found


@forwarding_docs.replays
class ReplayViewSet(ForwardingViewSet):
    """Sending captured requests again."""

    def get_content_negotiator(self) -> Negotiation:
        return OwnParameters()

    @action(detail=True, methods=["post"])
    def one(self, request: Request, token: str, request_id: str) -> Response:
        """One request, as it came or edited, to all destinations, one, or any URL. Waits for the outcome."""
        endpoint, wanted = self.owned(token), parse(request, ReplaySettings)
        captured = self.captured(endpoint, request_id)
        changes: dict[str, Any] = {name: wanted[name] for name in ("method", "path", "headers") if name in wanted}
        edit = replay.Edit(changes, wanted["content"])
        made = replay.replay([captured], replay.targets(endpoint, **_target(wanted)), edit)
        rows = replay.wait(made, wanted["wait_seconds"])
        return Response({"ok": True, "deliveries": shapes.deliveries(rows)}, status=202)

    @action(detail=False, methods=["post"])
    def many(self, request: Request, token: str) -> Response:
        """All requests that match the query, which is that of the list of requests; oldest first."""
        endpoint, wanted = self.owned(token), parse(request, ReplayTarget)
        page = filters.page_of(request.query_params)
        to = replay.targets(endpoint, **_target(wanted))
        found, complete = lists.matching(endpoint, page, replay.MOST_REQUESTS)
        made = replay.replay(found, to)
        return Response(
            {
                "ok": True,
                "requests": len({delivery.request_id for delivery in made}),
                "deliveries": len(made),
                "complete": complete,
                "newest": str(found[-1].pk) if found else None,
            },
            status=202,
        )


def _target(wanted: dict[str, Any]) -> dict[str, Any]:
    return {name: wanted[name] for name in ("destination_id", "url", "timeout_seconds") if name in wanted}


def _shown(row: Destination) -> dict[str, Any]:
    return {"ok": True, **shapes.destinations([row])[0]}


def _no_destination() -> ApiError:
    return ApiError(errors.NOT_FOUND, "This inbox has no such destination. GET …/destinations lists them.")
