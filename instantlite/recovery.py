"""The outermost middleware: gives each request its id, and answers for exceptions that nobody foresaw."""

import logging
import re
import uuid
from collections.abc import Callable

from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError

from instantlite import errors

log = logging.getLogger("instantlite.recovery")

# A caller may bring its own id to find its request again in our logs, as long as it cannot forge a log line with it.
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

# Django turns these into calls of handler400, 403 and 404 by itself (errors.py has them).
_LEFT_TO_DJANGO = (Http404, PermissionDenied, SuspiciousOperation, BadRequest, MultiPartParserError)


class RecoveryMiddleware:
    """Sets `request.request_id` and the header `X-Request-Id`; turns an unhandled exception into a logged 500."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Not request.headers, which reads every header of the request first.
        offered = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = offered if _ACCEPTABLE_ID.fullmatch(offered) else uuid.uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]  # Django's request takes any attribute
        answer = self.get_response(request)
        if isinstance(answer, HttpResponseNotAllowed):
            answer = _method_not_allowed(request, answer)
        answer["X-Request-Id"] = request_id
        return answer

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Called by Django for an exception that a view let through; what nobody can name is logged, once."""
        if isinstance(exception, _LEFT_TO_DJANGO):
            return None
        if isinstance(exception, UnreadablePostError):
            broken = errors.ApiError(errors.MALFORMED_BODY, "The body broke off before its end; send it again.")
            return errors.answer(request, broken)
        error = errors.describe(exception)
        if error is None:
            error = errors.internal_error(request)
            log.exception("unhandled exception", extra={"request_id": errors.request_id(request)})
        return errors.answer(request, error)


def _method_not_allowed(request: HttpRequest, bare: HttpResponse) -> HttpResponse:
    """Django's own 405 has no body; this one says which methods there are."""
    allowed = bare.headers.get("Allow", "")
    message = f"Method {request.method!r} is not allowed here; use {allowed}."
    said = errors.answer(request, errors.ApiError(errors.METHOD_NOT_ALLOWED, message, headers={"Allow": allowed}))
    for name, value in bare.headers.items():
        if not name.startswith("Content-"):
            said.headers.setdefault(name, value)
    return said


class BodyLimitMiddleware:
    """413 for a body that wsgi.py refused to read. Behind the limits, so that it costs what every request costs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit = request.META.get("instantlite.body_too_large")
        if not limit:
            return self.get_response(request)
        says = f"The body may have {limit} bytes at most; send a smaller one."
        return errors.answer(request, errors.ApiError(errors.PAYLOAD_TOO_LARGE, says))
