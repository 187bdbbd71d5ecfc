"""Bodies as HTML that is safe whatever was sent: all of it is escaped, our own tags and classes are all there is.

No style, no script and no link, so that it lives under a strict Content-Security-Policy. The classes:

    j         a block of JSON; in it
    j-line    one line: `key: value,`, or what closes an object or array
    j-fold    a <details> around an object or array; its <summary> is the line that opens it
    j-in      what it holds, to be indented
    j-key j-str j-num j-lit    a key, a string, a number, true/false/null
    x         a <pre> of indented XML; in it
    x-tag x-attr x-val         a tag's brackets and name, an attribute's name, its value
    x-com x-data x-decl        a comment, a CDATA section, an instruction or DOCTYPE
    t         a <pre> of plain text

A summary says how many members are folded in `data-count` ("3 keys", "1 item"), and how the container ends in
`data-close`, for the stylesheet to show with content: attr(…) while it is closed. So the text of the elements is the
sender's own, and nothing else.
"""

from collections.abc import Iterable
from typing import TypeVar

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from webhooks import json_text, xml_text
from webhooks.bodies import Body

# More lines than these, or twice as many attributes, make a browser slow: then it is text, indented only.
MAX_LINES = 5_000
# Indenting may make much out of little (sixty levels around a million numbers): then the text stays as it came.
MAX_CHARACTERS = 4 * 1024 * 1024

_Line = TypeVar("_Line", json_text.Line, xml_text.Line)

_CLOSE_FOLD = mark_safe("</div>")  # a literal
_END_FOLD = mark_safe("</details>")  # a literal


def body_markup(body: Body) -> SafeString | None:
    """A text body by its kind; None for a kind that is shown otherwise (image, binary, empty, multipart, form)."""
    if body.text is None:
        return None
    match body.kind:
        case "json":
            return json_markup(body.text.shown)
        case "xml":
            return xml_markup(body.text.shown)
        case "text":
            return text_markup(body.text.shown)
    return None


def text_markup(text: str) -> SafeString:
    """Plain text. HTML drops one line feed after the tag, and the text may start with one: so there is one more."""
    return format_html('<pre class="t">\n{}</pre>', text)


def json_markup(text: str) -> SafeString:
    """JSON, one foldable element for each object and array; as text where it is none or too large for that."""
    values = json_text.parse(text)
    if values is None:
        return text_markup(text)
    lines = _bounded(json_text.layout(values))
    if lines is None:
        return text_markup(text)
    if len(lines) > MAX_LINES:
        return text_markup("\n".join(map(str, lines)))
    return format_html('<div class="j">{}</div>', _joined(_json_line(line) for line in lines))


def xml_markup(text: str) -> SafeString:
    """XML, indented; as text where it is not well-formed or too large for that."""
    found = xml_text.tokens(text)
    if found is None:
        return text_markup(text)
    lines = _bounded(xml_text.layout(found))
    if lines is None:
        return text_markup(text)
    if len(lines) > MAX_LINES or text.count("=") > 2 * MAX_LINES:
        return text_markup("\n".join(map(str, lines)))
    rows = format_html_join(
        "\n", "{}{}", (("  " * line.depth, _joined(map(_xml_token, line.tokens))) for line in lines)
    )
    return format_html('<pre class="x">\n{}</pre>', rows)


def _bounded(lines: Iterable[_Line]) -> list[_Line] | None:
    """The lines; None where they would be longer than MAX_CHARACTERS together."""
    kept: list[_Line] = []
    room = MAX_CHARACTERS
    for line in lines:
        room -= len(str(line)) + 1
        if room < 0:
            return None
        kept.append(line)
    return kept


def _json_line(line: json_text.Line) -> SafeString:
    key = format_html('<span class="j-key">{}</span>: ', line.key) if line.key is not None else ""
    comma = "," if line.comma else ""
    if line.closes:
        # The closing bracket is inside of the fold, and goes with it.
        return format_html('{}<div class="j-line">{}{}</div>{}', _CLOSE_FOLD, line.text, comma, _END_FOLD)
    if not line.members:
        return format_html('<div class="j-line">{}{}{}</div>', key, _json_value(line.text), comma)
    word = ("key" if line.text == "{" else "item") + ("s" if line.members != 1 else "")
    return format_html(
        '<details class="j-fold" open><summary data-count="{} {}" data-close="{}">{}{}</summary><div class="j-in">',
        line.members,
        word,
        "}" if line.text == "{" else "]",
        key,
        line.text,
    )


def _json_value(text: str) -> SafeString | str:
    if text[0] in "[{":
        return text
    name = "j-str" if text[0] == '"' else "j-lit" if text[0] in "tfn" else "j-num"
    return format_html('<span class="{}">{}</span>', name, text)


def _xml_token(token: xml_text.Token) -> SafeString | str:
    match token.kind:
        case "text":
            return token.text
        case "open" | "empty":
            return _joined(map(_xml_piece, xml_text.pieces(token.text)))
        case "close":
            return _span("x-tag", token.text)
        case "comment":
            return _span("x-com", token.text)
        case "cdata":
            return _span("x-data", token.text)
    return _span("x-decl", token.text)


def _xml_piece(piece: xml_text.Piece) -> SafeString | str:
    names = {"tag": "x-tag", "name": "x-attr", "value": "x-val"}
    return _span(names[piece.kind], piece.text) if piece.kind in names else piece.text


def _span(name: str, text: str) -> SafeString:
    return format_html('<span class="{}">{}</span>', name, text)


def _joined(pieces: Iterable[SafeString | str]) -> SafeString:
    return format_html_join("", "{}", ((piece,) for piece in pieces))
