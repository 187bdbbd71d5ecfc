"""What `PATCH /webhook/{token}` may say of the answer: `"response": {…}`, checked before it is stored.

A field that is given replaces the stored one, a field that is left out stays, `null` brings its default back; a
`"response": null` brings all of them back. What merged() gives is what answers.make() reads, and fits a jsonb column:
no NUL, no lone surrogates, no NaN (PostgreSQL manual, section 8.14).
"""

import re
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from instantlite.fields import NameField, StrictSerializer
from webhooks import answer_headers, answers, templating
from webhooks.destination_fields import ProxySettings
from webhooks.signature_fields import SignatureSettings
from webhooks.templating import Context

MAX_DELAY_SECONDS = 10
MAX_HEADERS = 30
MAX_HEADER_NAME = 100
MAX_HEADER_VALUE = 1000
MAX_CONTENT_TYPE = 200

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# What a field value is made of: visible ASCII, space and tab (RFC 9110, section 5.5).
_FIELD_VALUE = re.compile(r"[\t -~]*")
# RFC 9110, section 8.3.1, and a parameter's value as a token or a quoted string (section 5.6.6).
_TOKEN = answer_headers.TOKEN.pattern
_MEDIA_TYPE = re.compile(rf'{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|"(?:[\t !#-\[\]-~]|\\[\t -~])*"))*')
_CHARSET = re.compile(r';[ \t]*charset="?([^";]*)', re.IGNORECASE)


class StatusField(serializers.IntegerField):
    """A final status code (RFC 9110, section 15): 1xx answers announce another one, and are not an owner's to send."""

    def to_internal_value(self, data: Any) -> int:
        problem = "must be a number from 200 to 599, such as 200 or 503."
        try:
            status = super().to_internal_value(data)
        except serializers.ValidationError:
            raise serializers.ValidationError(problem) from None
        if not 200 <= status <= 599:
            raise serializers.ValidationError(problem)
        return int(status)


class DelayField(serializers.FloatField):
    """Seconds, 0 to MAX_DELAY_SECONDS, fractions allowed."""

    def to_internal_value(self, data: Any) -> float:
        problem = f"must be a number of seconds from 0 to {MAX_DELAY_SECONDS}, such as 2 or 0.5."
        if isinstance(data, bool):
            raise serializers.ValidationError(problem)
        try:
            delay = super().to_internal_value(data)
        except serializers.ValidationError:
            raise serializers.ValidationError(problem) from None
        if not 0 <= delay <= MAX_DELAY_SECONDS:  # NaN is not
            raise serializers.ValidationError(problem)
        return float(delay)


@extend_schema_field({"type": "string", "maxLength": MAX_CONTENT_TYPE, "examples": ["text/plain"]})
class ContentTypeField(serializers.Field[Any, Any, Any, Any]):
    """A media type, parameters allowed; kept as it was written."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or len(data) > MAX_CONTENT_TYPE or not _MEDIA_TYPE.fullmatch(data.strip(" ")):
            raise serializers.ValidationError(
                f"must be a media type of up to {MAX_CONTENT_TYPE} characters, such as application/json or text/plain."
            )
        given = data.strip(" ")
        if given.partition(";")[0].strip().lower() in answer_headers.RUN_BY_BROWSERS:
            raise serializers.ValidationError(
                "must not be one that browsers run or style pages with; text/plain shows a script as text."
            )
        charsets = {charset.strip().lower() for charset in _CHARSET.findall(given)}
        if charsets - {"utf-8", "utf8"}:
            raise serializers.ValidationError("must not name another charset than utf-8, which bodies are sent in.")
        return given

    def to_representation(self, value: str) -> str:
        return value


@extend_schema_field({"type": "string", "examples": ['{"challenge": "{{ request.json.challenge }}"}']})
class BodyField(serializers.Field[Any, Any, Any, Any]):
    """A template, up to templating.MAX_BYTES of UTF-8. Its grammar is checked; merged() checks it in its context."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError('must be text; write JSON as a string: "{\\"ok\\": true}".')
        if _UNSTORABLE.search(data):
            raise serializers.ValidationError("must not contain U+0000 or half of a surrogate pair; leave them out.")
        if len(data.encode()) > templating.MAX_BYTES:
            raise serializers.ValidationError(f"must be at most {templating.MAX_BYTES} bytes; shorten it.")
        problem = _template_problem(data, Context.TEXT)
        if problem:
            raise serializers.ValidationError(problem)
        return data

    def to_representation(self, value: str) -> str:
        return value


@extend_schema_field(
    {
        "oneOf": [
            {"type": "array", "maxItems": MAX_HEADERS, "items": {"type": "array", "items": {"type": "string"}}},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ],
        "examples": [[["X-Answer", "{{ request.id }}"]]],
    }
)
class HeadersField(serializers.Field[Any, Any, Any, Any]):
    """Pairs of name and value, or an object of them. Gives a list of lists, in the given order."""

    def to_internal_value(self, data: Any) -> list[list[str]]:
        pairs = list(data.items()) if isinstance(data, Mapping) else data
        if not isinstance(pairs, list) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
            raise serializers.ValidationError(
                'must be a list of pairs, [["X-Name", "value"]], or an object, {"X-Name": "value"}.'
            )
        if len(pairs) > MAX_HEADERS:
            raise serializers.ValidationError(f"must be at most {MAX_HEADERS}; leave out {len(pairs) - MAX_HEADERS}.")
        seen: set[str] = set()
        for name, value in pairs:
            _check_header(name, value)
            if name.lower() in seen:
                raise serializers.ValidationError(
                    f"{name} stands twice; put both values into one, with a comma between (RFC 9110, section 5.3)."
                )
            seen.add(name.lower())
        return [[name, value.strip(" \t")] for name, value in pairs]

    def to_representation(self, value: list[list[str]]) -> list[list[str]]:
        return value


class AnswerSettings(StrictSerializer):
    """What senders are answered. A field left out stays as it is; null brings its default back."""

    status = StatusField(required=False, allow_null=True, help_text="200 to 599; 200 unless set.")
    content_type = ContentTypeField(
        required=False, allow_null=True, help_text="application/json unless set. Scripts and style sheets are refused."
    )
    headers = HeadersField(
        required=False, allow_null=True, help_text=f"Up to {MAX_HEADERS}; values may hold placeholders."
    )
    body = BodyField(
        required=False,
        allow_null=True,
        help_text="Up to 64 KiB, with placeholders such as {{ request.json.challenge }}.",
    )
    delay_seconds = DelayField(
        required=False, allow_null=True, help_text=f"Seconds before the answer, up to {MAX_DELAY_SECONDS}."
    )
    cors = serializers.BooleanField(
        required=False, allow_null=True, help_text="Whether any web page may read the answer; true unless set."
    )


def merged(current: Mapping[str, Any] | None, change: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The settings to store: `current` as stored, `change` as AnswerSettings gave it. None: everything is default.

    Raises ValidationError for fields that are good by themselves and not together.
    """
    if change is None:
        return None
    result = {name: value for name, value in {**(current or {}), **change}.items() if value is not None}
    _check_together(result)
    return result or None


def _check_together(result: Mapping[str, Any]) -> None:
    cors = next((name for name, _ in result.get("headers", ()) if answer_headers.is_cors(name)), None)
    if cors and result.get("cors", True):
        raise serializers.ValidationError({"headers": f'{cors} is set by the server; set "cors" to false to set it.'})
    if "body" in result:
        _, context = answers.media(result.get("content_type", answers.DEFAULT_CONTENT_TYPE))
        problem = _template_problem(result["body"], context)
        if problem:
            raise serializers.ValidationError({"body": problem})


def _check_header(name: Any, value: Any) -> None:
    """Raises ValidationError unless the pair may be sent."""
    if not isinstance(name, str) or len(name) > MAX_HEADER_NAME or not answer_headers.TOKEN.fullmatch(name):
        raise serializers.ValidationError(
            f"a name is 1 to {MAX_HEADER_NAME} letters, digits and hyphens, such as X-Name."
        )
    refusal = answer_headers.refusal(name)
    if refusal:
        raise serializers.ValidationError(f"{name} {refusal}")
    if not isinstance(value, str) or len(value) > MAX_HEADER_VALUE or not _FIELD_VALUE.fullmatch(value):
        raise serializers.ValidationError(
            f"the value of {name} must be text of up to {MAX_HEADER_VALUE} ASCII characters, without line breaks."
        )
    if name.lower() == "location" and not answer_headers.good_location(value.strip(" \t")):
        raise serializers.ValidationError(
            "Location must begin with http:// or https:// and a host; placeholders may come behind that, after a slash."
        )
    problem = _template_problem(value, answers.context_of_header(name))
    if problem:
        raise serializers.ValidationError(f"the value of {name}, {problem}")


def _template_problem(text: str, context: Context) -> str | None:
    try:
        templating.parse(text, context)
    except templating.TemplateError as error:
        return str(error)
    return None


class ChangeEndpoint(StrictSerializer):
    """The body of `PATCH /webhook/{token}`: what is given is set, what is left out stays."""

    name = NameField(required=False)
    response = AnswerSettings(required=False, allow_null=True, help_text="What senders are answered; null: defaults.")
    proxy = ProxySettings(
        required=False, allow_null=True, help_text="Senders get the first destination's answer; null: the inbox's own."
    )
    signature = SignatureSettings(
        required=False, allow_null=True, help_text="How senders sign, so that each request is verified; null: not."
    )
