"""Where configuration comes from: a YAML file, and environment variables that override it.

Each option is a dataclass field whose metadata says how it is read; nothing here knows any option by name.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import yaml
from environ import FileAwareEnv
from environ.fileaware_mapping import FileAwareMapping

from instantlite.config.values import BadValue, Kind, said, within

_LEFT_OVER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_.-]*)\}")


class DataclassInstance(Protocol):
    """What dataclasses.fields() asks for."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


T = TypeVar("T")
R = TypeVar("R", bound=DataclassInstance)


class ConfigError(Exception):
    """A configuration the service cannot start with; `str()` is one line without any value that was given."""

    def __init__(self, source: str, key: str, reason: str) -> None:
        """Take the file or environment variable, the option as `section.key`, and what is wrong with it."""
        line = f"instantlite: fatal: {source}: {key}: {reason}"
        super().__init__("".join(character if character.isprintable() else "?" for character in line))


@dataclass(frozen=True)
class Spec:
    """What is known of an option besides its name and default."""

    kind: Kind[Any]
    help: str
    env: str = ""


def option(kind: Kind[T], default: T, text: str, *, env: str = "", secret: bool = False) -> T:
    """Return an option's dataclass field: `text` is its help, `env` overrides it, repr hides a secret."""
    return field(default=default, repr=not secret, metadata={"spec": Spec(kind, text, env)})


def required(kind: Kind[T], text: str, *, secret: bool = False) -> T:
    """Return the dataclass field of an option that has no default."""
    made: T = field(repr=not secret, metadata={"spec": Spec(kind, text)})
    return made


def specs(record: type[DataclassInstance]) -> dict[str, Spec]:
    """Return the options of a section, or of a record in a list, by name in the order of their definition."""
    return {item.name: item.metadata["spec"] for item in fields(record)}


@contextmanager
def blaming(source: str, key: str = "") -> Iterator[None]:
    """Turn a BadValue raised inside into the ConfigError that names its source and option."""
    try:
        with within(key):
            yield
    except BadValue as error:
        raise ConfigError(source, error.at or "whole file", str(error)) from None


def given(record: type[DataclassInstance], raw: object) -> dict[str, Any]:
    """Return the options of `record` that the mapping `raw` sets, read; raises BadValue."""
    if not isinstance(raw, dict):
        raise BadValue(f"expected a mapping of options, got {said(raw)}")
    known = specs(record)
    refuse_unknown(raw, known, "option")
    values = {}
    for name, value in raw.items():
        with within(name):
            values[name] = known[name].kind.read(value)
    return values


def refuse_unknown(raw: Mapping[object, object], known: Mapping[str, object], what: str) -> None:
    """Raise BadValue for the first key of `raw` not in `known`, suggesting the closest that is."""
    for key in raw:
        if key not in known:
            close = get_close_matches(str(key), known, n=1)
            hint = f'did you mean "{close[0]}"?' if close else f"known are {', '.join(known)}"
            raise BadValue(f"unknown {what}; {hint}", at=_shown(key))


def _shown(key: object) -> str:
    """Return a key as a message may show it: a slip of indentation can turn a secret into a key."""
    return str(key) if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", str(key)) else "(a key that is no plain word)"


@dataclass(frozen=True)
class Records(Kind[tuple[R, ...]]):
    """A list of mappings, each read into the dataclass `record`; `what` names them in the plural."""

    record: type[R]
    what: str

    @property
    def words(self) -> str:
        """See Kind."""
        return f"list of {self.what}"

    def read(self, raw: object) -> tuple[R, ...]:
        """See Kind."""
        if not isinstance(raw, list):
            raise BadValue(f"expected a {self.words}, got {said(raw)}")
        return tuple(self._record(index, item) for index, item in enumerate(raw))

    def _record(self, index: int, raw: object) -> R:
        with within(f"[{index}]"):
            values = given(self.record, raw)
            for item in fields(self.record):
                if item.name not in values and item.default is MISSING:
                    raise BadValue("is required", at=item.name)
            return self.record(**values)


class Environment:
    """Environment variables, through django-environ: `NAME_FILE` may name a file that holds NAME."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._env = FileAwareEnv()
        self._env.ENVIRON = FileAwareMapping(variables)

    def overrides(self, record: type[DataclassInstance], section: str) -> dict[str, Any]:
        """Return the options of `section` that the environment sets, read; raises ConfigError."""
        values = {}
        for name, spec in specs(record).items():
            if not spec.env:
                continue
            source = f"{spec.env}_FILE" if self._variables.get(f"{spec.env}_FILE") else spec.env
            with blaming(source, f"{section}.{name}"):
                text = self._text(spec.env)
                if text:
                    values[name] = spec.kind.read_text(text)
        return values

    def _text(self, name: str) -> str:
        """Return a variable's text, stripped because files end in a newline; empty when it is not set.

        Read from django-environ's mapping and not by calling the Env, for which a value that begins with `$`
        is the name of another variable: a secret key may well begin so, and would silently be lost.
        """
        try:
            text = str(self._env.ENVIRON.get(name, "")).strip()
        except OSError as error:
            raise BadValue(f"the file cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise BadValue("the file is not UTF-8 text") from None
        refuse_left_over(text)
        return text


def refuse_left_over(text: str) -> None:
    """Raise BadValue when a template's `${NAME}` is left in a value."""
    if match := _LEFT_OVER.search(text):
        raise BadValue(f"still holds ${{{match[1]}}}: fill in the template's variables, or leave the option out")


def read_file(path: str) -> tuple[str, dict[object, object]]:
    """Return the name of the configuration file and the mapping in it, given the value of CONFIG_PATH.

    Without CONFIG_PATH it is `config.yaml` in the working directory, which may be absent. Raises ConfigError.
    """
    source, key = ("CONFIG_PATH", path) if path else ("config.yaml", "whole file")
    file = path or source
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        if not path:
            return file, {}
        raise ConfigError(source, key, "there is no such file") from None
    except UnicodeDecodeError:
        raise ConfigError(source, key, "it is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise ConfigError(source, key, f"it cannot be read: {reason}") from None
    with blaming(file):
        return file, parse(text)


def parse(text: str) -> dict[object, object]:
    """Return the mapping that a YAML text holds, empty for an empty text; raises BadValue."""
    try:
        document = yaml.load(text, Loader=StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # Aliases and tags are quoted in the message, and an unquoted password may begin with * or !.
        problem = re.sub(r"'[^'<>]{2,}.*", "(not shown)", error.problem or "not YAML", flags=re.DOTALL)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "whole file"
        raise BadValue(problem, at=where) from None
    except yaml.reader.ReaderError as error:
        line, start = text.count("\n", 0, error.position), text.rfind("\n", 0, error.position)
        where = f"line {line + 1}, column {error.position - start}"
        raise BadValue("a character that YAML does not allow", at=where) from None
    except BadValue:
        raise
    except RecursionError:
        raise BadValue("it is nested too deeply", at="whole file") from None
    except (ValueError, AttributeError):
        # What PyYAML lets through from int() and date(): `!!int x`, or 2026-13-40.
        raise BadValue("it holds a number or date that is none", at="whole file") from None
    if not isinstance(document, dict | None):
        raise BadValue(f"expected sections, got {said(document)}", at="top level")
    return document or {}


class StrictLoader(yaml.SafeLoader):
    """A SafeLoader that refuses what it would pass over: a key given twice, a variable left in a template."""

    def get_single_node(self) -> yaml.Node | None:
        """Return the document's root; raises BadValue."""
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            self._inspect(node, set())
        return node

    def _inspect(self, node: yaml.Node, above: set[yaml.Node]) -> None:
        if node in above:
            raise BadValue("an alias leads back to itself")
        if isinstance(node, yaml.ScalarNode):
            refuse_left_over(node.value)
        if isinstance(node, yaml.MappingNode):
            _refuse_twice([key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
        for step, child in _steps(node):
            with within(step):
                self._inspect(child, above | {node})


def _refuse_twice(keys: list[str]) -> None:
    for index, key in enumerate(keys):
        if key in keys[:index]:
            raise BadValue("is given twice", at=_shown(key))


def _steps(node: yaml.Node) -> list[tuple[str, yaml.Node]]:
    """Return what is below a node of YAML, with the step of the path that leads to each."""
    if isinstance(node, yaml.MappingNode):
        return [(_shown(getattr(key, "value", None)), child) for key, child in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [(f"[{index}]", child) for index, child in enumerate(node.value)]
    return []
