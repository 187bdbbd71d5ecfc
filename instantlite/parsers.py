"""Request bodies: JSON and forms, strict about what they are, forgiving about how they are labelled."""

import json
from collections.abc import Mapping
from typing import IO, Any

from django.http import QueryDict
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, MultiPartParser


class JSONParser(BaseParser):
    """RFC 8259: one object, UTF-8, no key twice, no NaN. Raises ParseError for everything else."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return parse_json(stream.read())


class FormParser(BaseParser):
    """A form; or JSON that `curl -d '{…}'` sent under curl's default content type, as people do every day."""

    media_type = "application/x-www-form-urlencoded"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        body = stream.read()
        return parse_json(body) if body.lstrip().startswith(b"{") else _single_values(_form(body))


class MultiPartFormParser(MultiPartParser):
    """`curl -F name=x`. Files have no place here and are refused by name."""

    def parse(  # type: ignore[override]  # a dict is all that our serializers need
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        parsed = super().parse(stream, media_type, parser_context)
        if parsed.files:
            raise ParseError(f"{next(iter(parsed.files))}: a file is not accepted here.")
        if not parsed.data:
            raise ParseError("The form has no fields; check its boundary, or send no body at all.")
        return _single_values(parsed.data)


def parse_json(body: bytes) -> dict[str, Any]:
    """An object from its bytes; the empty body is the empty object. Raises ParseError."""
    if not body.strip():
        return {}
    try:
        value = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise ParseError(f"The body is not UTF-8 (byte {error.start}).") from error
    except RecursionError as error:
        raise ParseError("The body is nested too deeply.") from error
    except json.JSONDecodeError as error:
        raise ParseError(
            f"The body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        ) from error
    except ValueError as error:
        raise ParseError(f"The body is not acceptable JSON: {error}.") from error
    if not isinstance(value, dict):
        raise ParseError('The body must be a JSON object, such as {"name": "orders"}.')
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:40]!r} stands twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _form(body: bytes) -> QueryDict:
    try:
        return QueryDict(body.decode("ascii"), encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ParseError(f"The form is not URL-encoded (byte {error.start}).") from error


def _single_values(form: QueryDict) -> dict[str, Any]:
    for name, values in form.lists():
        if len(values) > 1:
            raise ParseError(f"{name}: given {len(values)} times.")
    return {name: form[name] for name in form}
