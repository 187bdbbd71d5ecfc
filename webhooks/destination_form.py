"""The form of a destination: HTML's fields to destination_fields.py's, and back. A secret only goes in."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from webhooks import form_lines, signatures
from webhooks.destination_fields import DEFAULT_TIMEOUT, LONGEST_TIMEOUT, DestinationSettings
from webhooks.models import Destination
from webhooks.signatures.schemes import SCHEMES

FIELDS = ("url", "method", "path", "headers", "json", "timeout_seconds", "provider", "secret")
CHECKS = ("enabled", "ordered")
_HEADER = re.compile(r"([^:]*):(.*)")
# A path may hold the sign in quotes: data["a=b"] = 1.
_JSON = re.compile(r"""((?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^="'])*+)=(.*)""")
# Where what a serializer says of its fields is shown.
_PLACES = {"filter.method": "method", "filter.path": "path", "filter.headers": "headers", "filter.json": "json",
           "signature.provider": "provider", "signature.secret": "secret", "signature": "provider",
           "filter": "path"}  # fmt: skip


class Choice(NamedTuple):
    """A way to sign in the list."""

    value: str
    label: str


@dataclass(frozen=True)
class DestinationForm:
    """`values` are the fields as text, `problems` what is wrong with them, by field. `signed`: a secret is kept."""

    values: Mapping[str, str]
    signed: bool = False
    problems: Mapping[str, str] = field(default_factory=dict)

    longest_timeout = LONGEST_TIMEOUT
    default_timeout = DEFAULT_TIMEOUT

    @property
    def providers(self) -> list[Choice]:
        """Those that need a secret and nothing else; another HMAC only where the API has set one."""
        names = [name for name in SCHEMES if name != "hmac" or self.values["provider"] == "hmac"]
        return [Choice("", "As it came"), *(Choice(name, SCHEMES[name].label) for name in names)]

    @property
    def narrowed(self) -> bool:
        """Whether there is a filter, or something wrong with one."""
        names = ("method", "path", "headers", "json")
        return any(self.values[name] or name in self.problems for name in names)

    @property
    def changed(self) -> bool:
        """Whether one of the fields has not its default that a new destination needs no eye for."""
        names = ("provider", "secret", "timeout_seconds", "ordered")
        return any(self.values[name] or name in self.problems for name in names)


EMPTY = DestinationForm(dict.fromkeys((*FIELDS, *CHECKS), "") | {"enabled": "on"})


def filled(row: Destination) -> DestinationForm:
    """The form for a destination as it is stored; what has its default is empty."""
    held = row.filter or {}
    return DestinationForm(
        {
            "url": row.url,
            "enabled": "on" if row.enabled else "",
            "ordered": "on" if row.ordered else "",
            "method": ", ".join(held.get("methods", ())),
            "path": held.get("path", ""),
            "headers": "\n".join(f"{name}: {value}" for name, value in held.get("headers", {}).items()),
            "json": "\n".join(f"{place} = {_written(value)}" for place, value in held.get("json", {}).items()),
            "timeout_seconds": f"{row.timeout_seconds:g}" if row.timeout_seconds != DEFAULT_TIMEOUT else "",
            "provider": row.signing["provider"] if row.signing else "",
            "secret": "",
        },
        signed=row.signing is not None,
    )


def read(data: QueryDict, current: Destination | None = None) -> tuple[DestinationForm, dict[str, Any] | None]:
    """The form as it was sent, and the settings that it means, all of them. None: see problems.

    An empty secret leaves the one that is kept for the same provider.
    """
    values = {name: form_lines.typed(data.get(name, "")) for name in (*FIELDS, *CHECKS)}
    signing = current.signing if current else None
    wanted: dict[str, Any] = {name: bool(values[name]) for name in CHECKS}
    wanted["url"] = values["url"]
    wanted["timeout_seconds"] = values["timeout_seconds"].strip().replace(",", ".") or DEFAULT_TIMEOUT
    wanted["signature"] = _signature(values, signing)
    wanted["filter"], found = _filter(values)
    checked = DestinationSettings(data=wanted)
    try:
        checked.is_valid(raise_exception=True)
    except ValidationError as error:
        said = form_lines.problems(error)
        found = {_PLACES.get(name, _place(name)): problem for name, problem in said.items()} | found
    form = DestinationForm({**values, "secret": ""}, signing is not None, found)
    return form, None if found else dict(checked.validated_data)


def refused(form: DestinationForm, name: str, problem: str) -> DestinationForm:
    """The form with something wrong that was found later."""
    return DestinationForm(form.values, form.signed, {name: problem})


def _place(name: str) -> str:
    """The field of a problem that has none of its own: an option of a signature, which the API has set."""
    return "provider" if name.startswith("signature.") else name


def _signature(values: Mapping[str, str], signing: Mapping[str, Any] | None) -> dict[str, Any] | None:
    provider = values["provider"].strip()
    if not provider:
        return None
    kept = signatures.shown(signing) if signing and signing["provider"] == provider == "hmac" else None
    options = {name: value or None for name, value in (kept or {}).items() if name not in ("provider", "secret")}
    secret = {"secret": values["secret"]} if values["secret"] else {}
    return {"provider": provider, **options, **secret}


def _filter(values: Mapping[str, str]) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """The conditions that are there, and what is wrong with their lines."""
    found: dict[str, Any] = {}
    problems: dict[str, str] = {}
    methods = values["method"].replace(",", " ").split()
    if methods:
        found["method"] = methods
    if values["path"].strip():
        found["path"] = values["path"].strip()
    for name, pattern, example in (("headers", _HEADER, "X-Event: push"), ("json", _JSON, "data.type = paid")):
        conditions: dict[str, Any] = {}
        for line in form_lines.lines(values[name]):
            match = pattern.fullmatch(line)
            place, value = (match[1].strip(), match[2].strip()) if match else (line, "")
            if not match:
                problems[name] = f"must be lines such as {example}."
            elif place in conditions:
                problems[name] = f"{place[:60]} stands there twice; a filter has one value for each."
            conditions[place] = _value(value) if name == "json" else value
        if conditions and name not in problems:
            found[name] = conditions
    return found or None, problems


def _value(text: str) -> str | bool | int | float:
    """A number, true and false as JSON writes them; anything else is text, which may stand in quotes."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except ValueError:  # also for an integer of thousands of digits
        return text
    return value if isinstance(value, str | bool | int | float) else text


def _refuse(name: str) -> None:
    raise ValueError(name)


def _written(value: str | bool | float) -> str:
    """What _value() reads as this."""
    plain = isinstance(value, str) and _value(value) == value and value == value.strip() and value
    return str(value) if plain else json.dumps(value, ensure_ascii=False)
