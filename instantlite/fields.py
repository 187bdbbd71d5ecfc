"""Fields and serializers that every kind of resource shares: what a caller may say, checked to the last character."""

import unicodedata
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from instantlite import errors
from instantlite.config import parse_duration

SHORTEST_TTL = timedelta(seconds=60)
# C0 and C1 controls, lone surrogates (PostgreSQL has no place for them), line and paragraph separators.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


class NameField(serializers.CharField):
    """1 to 120 characters of text, no control characters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=120, min_length=1, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("must be a string.")
        if any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in data):
            raise serializers.ValidationError("must not contain control characters.")
        return super().to_internal_value(data)


@extend_schema_field({"oneOf": [{"type": "string", "examples": ["90s", "2h"]}, {"type": "integer", "minimum": 60}]})
class TtlField(serializers.Field[Any, Any, Any, Any]):
    """A time to live: seconds as a number, or "90s", "30m", "2h", "1d". Gives a timedelta."""

    def to_internal_value(self, data: Any) -> timedelta:
        if isinstance(data, bool) or not isinstance(data, int | str):
            raise serializers.ValidationError('must be seconds or a duration such as "90s" or "2h".')
        longest: timedelta = settings.INSTANTLITE.limits.max_ttl
        if isinstance(data, int) and not 0 <= data < 10**9:
            raise serializers.ValidationError(_range(longest))
        try:
            ttl = parse_duration(int(data) if str(data).isascii() and str(data).isdigit() else data)
        except ValueError as error:
            raise serializers.ValidationError(
                f'{error} (write seconds, or a duration such as "90s" or "2h").'
            ) from error
        if not SHORTEST_TTL <= ttl <= longest:
            raise serializers.ValidationError(_range(longest))
        return ttl

    def to_representation(self, value: timedelta) -> int:
        return int(value.total_seconds())


def _range(longest: timedelta) -> str:
    return f"must be from 60 seconds to {int(longest.total_seconds())} seconds."


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not know: a misspelt option must not be ignored in silence."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = next((str(name) for name in data if name not in self.fields), None)
            if unknown is not None:
                known = ", ".join(self.fields) or "none"
                raise serializers.ValidationError({unknown[:60]: f"is not a known field (known: {known})."})
        return super().to_internal_value(data)


class NewResource(StrictSerializer):
    """The body of `POST /…/new`. All of it may be left out."""

    name = NameField(required=False, allow_null=True, help_text="Up to 120 characters; a friendly one is made up.")
    ttl = TtlField(
        required=False, allow_null=True, help_text='Seconds, or "90s", "2h"; 60 s up to the server\'s maximum.'
    )


class ExtendResource(StrictSerializer):
    """The body of `POST /…/{token}/extend`."""

    ttl = TtlField(help_text='How much longer: seconds, or "90s", "2h".')


class Nothing(StrictSerializer):
    """The body of a call that takes none."""


class ResourceDeleted(serializers.Serializer[Any]):
    """The answer to `DELETE /…/{token}`."""

    ok = serializers.BooleanField()
    id = serializers.UUIDField()
    status = serializers.CharField(help_text="deleted")


def rfc3339(moment: Any) -> str:
    """`2026-01-31T12:00:00Z`: RFC 3339, UTC, whole seconds."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def idempotency_key(request: Request) -> str | None:
    """The header Idempotency-Key; None without one. Raises ApiError for one that is not 1 to 255 visible characters."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not all("!" <= character <= "~" for character in key):
        raise errors.ApiError(
            errors.INVALID_REQUEST,
            "Idempotency-Key: must be 1 to 255 visible ASCII characters; a random UUID is a good one.",
        )
    return key


def parse(request: Request, shape: type[StrictSerializer]) -> dict[str, Any]:
    """The body as `shape` says it must be. Raises ValidationError, which names the field."""
    serializer = shape(data=request.data or {})
    serializer.is_valid(raise_exception=True)
    wanted: dict[str, Any] = serializer.validated_data
    return wanted
