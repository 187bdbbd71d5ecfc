"""What a listening client may say of its attempts, checked to the last character: it is shown to people."""

import base64
import binascii
import math
import re
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from instantlite.fields import StrictSerializer

MOST = 100
LONGEST_URL, LONGEST_ERROR = 500, 1000
LONGEST_BODY = 65_536
MOST_LINES, LONGEST_LINES = 100, 65_536
_SCHEMES = ("http://", "https://", "exec:")
_DAY_MS = 86_400_000


# C0 but for tab and line feed, and lone surrogates, for which PostgreSQL has no place.
_REFUSED = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class WordsField(serializers.CharField):
    """Text that can be stored and shown."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("must be a string.")
        if _REFUSED.search(data):
            raise serializers.ValidationError("must not contain control characters.")
        return super().to_internal_value(data)


class ListenerUrlField(WordsField):
    """Where a request was handed to, for people to read: nothing is ever sent there."""

    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        if not url.lower().startswith(_SCHEMES):
            raise serializers.ValidationError('must begin with http://, https:// or "exec:".')
        return url


@extend_schema_field({"type": "array", "items": {"type": "array", "items": {"type": "string"}}, "maxItems": MOST_LINES})
class HeaderLinesField(serializers.Field[Any, Any, Any, Any]):
    """Pairs of name and value, as Latin-1 of the wire."""

    def to_internal_value(self, data: Any) -> tuple[tuple[str, str], ...]:
        if not isinstance(data, list) or not all(_is_pair(line) for line in data):
            raise serializers.ValidationError("must be a list of pairs of text, characters up to U+00FF, no NUL.")
        if len(data) > MOST_LINES or sum(len(name) + len(value) for name, value in data) > LONGEST_LINES:
            raise serializers.ValidationError(f"may be {MOST_LINES} lines of {LONGEST_LINES} characters in all.")
        return tuple((name, value) for name, value in data)

    def to_representation(self, value: Any) -> Any:
        return value


def _is_pair(line: Any) -> bool:
    return (
        isinstance(line, list)
        and len(line) == 2
        and all(isinstance(text, str) and "\0" not in text and max(text, default="") <= "\xff" for text in line)
    )


@extend_schema_field({"type": "string", "format": "byte"})
class Base64Field(serializers.Field[Any, Any, Any, Any]):
    """Bytes in base64 (RFC 4648, section 4)."""

    def to_internal_value(self, data: Any) -> bytes:
        try:
            found = base64.b64decode(data if isinstance(data, str) else "?", validate=True)
        except (binascii.Error, ValueError):
            raise serializers.ValidationError("must be base64.") from None
        if len(found) > LONGEST_BODY:
            raise serializers.ValidationError(f"may hold {LONGEST_BODY} bytes; send the first of them.")
        return found

    def to_representation(self, value: Any) -> Any:
        return value


class DurationField(serializers.FloatField):
    """Milliseconds, a day of them at most; NaN and infinity are no duration."""

    def to_internal_value(self, data: Any) -> float:
        try:
            value = super().to_internal_value(data)
        except OverflowError:
            value = math.inf
        if not (math.isfinite(value) and 0 <= value <= _DAY_MS):
            raise serializers.ValidationError(f"must be milliseconds, from 0 to {_DAY_MS}.")
        return value


class ReportedAttempt(StrictSerializer):
    """What became of one request."""

    request_id = serializers.UUIDField()
    url = ListenerUrlField(max_length=LONGEST_URL, help_text='http://…, https://… or "exec:…". Nothing is sent there.')
    status = serializers.IntegerField(
        min_value=100, max_value=999, allow_null=True, help_text="null: there was no HTTP answer."
    )
    duration_ms = DurationField()
    error = WordsField(
        max_length=LONGEST_ERROR, allow_blank=True, default="", help_text="Why it failed, in words; empty: it did not."
    )
    answer_headers = HeaderLinesField(default=(), help_text="Pairs of name and value, in order.")
    answer_body_base64 = Base64Field(default=b"", source="answer_body", help_text="The first 64 KiB of the answer.")
    answer_truncated = serializers.BooleanField(default=False, help_text="Whether there was more.")
    id = serializers.UUIDField(
        required=False, help_text="Of your own, best a UUIDv7: told again with the same id, it is the same attempt."
    )


class ReportedAttempts(StrictSerializer):
    """Up to 100 of them."""

    attempts = serializers.ListField(child=ReportedAttempt(), min_length=1, max_length=MOST)
