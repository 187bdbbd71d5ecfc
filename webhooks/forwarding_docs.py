"""What the OpenAPI description says of sending on."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view

from instantlite import errors, openapi
from instantlite.fields import Nothing
from webhooks import api_docs, delivery_lists
from webhooks import forwarding_shapes as shapes
from webhooks.destination_fields import (
    DestinationChange,
    DestinationSettings,
    ReplaySettings,
    ReplayTarget,
    RetrySettings,
)
from webhooks.models import DeliveryState


def _json(status: int, shape: Any, says: str, *problems: errors.Code) -> dict[Any, Any]:
    return {
        (status, "application/json"): OpenApiResponse(shape, description=says),
        **openapi.problems(*openapi.TOKEN_PROBLEMS, *problems),
    }


def _query(name: str, says: str, kind: Any = str, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=says, **more)


destinations = extend_schema_view(
    list=extend_schema(
        operation_id="webhook_destinations",
        summary="The destinations of an inbox",
        responses=_json(200, shapes.DestinationListing, "All of them."),
    ),
    create=extend_schema(
        operation_id="webhook_destination_new",
        summary="Send requests on to a URL",
        request=DestinationSettings,
        responses=_json(
            201,
            shapes.DestinationAnswer,
            "Requests are sent there from now on.",
            *openapi.BODY_PROBLEMS,
            errors.TOO_MANY_DESTINATIONS,
        ),
    ),
    retrieve=extend_schema(
        operation_id="webhook_destination",
        summary="How a destination is doing",
        responses=_json(200, shapes.DestinationAnswer, "The destination."),
    ),
    partial_update=extend_schema(
        operation_id="webhook_destination_change",
        summary="Change a destination, turn it on or off",
        request=DestinationChange,
        responses=_json(200, shapes.DestinationAnswer, "The destination, as it is now.", *openapi.BODY_PROBLEMS),
    ),
    destroy=extend_schema(
        operation_id="webhook_destination_delete",
        summary="Delete a destination",
        responses=_json(200, shapes.DestinationDeleted, "It is gone."),
    ),
)

deliveries = extend_schema_view(
    list=extend_schema(
        operation_id="webhook_deliveries",
        summary="The deliveries of an inbox, newest first",
        parameters=[
            _query("state", "Only those in this state.", enum=DeliveryState.values),
            _query("destination_id", "Only those to this destination."),
            _query("before", "Older than the delivery with this id."),
            _query("limit", f"1 to {delivery_lists.LONGEST_PAGE}; {delivery_lists.DEFAULT_LIMIT} by default.", int),
        ],
        responses=_json(200, shapes.DeliveryPage, "A page of them."),
    ),
    of_request=extend_schema(
        operation_id="webhook_request_deliveries",
        summary="Where a request was sent on to, and how that went",
        responses=_json(200, shapes.DeliveryListing, "Its deliveries, each with its attempts."),
    ),
    retrieve=extend_schema(
        operation_id="webhook_delivery",
        summary="One delivery, all of it",
        responses=_json(200, shapes.DeliveryAnswer, "The delivery."),
    ),
    retry=extend_schema(
        operation_id="webhook_delivery_retry",
        summary="Try a delivery again",
        request=Nothing,
        responses=_json(202, shapes.DeliveryAnswer, "It is tried again.", *openapi.BODY_PROBLEMS, errors.NOT_RETRYABLE),
    ),
    retry_all=extend_schema(
        operation_id="webhook_deliveries_retry",
        summary="Try all dead deliveries again",
        request=RetrySettings,
        responses=_json(202, shapes.Retried, "They are tried again.", *openapi.BODY_PROBLEMS),
    ),
)

_PROBLEMS = (*openapi.BODY_PROBLEMS, errors.NO_DESTINATION, errors.BODY_NOT_KEPT, errors.TOO_MANY_DELIVERIES)

replays = extend_schema_view(
    one=extend_schema(
        operation_id="webhook_request_replay",
        summary="Send a captured request again",
        request=ReplaySettings,
        responses=_json(202, shapes.Replayed, "What became of it until now.", *_PROBLEMS),
    ),
    many=extend_schema(
        operation_id="webhook_replay",
        summary="Send many captured requests again",
        parameters=api_docs.LIST,
        request=ReplayTarget,
        responses=_json(202, shapes.ReplayedMany, "They are on their way.", *_PROBLEMS),
    ),
)
