"""What a body is: by its content type, and by its bytes where the type is missing or says something else."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from webhooks import charsets, content, json_text, multipart, parameters
from webhooks.charsets import Text
from webhooks.message import Message

Kind = Literal["empty", "json", "form", "multipart", "xml", "text", "image", "binary"]

MAX_FIELDS = 1_000

_FORM = "application/x-www-form-urlencoded"
_TEXTUAL = re.compile(
    r"text/.*|.*\+(?:json|xml|yaml)"
    r"|application/(?:(?:x-)?(?:json|xml|javascript|ndjson|yaml)|jsonlines|graphql|sql|toml|x-www-form-urlencoded)"
)
_JSON = re.compile(r"(?:application|text)/(?:x-)?json|.*\+json")
_XML = re.compile(r"(?:application|text)/xml|.*\+xml")
# What starts as XML does; HTML is not XML.
_XML_START = re.compile(r"\s*+<(?:\?xml\s|[A-Za-z_][\w.-]*+:[A-Za-z_]|(?!html|!)[A-Za-z_][^<>]*+>)", re.IGNORECASE)

# Pictures that browsers show. SVG is none of them: it is XML that may hold scripts.
_PICTURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "image/avif"),
)


@dataclass(frozen=True)
class Form:
    """The fields of a form in their order, names repeated as sent; `complete` is False beyond MAX_FIELDS."""

    fields: tuple[tuple[str, str], ...]
    complete: bool


@dataclass(frozen=True)
class Body:
    """Reads a message's body, each view of it when it is first asked for. Nothing here raises, whatever was sent.

    All but `exact` look at the content: the body after its Content-Encoding was taken off.
    """

    message: Message

    @cached_property
    def content(self) -> content.Content:
        """The body without its Content-Encoding, up to 8 MiB."""
        return content.of(self.message)

    @cached_property
    def exact(self) -> Text | None:
        """The body as it came, as text; None where it must be base64."""
        if self.content.data is self.message.body:
            return self.text
        return charsets.decode(self.message.body, "", textual=False)

    @cached_property
    def text(self) -> Text | None:
        """The content as text; None where it is not text. `text.encode(charset)` is exactly the content."""
        _, options = parameters.split(self.message.first("Content-Type"))
        if picture_type(self.content.data):
            return None
        return charsets.decode(self.content.data, options.get("charset", ""), textual=self._textual)

    @cached_property
    def kind(self) -> Kind:
        """What to show it as."""
        if not self.content.data:
            return "empty"
        if self.parts and self.parts.parts:
            return "multipart"
        if self.picture:
            return "image"
        return "binary" if self.text is None else self._kind_of_text(self.text.shown)

    def _kind_of_text(self, text: str) -> Kind:
        if self._looks_json:
            return "json"
        declared = self.message.content_type
        if _XML.fullmatch(declared) or (declared != "text/html" and _XML_START.match(text)):
            return "xml"
        return "form" if self.form else "text"

    @cached_property
    def json_problem(self) -> str | None:
        """What is wrong with a body that is meant as JSON; None where nothing is, or where it is not.

        It is meant where it is declared, or starts so and has no type but the one that `curl -d` gives everything.
        """
        meant = self._declared_json or (self._starts_json and self.message.content_type in ("", _FORM))
        return self._json_error if meant and self.text is not None else None

    @cached_property
    def form(self) -> Form | None:
        """The fields of a URL-encoded form; None where the body is none."""
        data = self.content.data
        if self.message.content_type != _FORM or self.text is None or not data or self._looks_json:
            return None
        return form_fields(data)

    @cached_property
    def parts(self) -> multipart.Multipart | None:
        """The parts of a multipart body of any subtype; None where the body is none."""
        main, options = parameters.split(self.message.first("Content-Type"))
        if not main.startswith("multipart/"):
            return None
        return multipart.parse(self.content.data, options.get("boundary", ""))

    @cached_property
    def picture(self) -> str | None:
        """The media type of a picture by its first bytes, safe to serve it with; None for anything else."""
        return picture_type(self.content.data)

    @property
    def _textual(self) -> bool:
        return bool(_TEXTUAL.fullmatch(self.message.content_type))

    @property
    def _declared_json(self) -> bool:
        return bool(_JSON.fullmatch(self.message.content_type))

    @cached_property
    def _starts_json(self) -> bool:
        return self.text is not None and self.text.shown.lstrip(" \t\r\n")[:1] in ("{", "[")

    @cached_property
    def _json_error(self) -> str | None:
        return json_text.problem(self.text.shown) if self.text is not None else None

    @cached_property
    def _looks_json(self) -> bool:
        """A value that is declared, an object or an array in any case, or several of those one after the other."""
        if self.text is None or not (self._declared_json or self._starts_json):
            return False
        return self._json_error is None or json_text.parse(self.text.shown) is not None


def picture_type(data: bytes) -> str | None:
    """The media type of a picture that browsers show, by its first bytes; None for anything else."""
    return next((name for start, name in _PICTURES if start.match(data)), None)


def form_fields(data: bytes) -> Form:
    """`a=1&b=x+y` as pairs (WHATWG URL, section 5.1); bytes that are not UTF-8 become U+FFFD."""
    pieces = data.split(b"&", MAX_FIELDS)
    pairs = (piece.partition(b"=") for piece in pieces[:MAX_FIELDS] if piece)
    return Form(tuple((_unquoted(name), _unquoted(value)) for name, _, value in pairs), len(pieces) <= MAX_FIELDS)


def _unquoted(value: bytes) -> str:
    # urllib's unquote makes an object for each escape, some 70 MiB of them for a body full.
    decoded = re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes((int(found[1], 16),)), value.replace(b"+", b" "))
    return decoded.decode("utf-8", "replace")
