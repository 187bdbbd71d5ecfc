"""Which requests a destination wants: conditions on method, path, header fields and JSON, all of which have to hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from webhooks import expressions
from webhooks.expressions import Expression, Number, TemplateError
from webhooks.facts import Facts, as_text
from webhooks.message import Message


@dataclass(frozen=True)
class ForwardFilter:
    """Conditions; an empty one always holds.

    `path` is what follows the receive URL, without the query, and `*` in it stands for any text. Names of `headers` are
    of any spelling, and one of the field's values has to be equal. A key of `json` is a path such as
    `data.items[0].id`; what is there has to be the value: text, a number, true or false.
    """

    methods: tuple[str, ...] = ()
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    json: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def stored(cls, conditions: Mapping[str, Any] | None) -> "ForwardFilter":
        """From what a destination's row holds."""
        given = conditions or {}
        return cls(
            tuple(given.get("methods", ())),
            given.get("path", ""),
            tuple(given.get("headers", {}).items()),
            tuple(given.get("json", {}).items()),
        )

    def mismatch(self, message: Message, path: str, request_id: UUID) -> str:
        """Which condition does not hold, in words; empty where all do."""
        if self.methods and message.method not in self.methods:
            return f"The method is {message.method[:40]}, and the filter wants {' or '.join(self.methods)}."
        if self.path and not _globbed(self.path, path or "/"):
            return f"The path is {(path or '/')[:200]}, and the filter wants {self.path}."
        for name, wanted in self.headers:
            if wanted.encode().decode("latin-1") not in message.all(name):
                return f"No header {name} is {wanted}, which the filter wants."
        facts = Facts(message, request_id)
        for place, value in self.json:
            if not _equal(facts.value(json_path(place)), value):
                return f"{place} in the JSON is not {_shown(value)}, which the filter wants."
        return ""


@lru_cache(maxsize=1024)
def json_path(text: str) -> Expression:
    """`data.items[0].id`, or `$.data.items[0].id`, as templates know it. Raises TemplateError."""
    plain = text.removeprefix("$").removeprefix(".")
    source = f"request.json{plain if plain.startswith('[') else f'.{plain}'}}}}}"
    expression, end = expressions.read(source, 0)
    if expression.filters or expression.root != "json" or end < len(source):
        raise TemplateError("expected a path such as data.items[0].id", text, 0)
    return expression


def _globbed(pattern: str, text: str) -> bool:
    """Whether the text is like the pattern, in which `*` is any text. In linear time, unlike a regular expression."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    *inner, last = others
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in inner:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _equal(found: object, wanted: object) -> bool:
    if isinstance(wanted, bool):
        return found is wanted
    if found is None or isinstance(found, bool):
        return False
    # A number is text as it was written, of a class of its own: 1 and "1" are told apart, 1.0 and 1 are not.
    if isinstance(wanted, int | float):
        return isinstance(found, Number) and len(found) < 400 and float(found) == wanted
    return not isinstance(found, Number) and as_text(found) == wanted


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
