"""Templates in an endpoint's answer: text with `{{ placeholders }}` that point into the captured request, never code.

expressions.py has the grammar, facts.py what a placeholder finds. This module puts values into their surroundings, so
that a hostile sender can fill a placeholder and cannot leave it. What is done depends on where the template stands:

- JSON. Between quotes, `{"challenge": "{{ request.json.challenge }}"}`, a value is escaped as the inside of a JSON
  string (RFC 8259, section 7). Elsewhere, `{"n": {{ request.json.n }}}`, it is a whole JSON value: a text brings its
  own quotes, and a missing one is `null`. Either way the answer has the structure that its owner wrote. To answer
  with a JSON body as it was sent, write `{{ request.json }}`.
- HTML and XML. Escaped, for text and for quoted attributes; control characters, which XML forbids, are dropped.
- A form. Percent-encoded as a name or a value of one.
- A header. Control characters are dropped, CR and LF first of all; other bytes stay as the request had them.
- A URL (the header Location). Percent-encoded, so that a value stays inside the part where it was put.
- Anything else. As it is.

A missing value is empty (JSON's `null` outside of quotes). So is one that does not fit: the literal text always does,
and an answer that was cut off somewhere would not be JSON any more.

Parsing and rendering take time in proportion to the template and the request.
"""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from webhooks import expressions
from webhooks.expressions import Expression, TemplateError
from webhooks.facts import Facts, as_json, as_text, clean, quoted, to_bytes

__all__ = ["MAX_BYTES", "MAX_PLACEHOLDERS", "Context", "Template", "TemplateError", "compiled", "context_of", "parse"]

# Of a template, and of what it renders to.
MAX_BYTES = 64 * 1024
MAX_PLACEHOLDERS = 50
# Characters; with 256 of them the cache holds 16 MiB at worst. Longer ones are parsed each time.
_CACHED_LENGTH = 8 * 1024

_CONTROLS = bytes([*range(0x20), 0x7F])
_MARKUP_CONTROLS = dict.fromkeys([*(c for c in range(0x20) if chr(c) not in "\t\n\r"), 0x7F, 0xFFFE, 0xFFFF])
# In a JSON text: an escape, a backslash that begins none, a quote.
_JSON_MARK = re.compile(r'\\u[0-9A-Fa-f]{4}|\\[^u]|\\|"', re.DOTALL)
_HALF_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{0,3})?")


class Context(Enum):
    """Where a template stands, and so how its values are written."""

    TEXT = "text"
    JSON = "json"
    MARKUP = "markup"
    FORM = "form"
    HEADER = "header"
    URL = "url"


def context_of(media_type: str) -> Context:
    """The context of a body of this media type, which is in lower case and without parameters."""
    subtype = media_type.partition("/")[2]
    if subtype in {"json", "x-json", "x-ndjson", "ndjson", "jsonl", "json-seq"} or subtype.endswith("+json"):
        return Context.JSON
    if subtype in {"html", "xml", "xml-dtd", "xml-external-parsed-entity"} or subtype.endswith("+xml"):
        return Context.MARKUP
    return Context.FORM if media_type == "application/x-www-form-urlencoded" else Context.TEXT


class Slot(NamedTuple):
    expression: Expression
    quoted: bool  # between the quotes of a JSON string


@dataclass(frozen=True)
class Template:
    """Literal bytes and the slots between them: always one literal more than slots."""

    context: Context
    literals: tuple[bytes, ...]
    slots: tuple[Slot, ...]

    def render(self, facts: Facts, most: int = MAX_BYTES) -> bytes:
        """At most `most` bytes, or as many as the literal text and its nulls have where that is more."""
        written = [_missing(slot, self.context) for slot in self.slots]
        room = most - sum(map(len, self.literals)) - sum(map(len, written))
        for place, slot in enumerate(self.slots):
            value = _written(facts.value(slot.expression), slot, self.context)
            needed = len(value) - len(written[place])
            if needed <= room:
                written[place] = value
                room -= needed
        return b"".join(part for pair in zip(self.literals, [*written, b""], strict=True) for part in pair)


def compiled(text: str, context: Context) -> Template:
    """The template, from a bounded cache where it is short. Raises TemplateError."""
    return _remembered(text, context) if len(text) <= _CACHED_LENGTH else parse(text, context)


def parse(text: str, context: Context) -> Template:
    """The template that `text` says. Raises TemplateError, which names the place and what to write there."""
    if len(clean(text).encode()) > MAX_BYTES:
        raise TemplateError(f"a template has at most {MAX_BYTES} bytes; shorten it.", text, 0)
    literals: list[bytes] = []
    slots: list[Slot] = []
    at, in_string = 0, False
    while (start := text.find("{{", at)) >= 0:
        if len(slots) == MAX_PLACEHOLDERS:
            raise TemplateError(f"a template has at most {MAX_PLACEHOLDERS} placeholders; use fewer.", text, start)
        if context is Context.JSON:
            in_string = _ends_in_string(text, at, start, in_string)
        literals.append(clean(text[at:start]).encode())
        expression, at = expressions.read(text, start + 2)
        slots.append(Slot(expression, in_string))
    literals.append(clean(text[at:]).encode())
    return Template(context, tuple(literals), tuple(slots))


_remembered = lru_cache(maxsize=256)(parse)


def _ends_in_string(text: str, start: int, end: int, in_string: bool) -> bool:
    """Whether the place `end` is between the quotes of a JSON string, when `start` was (`in_string`) or was not.

    Half an escape in front of a placeholder is refused: it would take a value's first character with it, and the
    sender would choose what the backslash makes of it.
    """
    for mark in _JSON_MARK.finditer(text, start, end):
        if mark.group() == '"':
            in_string = not in_string
        elif in_string and mark.group() == "\\" and _HALF_ESCAPE.fullmatch(text, mark.start(), end):
            raise TemplateError("a placeholder cannot follow a backslash; double the backslash.", text, mark.start())
    return in_string


def _missing(slot: Slot, context: Context) -> bytes:
    return b"null" if context is Context.JSON and not slot.quoted else b""


def _written(value: object, slot: Slot, context: Context) -> bytes:
    """The value as bytes that cannot leave the slot."""
    if context is Context.JSON and not slot.quoted:
        return as_json(value).encode()
    return _WRITERS[context](as_text(value))


_WRITERS: dict[Context, Callable[[str], bytes]] = {
    Context.JSON: lambda text: quoted(text)[1:-1].encode(),
    Context.MARKUP: lambda text: html.escape(clean(text).translate(_MARKUP_CONTROLS)).encode(),
    Context.FORM: lambda text: quote_plus(to_bytes(text)).encode(),
    Context.URL: lambda text: quote(to_bytes(text), safe="").encode(),
    Context.HEADER: lambda text: to_bytes(text).translate(None, _CONTROLS),
    Context.TEXT: lambda text: clean(text).encode(),
}
