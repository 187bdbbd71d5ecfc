"""JSON as its sender wrote it: 1.10 stays 1.10, keys stay in order and twice where they came twice.

Reading it into Python's values and printing those would change all of that, and would follow any depth.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# Beyond these the text is shown as it came. RFC 8259, section 9, lets a reader set such limits.
MAX_DEPTH = 60
MAX_VALUES = 50_000
# Reading into Python's values takes up to some thirty times the size of the text.
_MAX_CHECKED = 2 * 1024 * 1024

_TOKEN = re.compile(
    r"[ \t\n\r]*+(?:"
    r'(?P<string>"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")'
    r"|(?P<scalar>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null)"
    r"|(?P<mark>[][{},:]))"
)
_BLANK = re.compile(r"[ \t\n\r]*+")


@dataclass(slots=True)
class Container:
    """An array (`[`) or an object (`{`); a member is its key's text (None in an array) and its value.

    A value is a Container or the text of a string, number or literal.
    """

    opening: str
    members: list[tuple[str | None, "Node"]] = field(default_factory=list)

    @property
    def closing(self) -> str:
        """The bracket that ends it."""
        return "]" if self.opening == "[" else "}"


Node = Container | str


def problem(text: str) -> str | None:
    """What is wrong with it as JSON, for people; None where it is valid (RFC 8259)."""
    if len(text) > _MAX_CHECKED:
        return "longer than is checked here"
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant, object_pairs_hook=len)
    except json.JSONDecodeError as error:
        return f"line {error.lineno}, column {error.colno}: {error.msg[0].lower()}{error.msg[1:]}"
    except ValueError as error:
        return str(error)
    except RecursionError:
        return "nested deeper than is read here"
    return None


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def parse(text: str) -> list[Node] | None:
    """The values in the text: one, or several objects and arrays one after the other, as in JSON lines.

    None for what is not JSON, and for what is nested deeper than MAX_DEPTH or holds more than MAX_VALUES.
    """
    reader, position = _Reader(), 0
    while match := _TOKEN.match(text, position):
        position = match.end()
        if not reader.take(match.lastgroup or "", match[match.lastgroup or 0]):
            return None
    values = [node for _, node in reader.stack[0].members]
    ended = len(reader.stack) == 1 and _BLANK.fullmatch(text, position)
    several = len(values) == 1 or (len(values) > 1 and all(isinstance(node, Container) for node in values))
    return values if ended and several else None


class _Reader:
    """Takes one token after the other; its stack stands in for recursion. The lowest container is the text itself."""

    def __init__(self) -> None:
        self.stack = [Container("")]
        self.key: str | None = None
        self.expected = "value"
        self.room = MAX_VALUES

    def take(self, kind: str, word: str) -> bool:
        """False for a token that may not come here, and beyond the limits."""
        opening = self.stack[-1].opening
        if self.expected == "colon":
            self.expected = "value"
            return word == ":"
        if self.expected in ("first", "end") and word == self.stack[-1].closing:
            self.stack.pop()
            self._after_value()
            return True
        if self.expected == "end":
            self.expected = "next"
            return word == ","
        if opening == "{" and self.expected != "value":
            self.key, self.expected = word, "colon"
            return kind == "string"
        return (kind != "mark" or word in "[{") and self._add(Container(word) if kind == "mark" else word)

    def _add(self, node: Node) -> bool:
        self.stack[-1].members.append((self.key, node))
        self.key = None
        self.room -= 1
        if isinstance(node, Container):
            self.stack.append(node)
            self.expected = "first"
        else:
            self._after_value()
        return self.room >= 0 and len(self.stack) <= MAX_DEPTH + 1

    def _after_value(self) -> None:
        self.expected = "end" if len(self.stack) > 1 else "value"


class Line(NamedTuple):
    """One line of JSON as it is printed: `key: text,` at its depth.

    `members` is the number of members where the line opens a container that has some; `closes` ends such a one.
    """

    depth: int
    key: str | None
    text: str
    comma: bool
    members: int = 0
    closes: bool = False

    def __str__(self) -> str:
        key = "" if self.key is None else f"{self.key}: "
        return f"{'  ' * self.depth}{key}{self.text}{',' if self.comma else ''}"


def layout(values: list[Node]) -> Iterator[Line]:
    """The lines of the values; an empty container is one line."""
    # Of each open container: what its last line says, whether a comma follows, and the members still to come.
    stack = [("", False, _members(Container("", [(None, value) for value in values])))]
    while stack:
        depth = len(stack) - 1
        closing, followed, members = stack[-1]
        more, key, node = next(members, (False, None, None))
        comma = more and depth > 0
        if node is None:
            stack.pop()
            if stack:
                yield Line(depth - 1, None, closing, followed, closes=True)
        elif isinstance(node, str):
            yield Line(depth, key, node, comma)
        elif not node.members:
            yield Line(depth, key, node.opening + node.closing, comma)
        else:
            yield Line(depth, key, node.opening, False, members=len(node.members))
            stack.append((node.closing, comma, _members(node)))


def _members(node: Container) -> Iterator[tuple[bool, str | None, Node | None]]:
    """Whether more follow, the key and the value of each."""
    last = len(node.members) - 1
    return ((index < last, key, value) for index, (key, value) in enumerate(node.members))


def pretty(text: str) -> str | None:
    """The text indented by two spaces a level, tokens unchanged; None where parse() gives None."""
    values = parse(text)
    return None if values is None else "\n".join(map(str, layout(values)))


def normal(text: str) -> str | None:
    """As pretty(), with the keys of each object sorted and strings escaped in one way, so that two can be compared.

    Members with the same key keep their order; numbers keep their text.
    """
    values = parse(text)
    if values is None:
        return None
    root = Container("", [(None, value) for value in values])
    pending = [root]
    while pending:
        node = pending.pop()
        node.members = [(key and _plain(key), _plain(value)) for key, value in node.members]
        if node.opening == "{":
            node.members.sort(key=lambda member: member[0] or "")
        pending.extend(value for _, value in node.members if isinstance(value, Container))
    return "\n".join(map(str, layout([value for _, value in root.members])))


def _plain(node: Any) -> Any:
    """A string with as few escapes as JSON allows; everything else as it is."""
    if not isinstance(node, str) or "\\" not in node:
        return node
    plain = json.dumps(json.loads(node), ensure_ascii=False)
    # Half of a surrogate pair cannot be text on its own: its escape stays.
    return node if re.search("[\ud800-\udfff]", plain) else plain
