"""The one shape an error has, and every code there is.

`{"ok": false, "error": "<code>", "message": "<what to do next>", "request_id": "…"}`, with `retry_after_seconds`
(and the header `Retry-After`) where waiting helps. docs/errors.md lists the codes; a test compares the two.
"""

import logging
import sys
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from rest_framework import exceptions as drf
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from instantlite.logs import first_line

log = logging.getLogger("instantlite.errors")


@dataclass(frozen=True)
class Code:
    """One kind of error: its short stable name, its HTTP status, and when a caller meets it."""

    name: str
    status: int
    meaning: str


INVALID_REQUEST = Code("invalid_request", 400, "A field, header or parameter is not acceptable; the message names it.")
MALFORMED_BODY = Code("malformed_body", 400, "The body is not valid JSON, or not a valid form.")
FORBIDDEN = Code("forbidden", 403, "A browser form came without its CSRF token, or the page is not for this user.")
NOT_FOUND = Code("not_found", 404, "No such path, or no resource has this token.")
METHOD_NOT_ALLOWED = Code("method_not_allowed", 405, "The path exists, the method does not; see the header Allow.")
IDEMPOTENCY_MISMATCH = Code("idempotency_mismatch", 409, "This Idempotency-Key was used with a different body.")
LIFETIME_REACHED = Code("lifetime_reached", 409, "The resource already lives for as long as this server allows.")
TOO_MANY_DESTINATIONS = Code("too_many_destinations", 409, "The inbox has as many destinations as one may have.")
NO_DESTINATION = Code("no_destination", 409, "The inbox has no destination that is on, or not the one that was named.")
TOO_MANY_DELIVERIES = Code(
    "too_many_deliveries", 409, "So many deliveries of the inbox are not done yet that no replay is taken."
)
BODY_NOT_KEPT = Code("body_not_kept", 409, "The request's body was too large to be kept, so it cannot be sent again.")
NOT_RETRYABLE = Code("not_retryable", 409, "The delivery is delivered, or under way: replay its request instead.")
GONE = Code("gone", 410, "The resource has expired or was deleted.")
PAYLOAD_TOO_LARGE = Code("payload_too_large", 413, "The body is larger than this server accepts.")
URI_TOO_LONG = Code("uri_too_long", 414, "The path and query are longer than this server reads.")
UNSUPPORTED_MEDIA_TYPE = Code("unsupported_media_type", 415, "The body is neither JSON nor a form.")
RATE_LIMITED = Code("rate_limited", 429, "A limit is reached; the message names it. docs/limits.md has them all.")
HEADERS_TOO_LARGE = Code("headers_too_large", 431, "The headers are more or longer than this server reads.")
INTERNAL_ERROR = Code("internal_error", 500, "A fault of ours; it is logged under the request_id.")
PROVISIONING_UNAVAILABLE = Code("provisioning_unavailable", 503, "No cluster can make a database right now.")
CLUSTER_UNAVAILABLE = Code("cluster_unavailable", 503, "The cluster that holds this database does not answer.")
CACHE_UNAVAILABLE = Code("cache_unavailable", 503, "There is no Redis here, or it does not answer right now.")
CAPTURE_UNAVAILABLE = Code("capture_unavailable", 503, "The request to a webhook inbox could not be stored right now.")
STREAMS_UNAVAILABLE = Code(
    "streams_unavailable", 503, "As many event streams and waiting calls are open as may be, or the server restarts."
)
DATABASE_UNAVAILABLE = Code("database_unavailable", 503, "The service's own database does not answer.")

CODES = {code.name: code for code in list(globals().values()) if isinstance(code, Code)}

# How long a caller is asked to wait for our own database: a restart of PostgreSQL takes about as long.
DATABASE_RETRY_SECONDS = 2

NOT_FOUND_MESSAGE = "There is nothing at this path. GET / lists the calls; /docs describes them."


class ApiError(Exception):
    """An answer that is not a success. `message` says what to do next; `retry_after` is in seconds.

    `degraded`: a part of the service is missing and the rest works; the answer says so.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        retry_after: int | None = None,
        headers: dict[str, str] | None = None,
        degraded: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.headers = headers or {}
        self.degraded = degraded


def payload(error: ApiError, request: HttpRequest | None) -> dict[str, Any]:
    """The JSON object of an error."""
    body: dict[str, Any] = {
        "ok": False,
        "error": error.code.name,
        "message": error.message,
        "request_id": request_id(request),
    }
    if error.retry_after is not None:
        body["retry_after_seconds"] = error.retry_after
    if error.degraded:
        body["degraded"] = True
    return body


def response(error: ApiError, request: HttpRequest | None) -> JsonResponse:
    """An error as a plain Django response, for everything that happens outside a DRF view."""
    return JsonResponse(
        payload(error, request),
        status=error.code.status,
        json_dumps_params={"ensure_ascii": False},
        headers=_headers(error),
    )


def _headers(error: ApiError) -> dict[str, str]:
    headers = dict(error.headers)
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return headers


def describe(exception: Exception) -> ApiError | None:
    """The error that an exception means to a caller; None for one that nobody foresaw."""
    match exception:
        case ApiError():
            return exception
        case OperationalError() | InterfaceError():
            log.warning("the platform database does not answer: %s", first_line(exception))
            return ApiError(
                DATABASE_UNAVAILABLE,
                "The service's database is away for a moment; nothing was lost. Send the request again.",
                retry_after=DATABASE_RETRY_SECONDS,
            )
        case Http404() | drf.NotFound():
            return ApiError(NOT_FOUND, NOT_FOUND_MESSAGE)
        case PermissionDenied() | drf.PermissionDenied() | drf.NotAuthenticated():
            return ApiError(FORBIDDEN, "This is not allowed without signing in.")
        case drf.APIException():
            return _describe_drf(exception)
    return None


def _describe_drf(exception: drf.APIException) -> ApiError:
    match exception:
        case drf.ValidationError():
            return ApiError(INVALID_REQUEST, first_problem(exception.detail))
        case drf.ParseError():
            return ApiError(MALFORMED_BODY, str(exception.detail))
        case drf.MethodNotAllowed():
            return ApiError(METHOD_NOT_ALLOWED, f"{exception.detail} /docs shows the methods of each path.")
        case drf.UnsupportedMediaType():
            return ApiError(
                UNSUPPORTED_MEDIA_TYPE,
                "Send JSON (Content-Type: application/json), a form, or no body at all.",
            )
    code = next((c for c in CODES.values() if c.status == exception.status_code), INVALID_REQUEST)
    return ApiError(code, str(exception.detail))


def first_problem(detail: Any, field: str = "") -> str:
    """`field: sentence` for the first problem in DRF's tree of them."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        return first_problem(inner, "" if name == "non_field_errors" else str(name))
    if isinstance(detail, list):
        return first_problem(detail[0], field)
    return f"{field}: {detail}" if field else str(detail)


def exception_handler(exception: Exception, context: dict[str, Any]) -> Response | HttpResponse | None:
    """DRF's exception handler. None hands an unforeseen exception on to recovery.py."""
    error = describe(exception)
    if error is None:
        return None
    if isinstance(exception, drf.MethodNotAllowed):
        view = context["view"]
        error.headers["Allow"] = ", ".join(view.allowed_methods)
    request = context["request"]
    if wants_page(request._request):
        return answer(request._request, error)
    # An error is JSON, whatever form was asked for; finalize_response() would pick the success's renderer.
    context["view"].request.accepted_renderer = JSONRenderer()
    context["view"].request.accepted_media_type = JSONRenderer.media_type
    return Response(payload(error, request._request), status=error.code.status, headers=_headers(error))


# What Django calls for errors outside of DRF's views (urls.py names them as handler400 … handler500).

API_PREFIXES = ("/db", "/webhook/", "/cache", "/openapi.json", "/livez", "/readyz", "/healthz")


def wants_page(request: HttpRequest) -> bool:
    """Whether a person's browser asks for a page: never on an API path."""
    return not request.path.startswith(API_PREFIXES) and "text/html" in request.headers.get("Accept", "")


def answer(request: HttpRequest, error: ApiError) -> HttpResponse:
    """The error as a page for a browser, as JSON for everybody else."""
    final = _page(request, error) if wants_page(request) else response(error, request)
    if not request.path.startswith(API_PREFIXES):
        patch_vary_headers(final, ["Accept"])
    return final


def _page(request: HttpRequest, error: ApiError) -> HttpResponse:
    context = {"error": error, "request_id": request_id(request)}
    page = render(request, "error.html", context, status=error.code.status)
    for name, value in _headers(error).items():
        page[name] = value
    return page


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400: a forged Host, a malformed form, a cookie that was tampered with."""
    return answer(
        request, ApiError(INVALID_REQUEST, "The request could not be understood: check its headers and body.")
    )


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403."""
    return answer(request, ApiError(FORBIDDEN, "This is not allowed without signing in."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404."""
    return answer(request, ApiError(NOT_FOUND, NOT_FOUND_MESSAGE))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW."""
    return answer(request, ApiError(FORBIDDEN, "The form is out of date. Load the page again and send it once more."))


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500: an exception outside of any view, in a middleware."""
    exception = sys.exc_info()[1]
    known = describe(exception) if isinstance(exception, Exception) else None
    if known is None:
        log.error("unhandled exception", exc_info=exception, extra={"request_id": request_id(request)})
    return answer(request, known or internal_error(request))


def request_id(request: HttpRequest | None) -> str:
    """The id that recovery.py gave the request; empty before it did."""
    return getattr(request, "request_id", "")


def internal_error(request: HttpRequest) -> ApiError:
    """The 500 that tells nothing of what broke, and under which id we can find it."""
    return ApiError(
        INTERNAL_ERROR, f"Something broke on our side. Try again; if it stays, report request {request_id(request)}."
    )
