"""The kinds of value an option can have: each reads YAML and environment variables, and writes itself.

Nothing here echoes a text it was given: an option may hold a password, and a message ends up in a log.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Generic, TypeVar

from environ import FileAwareEnv

from instantlite.config.duration import parse_duration, write_duration

T = TypeVar("T")
Word = TypeVar("Word", bound=str)

_FALSE_WORDS = ("false", "off", "no", "n", "0")


class BadValue(ValueError):
    """A value an option cannot have.

    `str()` is one sentence without the value; `at` is the path below the place where it was read, such as
    `clusters[0].url`, and empty for that place itself.
    """

    def __init__(self, reason: str, at: str = "") -> None:
        super().__init__(reason)
        self.at = at


@contextmanager
def within(step: str) -> Iterator[None]:
    """Prefix the path of every BadValue raised inside with one step: a key, or an index such as `[0]`."""
    try:
        yield
    except BadValue as error:
        dot = "." if step and error.at and not error.at.startswith("[") else ""
        raise BadValue(str(error), f"{step}{dot}{error.at}") from None


class Kind(ABC, Generic[T]):
    """How an option of type T is read and written."""

    @property
    @abstractmethod
    def words(self) -> str:
        """The type in words, for the reference page and for messages."""

    @abstractmethod
    def read(self, raw: object) -> T:
        """Return the value that YAML gave as `raw`; raises BadValue."""

    def read_text(self, text: str) -> T:
        """Return the value that an environment variable gave as text, never empty; raises BadValue."""
        return self.read(text)

    def write(self, value: T) -> str:
        """Return the value in YAML notation, on one line. JSON is YAML, and quotes what YAML misreads."""
        return json.dumps(value)


@dataclass(frozen=True)
class Text(Kind[str]):
    """Text that wholly matches `pattern`; `what` names it in words. Empty text passes unless `required`."""

    what: str = "text"
    pattern: str = r".*"
    required: bool = False

    @property
    def words(self) -> str:
        """See Kind."""
        return self.what

    def read(self, raw: object) -> str:
        """See Kind."""
        text = as_text(raw, self.words)
        if (self.required and not text) or (text and not re.fullmatch(self.pattern, text)):
            raise BadValue(f"expected {self.words}")
        return text


@dataclass(frozen=True)
class Integer(Kind[int]):
    """A whole number from `least` to `most`, both included."""

    least: int
    most: int

    @property
    def words(self) -> str:
        """See Kind."""
        return f"whole number, {self.least} to {self.most}"

    def read(self, raw: object) -> int:
        """See Kind. A YAML boolean is a Python int and is refused all the same: `port: yes` is a slip."""
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise BadValue(f"expected a {self.words}, got {said(raw)}")
        if not self.least <= raw <= self.most:
            raise BadValue(f"expected a {self.words}")
        return raw

    def read_text(self, text: str) -> int:
        """See Kind."""
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise BadValue(f"expected a {self.words}")
        return self.read(int(text))


@dataclass(frozen=True)
class Flag(Kind[bool]):
    """True or false."""

    @property
    def words(self) -> str:
        """See Kind."""
        return "true or false"

    def read(self, raw: object) -> bool:
        """See Kind."""
        if not isinstance(raw, bool):
            raise BadValue(f"expected true or false without quotes, got {said(raw)}")
        return raw

    def read_text(self, text: str) -> bool:
        """See Kind. django-environ takes every unknown word for false; here a typo is an error."""
        if text.lower() not in (*FileAwareEnv.BOOLEAN_TRUE_STRINGS, *_FALSE_WORDS):
            raise BadValue("expected true or false")
        return bool(FileAwareEnv.parse_value(text, bool))


@dataclass(frozen=True)
class Duration(Kind[timedelta]):
    """A duration from `least` to `most`, both included and written as parse_duration() reads them."""

    least: str
    most: str

    @property
    def words(self) -> str:
        """See Kind."""
        return f"duration, {self.least} to {self.most}"

    def read(self, raw: object) -> timedelta:
        """See Kind."""
        if isinstance(raw, bool) or not isinstance(raw, str | int):
            raise BadValue(f"expected a {self.words}, got {said(raw)}")
        try:
            duration = parse_duration(raw)
        except ValueError as error:
            raise BadValue(str(error)) from None
        if not parse_duration(self.least) <= duration <= parse_duration(self.most):
            raise BadValue(f"expected a {self.words}")
        return duration

    def write(self, value: timedelta) -> str:
        """See Kind."""
        return write_duration(value)


@dataclass(frozen=True)
class Choice(Kind[Word]):
    """One of a few words, in upper or lower case."""

    choices: tuple[Word, ...]

    @property
    def words(self) -> str:
        """See Kind."""
        return "one of " + ", ".join(self.choices)

    def read(self, raw: object) -> Word:
        """See Kind. YAML 1.1 reads a bare `off` as false, so false is "off" where that is a choice."""
        text = "off" if raw is False else as_text(raw, self.words)
        for choice in self.choices:
            if choice.lower() == text.lower():
                return choice
        raise BadValue(f"expected {self.words}")


@dataclass(frozen=True)
class Folder(Kind[Path]):
    """The path of a folder, which need not exist yet."""

    @property
    def words(self) -> str:
        """See Kind."""
        return "path of a folder"

    def read(self, raw: object) -> Path:
        """See Kind."""
        return Path(Text(self.words, r"[^\0]+", required=True).read(raw))

    def write(self, value: Path) -> str:
        """See Kind."""
        return json.dumps(str(value))


@dataclass(frozen=True)
class Network(Kind[IPv4Network | IPv6Network]):
    """An address range, or one address."""

    @property
    def words(self) -> str:
        """See Kind."""
        return "network such as 10.0.0.0/8"

    def read(self, raw: object) -> IPv4Network | IPv6Network:
        """See Kind. A range with host bits set, as in 10.0.0.1/8, is refused: one half is wrong."""
        try:
            return ip_network(as_text(raw, self.words))
        except BadValue:
            raise
        except ValueError:
            raise BadValue(f"expected a {self.words}, with no host bits set") from None

    def write(self, value: IPv4Network | IPv6Network) -> str:
        """See Kind."""
        return json.dumps(str(value))


@dataclass(frozen=True)
class Listing(Kind[tuple[T, ...]]):
    """Any number of `item`; `what` names them in the plural."""

    item: Kind[T]
    what: str

    @property
    def words(self) -> str:
        """See Kind."""
        return f"list of {self.what}"

    def read(self, raw: object) -> tuple[T, ...]:
        """See Kind."""
        if not isinstance(raw, list):
            raise BadValue(f"expected a {self.words}, got {said(raw)}")
        return tuple(self._item(index, item) for index, item in enumerate(raw))

    def read_text(self, text: str) -> tuple[T, ...]:
        """See Kind. Items are separated by commas."""
        return self.read([item.strip() for item in FileAwareEnv.parse_value(text, list)])

    def write(self, value: tuple[T, ...]) -> str:
        """See Kind."""
        return "[" + ", ".join(self.item.write(item) for item in value) + "]"

    def _item(self, index: int, raw: object) -> T:
        with within(f"[{index}]"):
            return self.item.read(raw)


def as_text(raw: object, words: str) -> str:
    """Return `raw` when YAML gave text; raises BadValue that asks for `words` otherwise."""
    if not isinstance(raw, str):
        raise BadValue(f"expected {words}, got {said(raw)}")
    return raw


def said(raw: object) -> str:
    """Return in words what kind of thing YAML read, never the thing itself."""
    if isinstance(raw, bool):
        return "a boolean (a bare yes, no, on or off is one in YAML)"
    names = {
        int: "a number",
        float: "a number with a fraction",
        str: "text",
        list: "a list",
        dict: "a mapping",
    }
    return "nothing" if raw is None else names.get(type(raw), "a date or another type of YAML's own")
