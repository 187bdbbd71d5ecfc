"""The form that sends a request again, as it came or edited: what is not changed is sent byte for byte.

A browser changes text that nobody touched: line ends of a text area arrive as CRLF. So what comes back is compared with
what the form showed, and where that is the same text the bytes of the request go.
"""

import base64
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from django.http import QueryDict

from webhooks import charsets, form_lines
from webhooks.bodies import Body
from webhooks.charsets import Text
from webhooks.destination_fields import ReplaySettings, ReplayTarget
from webhooks.message import Message, Pair
from webhooks.models import CapturedRequest, Destination, Endpoint
from webhooks.replay import Edit

FIELDS = ("to", "url", "method", "path", "headers", "body")
# Characters of a body that stand in the form: with what a form adds, it must fit into a request to this server.
LONGEST = 256 * 1024


class Place(NamedTuple):
    """A destination in the list of where to."""

    value: str
    url: str
    on: bool


@dataclass(frozen=True)
class ReplayForm:
    """`values` are the fields as text, `problems` what is wrong with them, by field."""

    values: Mapping[str, str]
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Original:
    """A captured request as the form shows it."""

    captured: CapturedRequest

    @cached_property
    def message(self) -> Message:
        return self.captured.message

    @property
    def method(self) -> str:
        return charsets.wire(self.message.method)

    @property
    def path(self) -> str:
        """Path and query below the receive URL."""
        return charsets.wire(self.captured.below_key)

    @property
    def headers(self) -> str:
        return "\n".join(_line(pair) for pair in self.message.headers)

    @cached_property
    def text(self) -> Text | None:
        """The body where it can be edited as text: all of it comes back from a browser, and there is not too much."""
        if self.captured.too_large:
            return None
        found = Body(self.message).exact if self.message.body else Text("", "utf-8")
        # Browsers show U+0000 as another character, and a lone CR as a line feed.
        if found is None or "\0" in found.text or "\r" in found.text.replace("\r\n", ""):
            return None
        return found if len(found.text) <= LONGEST else None

    @property
    def why_not(self) -> str:
        """Why the body is not shown as text."""
        if self.captured.too_large:
            return "Its body was too large to be kept, so it is sent only with another one."
        if len(self.message.body) > LONGEST:
            return "Its body is too long to be edited here. It is sent as it came, unless you replace it."
        return "Its body is not text. It is sent as it came, unless you replace it."

    @property
    def values(self) -> dict[str, str]:
        """The fields as they are filled in at first."""
        body = form_lines.typed(self.text.shown) if self.text else ""
        return {"to": "all", "url": "", "replace": "", "method": self.method, "path": self.path,
                "headers": self.headers, "body": body}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What a form means: where to, see replay.targets(), and what is sent instead."""

    target: Mapping[str, Any]
    edit: Edit


def places(endpoint: Endpoint) -> list[Place]:
    """What may be chosen beside all and a URL."""
    rows = Destination.objects.of(endpoint.pk).values_list("pk", "url", "enabled")
    return [Place(str(key), url, on) for key, url, on in rows]


def filled(captured: CapturedRequest) -> ReplayForm:
    """The form for a request."""
    return ReplayForm(Original(captured).values)


def read(data: QueryDict, captured: CapturedRequest) -> tuple[ReplayForm, Asked | None]:
    """The form as it was sent, and what it means. A field that is missing is not changed. None: see problems."""
    original = Original(captured)
    values = original.values | {name: data.get(name, "") for name in FIELDS if name in data}
    values |= {"replace": data.get("replace", ""), "headers": form_lines.typed(values["headers"]),
               "body": form_lines.typed(values["body"])}  # fmt: skip
    wanted, problems = _target(values)
    wanted |= {name: values[name].strip() for name in ("method", "path") if values[name] != getattr(original, name)}
    if values["headers"] != form_lines.typed(original.headers):
        wanted["headers"], wrong = _pairs(values["headers"], original.message.headers)
        problems |= wrong
    try:
        body = _body(values, original)
    except UnicodeEncodeError:
        charset = original.text.charset if original.text else ""
        problems["body"] = f"has characters that {charset}, in which it came, does not have. Take them out."
        body = None
    if body is not None:
        wanted["body_base64"] = base64.b64encode(body).decode()
    checked = ReplaySettings(data=wanted)
    if not checked.is_valid():
        problems = _problems(checked.errors) | problems
    form = ReplayForm(values, problems)
    if problems:
        return form, None
    changes: dict[str, Any] = {
        name: checked.validated_data[name] for name in ("method", "path", "headers") if name in wanted
    }
    return form, Asked(_only_target(checked.validated_data), Edit(changes, checked.validated_data["content"]))


def target(data: QueryDict) -> tuple[ReplayForm, Mapping[str, Any] | None]:
    """Of a form that has `to` and `url` alone: where to; None: see problems."""
    values = {"to": data.get("to", "all"), "url": data.get("url", "")}
    wanted, problems = _target(values)
    checked = ReplayTarget(data=wanted)
    if not checked.is_valid():
        problems = _problems(checked.errors) | problems
    return ReplayForm(values, problems), None if problems else _only_target(checked.validated_data)


def _target(values: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """`to` is `all`, `url`, or the id of a destination."""
    match values["to"]:
        case "all":
            return {}, {}
        case "url":
            return {"url": values["url"]}, {}
    try:
        return {"destination_id": str(UUID(values["to"]))}, {}
    except ValueError:
        return {}, {"to": "must be one of the list."}


def _only_target(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: wanted[name] for name in ("destination_id", "url") if name in wanted}


def _problems(detail: Any) -> dict[str, str]:
    places = {"destination_id": "to", "body_base64": "body"}
    return {places.get(name, name): said for name, said in form_lines.problems_of(detail).items()}


def _line(pair: Pair) -> str:
    return charsets.wire(f"{pair[0]}: {pair[1]}")


def _pairs(text: str, came: tuple[Pair, ...]) -> tuple[list[list[str]], dict[str, str]]:
    """Header lines: those that are as they came with the bytes that they had, others as UTF-8."""
    known: dict[str, list[Pair]] = defaultdict(list)
    for pair in came:
        known[form_lines.typed(_line(pair))].append(pair)
    pairs: list[list[str]] = []
    for line in form_lines.lines(text):
        if known.get(line):
            # Two lines that look the same may differ in their bytes: they are taken in their order.
            pairs.append(list(known[line].pop(0) if len(known[line]) > 1 else known[line][0]))
            continue
        name, there, value = line.partition(":")
        if not there:
            return [], {"headers": "must be lines such as X-Event: push."}
        pairs.append([name.strip(), value.strip().encode("utf-8", "replace").decode("latin-1")])
    return pairs, {}


def _body(values: Mapping[str, str], original: Original) -> bytes | None:
    """The bytes of another body; None for the one that came. Raises UnicodeEncodeError."""
    text = original.text
    if text is None:
        return values["body"].encode("utf-8", "replace") if values["replace"] else None
    shown = text.shown
    if values["body"] == form_lines.typed(shown):
        return None
    only_crlf = "\r\n" in shown and "\n" not in shown.replace("\r\n", "")
    body = values["body"].replace("\n", "\r\n") if only_crlf else values["body"]
    mark = text.text[: len(text.text) - len(shown)]
    return (mark + body).encode(text.charset)
