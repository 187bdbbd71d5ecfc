r"""The grammar of a placeholder's inside: what may stand between `{{` and `}}` in an endpoint's answer.

    expression = source *( "|" filter )
    source     = "request" 1*step / quoted
    step       = "." name / "[" ( quoted / digits ) "]"
    filter     = name [ ":" ( quoted / number ) ]
    name       = letters, digits, "_", "-", "$", "@"
    quoted     = '"'…'"' or "'"…"'"; a backslash takes the next character as it is

No operators, no calls, no loops, no names but `request`: a placeholder points at a value and cannot compute one. The
reader goes from left to right once, so a template costs time in proportion to its length.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

MAX_STEPS = 20
MAX_FILTERS = 5
MAX_NAME = 200

# After these comes one name; after json any number of steps; after the others nothing.
NAMED = frozenset({"query", "header", "form"})
PLAIN = frozenset({"method", "path", "body", "id", "received_at"})
# Each filter, and whether it takes an argument.
FILTERS = {"json": False, "default": True, "upper": False, "lower": False, "base64": False, "hmac_sha256": True}

_ROOTS = "method, path, query.NAME, header.NAME, json.PATH, form.NAME, body, id, received_at"
_SPACE = re.compile(r"[ \t\r\n]*")
_NAME = re.compile(r"[\w$@-]+")
_INDEX = re.compile(r"[0-9]{1,9}(?![0-9])")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?(?![\w.])")

Step = str | int


class Number(str):
    """A number in JSON's spelling, never converted: `1.10` stays that, and 5,000 digits cost nothing."""

    __slots__ = ()


class TemplateError(ValueError):
    """A template that cannot be read. The message says where (line and column, from 1) and what to write instead."""

    def __init__(self, problem: str, text: str, at: int) -> None:
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        super().__init__(f"line {line}, column {column}: {problem}")


class Filter(NamedTuple):
    name: str
    argument: str | None


@dataclass(frozen=True)
class Expression:
    """`root` is one of NAMED, PLAIN, "json", or "" for a quoted text, which is then the only step.

    For NAMED the steps are a name and which of its duplicates is meant, from 0.
    """

    root: str
    steps: tuple[Step, ...]
    filters: tuple[Filter, ...]


def read(text: str, at: int) -> tuple[Expression, int]:
    """The expression that begins at `at`, behind `{{`, and where the text goes on behind `}}`. Raises TemplateError."""
    scanner = _Scanner(text, at)
    scanner.skip_space()
    root, steps = scanner.source()
    filters = scanner.filters()
    if not scanner.take("}}"):
        raise scanner.error('a placeholder ends with }} here; only names, ["names"] and | filters may stand in it.')
    return Expression(root, steps, filters), scanner.at


class _Scanner:
    """A place in a text that only moves forward."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at

    def error(self, problem: str, at: int | None = None) -> TemplateError:
        return TemplateError(problem, self.text, self.at if at is None else at)

    def skip_space(self) -> None:
        self.at = self._end(_SPACE)

    def take(self, mark: str) -> bool:
        """Whether `mark` stands here; goes behind it, and behind the spaces after it unless it ends the expression."""
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        if mark != "}}":
            self.skip_space()
        return True

    def source(self) -> tuple[str, tuple[Step, ...]]:
        start = self.at
        if self.text[self.at : self.at + 1] in {'"', "'"}:
            return "", (self.quoted(),)
        if self.word(_NAME) != "request":
            raise self.error('an expression begins with request. (as in request.json.id) or is a "quoted text".', start)
        steps = list(self.steps())
        root = "header" if steps and steps[0] == "headers" else steps[0] if steps else ""
        if (root in PLAIN and len(steps) == 1) or root == "json":
            return str(root), tuple(steps[1:])
        if root in PLAIN:
            raise self.error(f"request.{root} has no parts; write {{{{ request.{root} }}}}.", start)
        if root in NAMED:
            return str(root), self.named(str(root), steps[1:], start)
        raise self.error(f"request has {_ROOTS}; write request. and one of them.", start)

    def steps(self) -> list[Step]:
        steps: list[Step] = []
        while self.text[self.at : self.at + 1] in {".", "["}:
            if len(steps) > MAX_STEPS:
                raise self.error(f"a path has at most {MAX_STEPS} parts.")
            steps.append(self.dotted() if self.take(".") else self.subscript())
            self.skip_space()
        return steps

    def dotted(self) -> str:
        name = self.word(_NAME)
        if not name or len(name) > MAX_NAME:
            raise self.error(
                f'after a dot comes a name of up to {MAX_NAME} letters, digits, - and _; quote others: ["a name"].'
            )
        return name

    def subscript(self) -> Step:
        self.take("[")
        start = self.at
        index = self.word(_INDEX)
        step: Step = int(index) if index else self.quoted() if self.text[start : start + 1] in {'"', "'"} else ""
        self.skip_space()
        if step == "" or not self.take("]"):
            raise self.error('in brackets stands a "quoted name" or a number from 0: ["hub.mode"], [0].', start)
        if isinstance(step, str) and len(step) > MAX_NAME:
            raise self.error(f"a name has at most {MAX_NAME} characters.", start)
        return step

    def named(self, root: str, steps: list[Step], start: int) -> tuple[Step, ...]:
        """A name and which of its duplicates. Query and form know no nesting, so that `hub.challenge` is one name."""
        index = steps.pop() if len(steps) > 1 and isinstance(steps[-1], int) else 0
        names = [step for step in steps if isinstance(step, str)]
        if not names or len(names) != len(steps):
            raise self.error(f'request.{root} needs a name: request.{root}.NAME or request.{root}["NAME"].', start)
        return ".".join(names), index

    def filters(self) -> tuple[Filter, ...]:
        found: list[Filter] = []
        self.skip_space()
        while self.take("|"):
            if len(found) == MAX_FILTERS:
                raise self.error(f"a value goes through at most {MAX_FILTERS} filters.")
            found.append(self.filter())
            self.skip_space()
        return tuple(found)

    def filter(self) -> Filter:
        start = self.at
        name = self.word(_NAME)
        if name not in FILTERS:
            raise self.error(f"there is no such filter; the filters are {', '.join(FILTERS)}.", start)
        self.skip_space()
        argument = self.argument() if self.take(":") else None
        if FILTERS[name] and argument is None:
            raise self.error(f'the filter {name} needs an argument: {name}:"…".', start)
        if not FILTERS[name] and argument is not None:
            raise self.error(f"the filter {name} takes no argument; leave it out.", start)
        return Filter(name, argument)

    def argument(self) -> str:
        number = self.word(_NUMBER)
        return Number(number) if number else self.quoted()

    def quoted(self) -> str:
        start, mark = self.at, self.text[self.at : self.at + 1]
        if mark not in {'"', "'"}:
            raise self.error('a "quoted text" or a number is needed here.')
        self.at += 1
        taken: list[str] = []
        while (character := self.text[self.at : self.at + 1]) != mark:
            if character == "\\":
                self.at += 1
                character = self.text[self.at : self.at + 1]
            if not character:
                raise self.error(f"this quote is never closed; end the text with {mark}.", start)
            taken.append(character)
            self.at += 1
        self.at += 1
        return "".join(taken)

    def word(self, pattern: re.Pattern[str]) -> str:
        """What the pattern finds here, empty for nothing; goes behind it."""
        found = pattern.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found.group()

    def _end(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self.text, self.at)
        return found.end() if found else self.at
