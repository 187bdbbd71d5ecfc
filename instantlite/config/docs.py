"""The configuration described from its own dataclasses: the reference page, and the example file."""

import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any

from instantlite.config.read import DataclassInstance, Records, Spec, specs

_INTRO = """\
# Configuration

Every option has a default, so the service starts without any configuration. A value comes from the last of
these that gives one:

1. the default below,
2. the YAML file that `CONFIG_PATH` names, or without it `config.yaml` in the working directory,
3. the environment variable named in the table.

An empty environment variable counts as not set, and space around its text is dropped. Lists are separated
by commas. For each variable `NAME`, `NAME_FILE` may name a file to read the value from, as secrets are
mounted in containers; it comes before `NAME`.

```yaml
server:
  app_url: "https://lite.example.com"
limits:
  default_ttl: 6h
```

Durations are whole numbers with the units `d`, `h`, `m`, `s` in this order: `30s`, `24h`, `1h30m`. A number
alone is seconds. In URLs, a character such as `/ ? # @ : %` in a user name or password is written
percent-encoded.

A file that cannot be right stops the start: an unknown or repeated key, a wrong type, an impossible value,
a template's `${NAME}` that was not filled in. One line on standard error says where and why, never a
secret, and the exit status is 1:

```
instantlite: fatal: config.yaml: server.port: expected a whole number, 1 to 65535
```

`config.example.yaml` lists every option with its default. `config.prod.yaml.tpl` is a start for production,
to be filled in by `envsubst`.

This page is printed by `python -m instantlite.config`; with `--example` it prints the example.
"""

_LAPTOP = """
`make run` (`manage.py up`) sets `INSTANTLITE_PROFILE=laptop`, unless the environment says `production`. These defaults
are then others, so that nobody is locked out of their own machine; what a file or variable says counts all the same.

| Option | Default on a laptop |
|---|---|
"""

_EXAMPLE_INTRO = """\
# Every option with its default; take the # away from those you change. See docs/configuration.md.
# Printed by: python -m instantlite.config --example
"""


@dataclass(frozen=True)
class Option:
    """An option as the reference page shows it; `default` is YAML or `(required)`, `env` may be empty."""

    section: str
    name: str
    type: str
    default: str
    env: str
    help: str


def options(section: str, record: type[DataclassInstance]) -> Iterator[Option]:
    """Yield the options of a section, then those of its lists' records, as `postgres.clusters[]`."""
    for item in fields(record):
        spec: Spec = item.metadata["spec"]
        default = "(required)" if item.default is MISSING else spec.kind.write(item.default)
        yield Option(section, item.name, spec.kind.words, default, spec.env, spec.help)
    for item in fields(record):
        kind = item.metadata["spec"].kind
        if isinstance(kind, Records):
            yield from options(f"{section}.{item.name}[]", kind.record)


def page(sections: dict[str, type[DataclassInstance]], laptop: dict[str, dict[str, Any]]) -> str:
    """Return docs/configuration.md as a whole. `laptop`: the defaults of that profile, by section and option."""
    parts = [_INTRO, _laptop(sections, laptop)]
    for section, record in _with_records(sections):
        rows = [_row(option) for option in options(section, record) if option.section == section]
        title = f"\n## {section}\n\n{record.__doc__}\n\n"
        head = "| Option | Type | Default | Environment | Meaning |\n|---|---|---|---|---|\n"
        parts.append(title + head + "".join(rows))
    return "".join(parts)


def _laptop(sections: dict[str, type[DataclassInstance]], laptop: dict[str, dict[str, Any]]) -> str:
    rows = [
        f"| `{section}.{name}` | `{specs(sections[section])[name].kind.write(value)}` |\n"
        for section, values in laptop.items()
        for name, value in values.items()
    ]
    return _LAPTOP + "".join(rows)


def example(sections: dict[str, type[DataclassInstance]]) -> str:
    """Return config.example.yaml as a whole: every option, commented out."""
    parts = [_EXAMPLE_INTRO]
    for section, record in sections.items():
        parts.append(f"\n# {record.__doc__}\n{section}:\n")
        shown = [option for option in options(section, record) if option.section == section]
        parts.extend(f"{_comment(option)}  # {option.name}: {option.default}\n" for option in shown)
    return "".join(parts)


def _with_records(sections: dict[str, Any]) -> Iterator[tuple[str, type[DataclassInstance]]]:
    """Yield the sections, each followed by the records its lists hold."""
    for section, record in sections.items():
        yield section, record
        for item in fields(record):
            kind = item.metadata["spec"].kind
            if isinstance(kind, Records):
                yield f"{section}.{item.name}[]", kind.record


def _row(option: Option) -> str:
    default = option.default if option.default == "(required)" else f"`{option.default}`"
    env = f"`{option.env}`" if option.env else ""
    return f"| `{option.name}` | {option.type} | {default} | {env} | {option.help} |\n"


def _comment(option: Option) -> str:
    """Return an option's help as comment lines; `##` sets it apart from the options' single #."""
    env = f" [{option.env}]" if option.env else ""
    lines = textwrap.wrap(f"{option.help} ({option.type}){env}", 100)
    return "".join(f"  ## {line}\n" for line in lines)
