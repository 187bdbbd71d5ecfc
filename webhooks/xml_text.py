"""XML as text, indented. It is cut into tokens and never parsed: no entity is expanded, no DTD is read."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

# Beyond these the text is shown as it came.
MAX_DEPTH = 60
MAX_TOKENS = 50_000

Kind = Literal["open", "close", "empty", "text", "comment", "cdata", "instruction", "doctype"]

_NAME = r"[A-Za-z_:\u0080-\uffff][\w:.\u00b7-]*+"
_ATTRIBUTE = rf"\s++(?:{_NAME})\s*+=\s*+(?:\"[^\"<]*+\"|'[^'<]*+')"
# Possessive quantifiers: what was read is never read again. A token that does not match ends the reading.
_TOKEN = re.compile(
    rf"(?P<text>[^<]++)"
    rf"|(?P<comment><!--(?:[^-]++|-(?!->))*+-->)"
    rf"|(?P<cdata><!\[CDATA\[(?:[^\]]++|\](?!\]>))*+\]\]>)"
    rf"|(?P<instruction><\?(?:[^?]++|\?(?!>))*+\?>)"
    rf"|(?P<doctype><!DOCTYPE(?:[^<>\"'\[\]]++|\"[^\"]*+\"|'[^']*+')*+(?:\[[^\]]*+\]\s*+)?>)"
    rf"|(?P<close></(?P<closed>{_NAME})\s*+>)"
    rf"|<(?P<opened>{_NAME})(?:{_ATTRIBUTE})*+\s*+(?:(?P<empty>/>)|(?P<open>>))"
)


class Token(NamedTuple):
    """A piece of the text as it was sent."""

    kind: Kind
    text: str


class Line(NamedTuple):
    """The tokens of one line, at the depth of the element they are in."""

    depth: int
    tokens: tuple[Token, ...]

    def __str__(self) -> str:
        return "  " * self.depth + "".join(token.text for token in self.tokens)


def tokens(text: str) -> list[Token] | None:
    """All of the text in pieces; None where tags do not match, where it is no XML at all, or beyond the limits."""
    found: list[Token] = []
    names: list[str] = []
    position = 0
    while match := _TOKEN.match(text, position):
        position = match.end()
        kind = _kind(match)
        if kind == "open":
            names.append(match["opened"])
        elif not _fits(match, kind, names):
            return None
        found.append(Token(kind, match[0]))
        if len(found) > MAX_TOKENS or len(names) > MAX_DEPTH:
            return None
    whole = position == len(text) and not names and any(token.kind in ("open", "empty") for token in found)
    return found if whole else None


def _fits(match: re.Match[str], kind: Kind, names: list[str]) -> bool:
    """Whether a piece may come after the elements that are open; one that is closed here is open no longer."""
    if kind == "close":
        return bool(names) and names.pop() == match["closed"]
    return kind != "text" or bool(names) or match[0].isspace()


def _kind(match: re.Match[str]) -> Kind:
    kinds: tuple[Kind, ...] = ("text", "open", "close", "empty", "comment", "cdata", "instruction", "doctype")
    return next(kind for kind in kinds if match[kind] is not None)


def layout(found: list[Token]) -> Iterator[Line]:
    """One line for each token; an element that holds nothing but text is one line, its text untouched.

    Elsewhere the white space around text goes: it is how the sender indented.
    """
    depth = index = 0
    while index < len(found):
        token = found[index]
        length = _simple(found, index)
        if token.kind == "close":
            depth -= 1
        if length:
            yield Line(depth, tuple(found[index : index + length]))
        elif token.kind != "text":
            yield Line(depth, (token,))
        elif token.text.strip():
            yield Line(depth, (Token("text", token.text.strip()),))
        if token.kind == "open" and not length:
            depth += 1
        index += length or 1


def _simple(found: list[Token], index: int) -> int:
    """How many tokens an element without inner elements has; 0 for any other token."""
    kinds = [token.kind for token in found[index : index + 3]]
    if kinds[:2] == ["open", "close"]:
        return 2
    return 3 if kinds in (["open", "text", "close"], ["open", "cdata", "close"]) else 0


def pretty(text: str) -> str | None:
    """The text indented by two spaces a level; None where tokens() gives None."""
    found = tokens(text)
    return None if found is None else "\n".join(map(str, layout(found)))


class Piece(NamedTuple):
    """A piece of a start tag: its brackets and name, an attribute's name, its value with the quotes, or a space."""

    kind: Literal["tag", "name", "value", "space"]
    text: str


_PIECE = re.compile(rf"(?P<tag></?{_NAME}|/?>)|(?P<value>\"[^\"]*+\"|'[^']*+')|(?P<name>{_NAME})|(?P<space>[\s=]++)")


def pieces(tag: str) -> Iterator[Piece]:
    """The pieces that make up a start tag as tokens() gives it."""
    for match in _PIECE.finditer(tag):
        kinds: tuple[Literal["tag", "name", "value", "space"], ...] = ("tag", "name", "value", "space")
        yield Piece(next(kind for kind in kinds if match[kind] is not None), match[0])
