"""What the API may say of a destination, and of a replay: checked before it is stored."""

import base64
import binascii
import math
import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from instantlite.fields import StrictSerializer
from webhooks import answer_headers, forward_filter, outbound
from webhooks.expressions import TemplateError
from webhooks.outbound import Refused
from webhooks.signature_fields import SigningSettings

LONGEST_TIMEOUT, DEFAULT_TIMEOUT = 30.0, 10.0
SHORTEST_TIMEOUT = 0.1
LONGEST_WAIT, DEFAULT_WAIT = 30.0, 10.0
MAX_CONDITIONS = 20
MAX_TEXT = 500
MAX_PATH = 8000
MAX_HEADERS, MAX_HEADER_BYTES = 200, 65_536

_METHOD = answer_headers.TOKEN
# Origin form (RFC 9112, section 3.2.1).
_PATH = re.compile(r"(?:/[!-~]*|\?[!-~]*)?")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class UrlField(serializers.CharField):
    """An http or https URL that this server may send to, as it is stored. Names are looked up as something is sent."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=2000, trim_whitespace=True, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("must be a URL, such as https://example.com/hooks.")
        try:
            return outbound.check_url(super().to_internal_value(data))
        except Refused as error:
            raise serializers.ValidationError(str(error)) from None


class SecondsField(serializers.FloatField):
    """Seconds in a range."""

    def __init__(self, least: float, most: float, **kwargs: Any) -> None:
        self._range = (least, most)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> float:
        least, most = self._range
        problem = f"must be a number of seconds from {least:g} to {most:g}."
        if isinstance(data, bool):
            raise serializers.ValidationError(problem)
        try:
            seconds = super().to_internal_value(data)
        except serializers.ValidationError:
            raise serializers.ValidationError(problem) from None
        if not least <= seconds <= most:  # NaN is not
            raise serializers.ValidationError(problem)
        return float(seconds)


@extend_schema_field({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})
class ConditionsField(serializers.Field[Any, Any, Any, Any]):
    """An object of names and the values that they must have."""

    def __init__(self, *, values: tuple[type, ...], example: str, check: Any, **kwargs: Any) -> None:
        self._values, self._example, self._check = values, example, check
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping) or not all(isinstance(value, self._values) for value in data.values()):
            raise serializers.ValidationError(f"must be an object such as {self._example}.")
        if len(data) > MAX_CONDITIONS:
            raise serializers.ValidationError(f"must be at most {MAX_CONDITIONS} conditions.")
        for name, value in data.items():
            if len(str(name)) > MAX_TEXT or len(str(value)) > MAX_TEXT or _UNSTORABLE.search(f"{name}{value}"):
                raise serializers.ValidationError(f"names and values must be text of up to {MAX_TEXT} characters.")
            if isinstance(value, float) and not math.isfinite(value):
                raise serializers.ValidationError("a number must be one that JSON has.")
            self._check(str(name))
        return {str(name): value for name, value in data.items()}

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


def _check_header_name(name: str) -> None:
    if not answer_headers.TOKEN.fullmatch(name):
        raise serializers.ValidationError(f"{name[:60]!r} is no name of a header, such as X-Event.")


def _check_json_path(path: str) -> None:
    try:
        forward_filter.json_path(path)
    except TemplateError:
        raise serializers.ValidationError(
            f"{path[:60]!r} is no path; write one such as data.object.id or items[0].sku."
        ) from None


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
class MethodsField(serializers.Field[Any, Any, Any, Any]):
    """A method, or a list of them. Gives a list."""

    def to_internal_value(self, data: Any) -> list[str]:
        given = [data] if isinstance(data, str) else data
        if not isinstance(given, list) or not 1 <= len(given) <= MAX_CONDITIONS:
            raise serializers.ValidationError('must be a method such as "POST", or a list of them.')
        for method in given:
            if not isinstance(method, str) or len(method) > 40 or not _METHOD.fullmatch(method):
                raise serializers.ValidationError('must be a method such as "POST", or a list of them.')
        return given

    def to_representation(self, value: list[str]) -> list[str]:
        return value


class FilterSettings(StrictSerializer):
    """Conditions on a request, all of which must hold for it to be sent on."""

    method = MethodsField(required=False, help_text="One method, or a list of which one must be the request's.")
    path = serializers.CharField(
        required=False,
        max_length=MAX_TEXT,
        help_text="The path below the receive URL; * stands for any text: /orders/*.",
    )
    headers = ConditionsField(
        required=False, values=(str,), example='{"X-Event": "push"}', check=_check_header_name,
        help_text="Names of header fields, of any spelling, and the value that each must have.",
    )  # fmt: skip
    json = ConditionsField(
        required=False, values=(str, bool, int, float), example='{"data.type": "paid"}', check=_check_json_path,
        help_text="Paths into a JSON body, and the text, number or boolean that must be there.",
    )  # fmt: skip

    def validate_path(self, value: str) -> str:
        if _UNSTORABLE.search(value):
            raise serializers.ValidationError("must not contain U+0000 or half of a surrogate pair.")
        return value


class DestinationSettings(StrictSerializer):
    """A destination. What is left out of a change stays."""

    url = UrlField(
        help_text="Where requests go: http or https. The path below the receive URL and the query are added."
    )
    enabled = serializers.BooleanField(required=False, help_text="Whether requests are sent there; true unless set.")
    filter = FilterSettings(required=False, allow_null=True, help_text="Which requests; null: all.")
    timeout_seconds = SecondsField(
        SHORTEST_TIMEOUT, LONGEST_TIMEOUT, required=False,
        help_text=f"For the whole of an attempt, up to {LONGEST_TIMEOUT:g}; {DEFAULT_TIMEOUT:g} unless set.",
    )  # fmt: skip
    ordered = serializers.BooleanField(
        required=False, help_text="Strict order: a request waits until the one before it is delivered or dead."
    )
    signature = SigningSettings(
        required=False, allow_null=True, help_text="Signs each request anew with this secret; null: as it came."
    )

    def validate_filter(self, value: dict[str, Any] | None) -> dict[str, Any] | None:
        """As a row stores it; None for one without conditions."""
        if not value:
            return None
        return {("methods" if name == "method" else name): given for name, given in value.items()}


class DestinationChange(DestinationSettings):
    """The body of `PATCH …/destinations/{id}`."""

    url = UrlField(required=False, help_text="Where requests go.")


class ProxySettings(StrictSerializer):
    """Proxy mode."""

    timeout_seconds = SecondsField(
        SHORTEST_TIMEOUT, LONGEST_TIMEOUT, default=DEFAULT_TIMEOUT,
        help_text="How long a sender waits for the first destination's answer before it gets this inbox's own.",
    )  # fmt: skip


@extend_schema_field({"type": "array", "items": {"type": "array", "items": {"type": "string"}}})
class HeaderLinesField(serializers.Field[Any, Any, Any, Any]):
    """Pairs of name and value in their order, duplicates allowed; values hold Latin-1."""

    def to_internal_value(self, data: Any) -> list[list[str]]:
        if not isinstance(data, list) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in data):
            raise serializers.ValidationError('must be a list of pairs, [["X-Name", "value"]].')
        if len(data) > MAX_HEADERS or sum(len(str(part)) for pair in data for part in pair) > MAX_HEADER_BYTES:
            raise serializers.ValidationError(
                f"must be at most {MAX_HEADERS} lines of {MAX_HEADER_BYTES} bytes together."
            )
        for name, value in data:
            if not isinstance(name, str) or not answer_headers.TOKEN.fullmatch(name):
                raise serializers.ValidationError(f"{str(name)[:60]!r} is no name of a header, such as X-Event.")
            if not isinstance(value, str) or not answer_headers.VALUE.fullmatch(value):
                raise serializers.ValidationError(f"the value of {name[:60]} must be text without line breaks.")
        return [[name, value.strip(" \t")] for name, value in data]

    def to_representation(self, value: list[list[str]]) -> list[list[str]]:
        return value


class ReplayTarget(StrictSerializer):
    """Where to: all destinations that are on, unless one of these is given."""

    destination_id = serializers.UUIDField(required=False, help_text="One destination of this inbox, on or off.")
    url = UrlField(required=False, help_text="Any other URL: tried once, and not again by itself.")
    timeout_seconds = SecondsField(
        SHORTEST_TIMEOUT, LONGEST_TIMEOUT, required=False, help_text="With url: for the whole of the attempt."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "destination_id" in attrs and "url" in attrs:
            raise serializers.ValidationError({"url": "cannot stand beside destination_id; leave one out."})
        return attrs


class ReplaySettings(ReplayTarget):
    """The body of `POST …/requests/{id}/replay`; all of it may be left out. What is given replaces what came."""

    method = serializers.CharField(required=False, max_length=40, help_text="Another method.")
    path = serializers.CharField(
        required=False, max_length=MAX_PATH, allow_blank=True,
        help_text="Another path and query, added to the destination's: /orders?id=1.",
    )  # fmt: skip
    headers = HeaderLinesField(required=False, help_text="Other header lines, all of them, in their order.")
    body = serializers.CharField(
        required=False, allow_blank=True, trim_whitespace=False, help_text="Another body: text, sent as UTF-8."
    )
    body_base64 = serializers.CharField(required=False, allow_blank=True, help_text="Another body: bytes in base64.")
    wait_seconds = SecondsField(
        0.0, LONGEST_WAIT, default=DEFAULT_WAIT,
        help_text=f"How long the call waits for the outcome, 0 to {LONGEST_WAIT:g}; {DEFAULT_WAIT:g} unless set.",
    )  # fmt: skip

    def validate_method(self, value: str) -> str:
        if not _METHOD.fullmatch(value):
            raise serializers.ValidationError("must be a method such as POST.")
        return value

    def validate_path(self, value: str) -> str:
        if not _PATH.fullmatch(value):
            raise serializers.ValidationError("must begin with / and hold visible ASCII only; percent-encode the rest.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """With `content`: the bytes of another body, where there is one."""
        attrs = super().validate(attrs)
        if "body" in attrs and "body_base64" in attrs:
            raise serializers.ValidationError({"body_base64": "cannot stand beside body; leave one out."})
        content = None
        if "body" in attrs:
            content = attrs["body"].encode("utf-8", "replace")
        elif "body_base64" in attrs:
            try:
                content = base64.b64decode(attrs["body_base64"], validate=True)
            except (binascii.Error, ValueError):
                raise serializers.ValidationError({"body_base64": "must be base64 (RFC 4648, section 4)."}) from None
        if content is not None and len(content) > settings.INSTANTLITE.server.max_body_bytes:
            raise serializers.ValidationError(
                {"body": f"must have {settings.INSTANTLITE.server.max_body_bytes} bytes at most."}
            )
        return {**attrs, "content": content}


class RetrySettings(StrictSerializer):
    """The body of `POST …/deliveries/retry`."""

    destination_id = serializers.UUIDField(required=False, help_text="Only what is dead at this destination.")
