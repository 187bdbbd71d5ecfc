"""What the page's forms share: lines of a text area, and what a serializer found wrong, by field."""

from collections.abc import Iterator, Mapping
from typing import Any

from rest_framework.exceptions import ValidationError


def typed(text: str) -> str:
    """A text area's text with line feeds: a form's line ends are CRLF, whatever was typed (HTML, 4.10.22.5)."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def lines(text: str) -> Iterator[str]:
    """Those that are not blank. Of what Unicode calls a line end, only the form's own is one."""
    return (line for line in typed(text).split("\n") if line.strip())


def problems(error: ValidationError) -> dict[str, str]:
    """The first sentence for each field; those of a field's own fields by their names, as `outer.inner`."""
    return problems_of(error.detail)


def problems_of(detail: Any) -> dict[str, str]:
    """The same, of a serializer's `errors`."""
    return dict(_flat(detail, "")) if isinstance(detail, Mapping) else {"": _first(detail)}


def _flat(detail: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for name, said in detail.items():
        if isinstance(said, Mapping):
            yield from _flat(said, f"{before}{name}.")
        else:
            yield f"{before}{name}", _first(said)


def _first(said: Any) -> str:
    while isinstance(said, Mapping | list):
        said = next(iter(said.values() if isinstance(said, Mapping) else said), "")
    return str(said)
