"""The form that says what senders are answered: HTML's fields to answer_fields.py's, and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from webhooks import answers, charsets
from webhooks.answer_fields import AnswerSettings, merged
from webhooks.markup import text_markup
from webhooks.message import Message
from webhooks.models import CapturedRequest

FIELDS = ("status", "content_type", "headers", "body", "delay_seconds", "cors")
# What is previewed where nothing has been captured yet.
_SAMPLE = Message("POST", "/", "1.1", (("Content-Type", "application/json"),), b'{"challenge": "sample"}')


@dataclass(frozen=True)
class AnswerForm:
    """`values` are the fields as text, `problems` what is wrong with them, by field."""

    values: Mapping[str, str]
    problems: Mapping[str, str] = field(default_factory=dict)


def filled(current: Mapping[str, Any] | None) -> AnswerForm:
    """The form for settings as they are stored; what has its default is empty."""
    held = current or {}
    return AnswerForm(
        {
            "status": str(held.get("status", "")),
            "content_type": held.get("content_type", ""),
            "headers": "\n".join(f"{name}: {value}" for name, value in held.get("headers", ())),
            "body": held.get("body", ""),
            "delay_seconds": f"{held['delay_seconds']:g}" if "delay_seconds" in held else "",
            "cors": "on" if held.get("cors", True) else "",
        }
    )


def read(data: QueryDict) -> tuple[AnswerForm, dict[str, Any] | None]:
    """The form as it was sent, and the settings that it means: every field, None for its default. None: see problems.

    An empty body is the default; an answer without a body is status 204.
    """
    values = {name: data.get(name, "") for name in FIELDS}
    wanted: dict[str, Any] = {name: values[name].strip() or None for name in ("status", "content_type")}
    wanted["delay_seconds"] = values["delay_seconds"].strip().replace(",", ".") or None
    # A form's line ends are CRLF, whatever was typed (HTML standard, section 4.10.22.5).
    wanted["body"] = values["body"].replace("\r\n", "\n") or None
    wanted["cors"] = None if values["cors"] else False
    wanted["headers"] = _pairs(values["headers"]) or None
    checked = AnswerSettings(data=wanted)
    try:
        checked.is_valid(raise_exception=True)
        merged(None, checked.validated_data)
    except ValidationError as error:
        return AnswerForm(values, _problems(error)), None
    return AnswerForm(values), dict(checked.validated_data)


def _pairs(text: str) -> list[list[str]]:
    """`Name: value` lines; empty ones are left out."""
    lines = (line.partition(":") for line in text.splitlines() if line.strip())
    return [[name.strip(), value.strip()] for name, _, value in lines]


def _problems(error: ValidationError) -> dict[str, str]:
    """The first sentence for each field."""
    detail: Any = error.detail
    if not isinstance(detail, Mapping):
        return {"body": str(detail[0])}
    return {str(name): _first(said) for name, said in detail.items()}


def _first(said: Any) -> str:
    if isinstance(said, Mapping):
        return _first(next(iter(said.values())))
    return _first(said[0]) if isinstance(said, list) else str(said)


@dataclass(frozen=True)
class Preview:
    """What a sender would get. `of` is the request that it would be the answer to; None for a sample."""

    answer: answers.Answer
    of: CapturedRequest | None

    @property
    def text(self) -> Any:
        """The answer as an HTTP message, as far as its owner chose it."""
        lines = [f"HTTP/1.1 {self.answer.status}", *(f"{name}: {value}" for name, value in self._headers)]
        body = self.answer.body.decode("utf-8", "replace")
        return text_markup(charsets.wire("\n".join(lines)) + f"\n\n{body}")

    @property
    def _headers(self) -> list[tuple[str, str]]:
        return list(self.answer.headers)


def preview(settings: Mapping[str, Any] | None, newest: CapturedRequest | None) -> Preview:
    """What the newest request's sender would be answered now."""
    message, request_id = (newest.message, newest.id) if newest else (_SAMPLE, UUID(int=0))
    return Preview(answers.make(dict(settings) if settings else None, message, request_id), newest)
