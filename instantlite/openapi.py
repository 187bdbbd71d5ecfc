"""What the OpenAPI description says in many places: the errors of a call, and shared parameters."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from instantlite import errors

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="1 to 255 visible characters, a random UUID for one. Repeated from the same address within 24 h it "
    "gets the same resource and the same answer, marked with the header Idempotency-Replayed.",
)
FORMAT = OpenApiParameter(
    "format",
    str,
    enum=["json", "text", "env"],
    description="`env` answers a line for an .env file; `text` (or Accept: text/plain) the URL alone.",
)

BODY_PROBLEMS = (
    errors.INVALID_REQUEST,
    errors.MALFORMED_BODY,
    errors.PAYLOAD_TOO_LARGE,
    errors.UNSUPPORTED_MEDIA_TYPE,
)
TOKEN_PROBLEMS = (errors.INVALID_REQUEST, errors.NOT_FOUND, errors.GONE)
_ANYWHERE = (errors.METHOD_NOT_ALLOWED, errors.RATE_LIMITED, errors.INTERNAL_ERROR, errors.DATABASE_UNAVAILABLE)


def without_trailing_slash(endpoints: list[Any]) -> list[Any]:
    """drf-spectacular's preprocessing hook: a path as we write it, out of the expression that takes both forms."""
    return [(path.rstrip("/"), *rest) for path, *rest in endpoints]


class Problem(serializers.Serializer[Any]):
    """The one shape of every error."""

    ok = serializers.ChoiceField(choices=[False])
    error = serializers.ChoiceField(choices=sorted(errors.CODES), help_text="A short stable code.")
    message = serializers.CharField(help_text="What to do next.")
    request_id = serializers.CharField(help_text="Under which the server's logs know this request.")
    retry_after_seconds = serializers.IntegerField(required=False, help_text="Where waiting helps.")
    degraded = serializers.BooleanField(required=False, help_text="True where a part is missing and the rest works.")


def with_url(status: int, shape: type[serializers.Serializer[Any]], says: str) -> dict[Any, Any]:
    """A successful answer that has a connection URL, in the forms that renderers.py gives it."""
    return {
        (status, "application/json"): OpenApiResponse(shape, description=says),
        (status, "text/plain"): OpenApiResponse(str, description="The connection URL alone, or as a line for .env."),
    }


def problems(*codes: errors.Code) -> dict[Any, Any]:
    """The error answers of a call, those that every call can give among them."""
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys((*codes, *_ANYWHERE)):
        by_status.setdefault(code.status, []).append(f"`{code.name}`: {code.meaning}")
    return {
        (status, "application/json"): OpenApiResponse(Problem, description=" ".join(lines))
        for status, lines in sorted(by_status.items())
    }
