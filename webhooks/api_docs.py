"""What the OpenAPI description says of the API of webhook inboxes."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view

from instantlite import errors, openapi
from instantlite.fields import ExtendResource, NewResource, ResourceDeleted
from webhooks import filters
from webhooks.answer_fields import ChangeEndpoint
from webhooks.attempt_fields import ReportedAttempts
from webhooks.serializers import (
    AttemptsKept,
    Detail,
    Listing,
    NextRequest,
    RequestsDeleted,
    WebhookCreated,
    WebhookStatus,
)


def _query(name: str, says: str, kind: Any = str) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=says)


LIST = [
    _query("before", "Older than the request with this id."),
    _query("after", "Newer than the request with this id: the oldest of them, so that going on misses none."),
    _query("limit", f"1 to {filters.LONGEST_PAGE}; {filters.DEFAULT_LIMIT} by default.", int),
    _query("method", "As sent; several with commas between."),
    _query("path", "How the path below the receive URL begins."),
    _query("header[name]", "Has a field of this name that contains the value; an empty value: has the field."),
    _query("q", f"Text in the first {filters.SEARCHED_BYTES // 1024} KiB of the body, in the target or in a header."),
    _query("since", 'Received then or later: RFC 3339, or how long ago, such as "10m".'),
]
_PROBLEMS = openapi.problems(*openapi.TOKEN_PROBLEMS)


def _file(media_type: str, says: str) -> dict[Any, Any]:
    return {(200, media_type): OpenApiResponse(bytes, description=says), **_PROBLEMS}


def _json(shape: Any, says: str, *problems: errors.Code) -> dict[Any, Any]:
    return {
        (200, "application/json"): OpenApiResponse(shape, description=says),
        **openapi.problems(*openapi.TOKEN_PROBLEMS, *problems),
    }


described = extend_schema_view(
    create=extend_schema(
        operation_id="webhook_new",
        summary="A new webhook inbox",
        parameters=[openapi.IDEMPOTENCY_KEY, openapi.FORMAT],
        request=NewResource,
        responses={
            **openapi.with_url(201, WebhookCreated, "The inbox is yours."),
            **openapi.problems(*openapi.BODY_PROBLEMS, errors.IDEMPOTENCY_MISMATCH, errors.GONE),
        },
    ),
    retrieve=extend_schema(
        operation_id="webhook_status",
        summary="How an inbox is doing",
        parameters=[openapi.FORMAT],
        responses={**openapi.with_url(200, WebhookStatus, "The inbox, as it is now."), **_PROBLEMS},
    ),
    partial_update=extend_schema(
        operation_id="webhook_change",
        summary="Change what senders are answered, how they sign, or the name",
        parameters=[openapi.FORMAT],
        request=ChangeEndpoint,
        responses={
            **openapi.with_url(200, WebhookStatus, "The inbox, as it is from now on."),
            **openapi.problems(*openapi.BODY_PROBLEMS, *openapi.TOKEN_PROBLEMS),
        },
    ),
    destroy=extend_schema(
        operation_id="webhook_delete",
        summary="Delete an inbox",
        responses=_json(ResourceDeleted, "It is gone."),
    ),
    extend=extend_schema(
        operation_id="webhook_extend",
        summary="A later expiry",
        parameters=[openapi.FORMAT],
        request=ExtendResource,
        responses={
            **openapi.with_url(200, WebhookStatus, "The inbox, with a later expiry."),
            **openapi.problems(*openapi.BODY_PROBLEMS, *openapi.TOKEN_PROBLEMS, errors.LIFETIME_REACHED),
        },
    ),
)

described_requests = extend_schema_view(
    list=extend_schema(
        operation_id="webhook_requests",
        summary="The requests of an inbox, newest first",
        parameters=LIST,
        responses=_json(Listing, "A page of them."),
    ),
    retrieve=extend_schema(
        operation_id="webhook_request",
        summary="One request, all of it",
        responses=_json(Detail, "Headers in their order, and the body."),
    ),
    destroy=extend_schema(
        operation_id="webhook_request_delete",
        summary="Delete one request",
        responses=_json(RequestsDeleted, "It is gone."),
    ),
    clear=extend_schema(
        operation_id="webhook_requests_delete",
        summary="Delete all requests of an inbox",
        responses=_json(RequestsDeleted, "They are gone."),
    ),
    raw=extend_schema(
        operation_id="webhook_request_raw",
        summary="The body of a request",
        responses=_file("application/octet-stream", "The bytes as they came, as an attachment."),
    ),
    part=extend_schema(
        operation_id="webhook_request_part",
        summary="One part of a multipart body",
        responses=_file("application/octet-stream", "The bytes of the part, as an attachment."),
    ),
    har=extend_schema(
        operation_id="webhook_request_har",
        summary="A request as HAR",
        responses=_file("application/json", "An HTTP Archive, version 1.2."),
    ),
    curl=extend_schema(
        operation_id="webhook_request_curl",
        summary="A request as a curl command",
        responses=_file("text/plain", "A command for a POSIX shell."),
    ),
)

_AFTER = _query("after", "The id of a request: what came after it, at once where it has come. Without: from now on.")
_LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID",
    str,
    OpenApiParameter.HEADER,
    description="The id of the last event that was seen, before `after`; a browser sends it as it comes again.",
)

described_streams = extend_schema_view(
    events=extend_schema(
        operation_id="webhook_events",
        summary="The requests of an inbox, live",
        parameters=[
            _LAST_EVENT_ID,
            _AFTER,
            _query("include", "`message`: each event holds `headers`, `body_base64` and `complete` as well."),
        ],
        responses={
            (200, "text/event-stream"): OpenApiResponse(
                str,
                description="`event: request` with `id` and, as `data`, the request as in a list; with "
                "`include=message` its header lines and its body too, `null` and `complete` false where that is longer "
                "than 64 KiB. `event: gone`: the inbox is no more, do not come again. A comment at least every 15 s.",
            ),
            **openapi.problems(*openapi.TOKEN_PROBLEMS, errors.STREAMS_UNAVAILABLE),
        },
    ),
    wait=extend_schema(
        operation_id="webhook_wait",
        summary="Wait for the next request",
        parameters=[_AFTER, _query("timeout", "Seconds to wait, 0 to 60; 30 by default.", float)],
        responses=_json(NextRequest, "The next request, or null.", errors.STREAMS_UNAVAILABLE),
    ),
)

described_attempts = extend_schema_view(
    create=extend_schema(
        operation_id="webhook_attempts",
        summary="Say what became of requests that you passed on",
        request=ReportedAttempts,
        responses=_json(AttemptsKept, "They are kept.", *openapi.BODY_PROBLEMS),
    ),
)
