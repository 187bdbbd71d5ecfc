"""What the pages show of captured requests: text for people, bounded, and nothing that a browser could act on.

Everything here is plain text that the templates escape, or markup.py's, which is escaped already.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

from django.utils.safestring import SafeString

from webhooks import charsets, hexdump, markup, raw
from webhooks.bodies import Body, form_fields
from webhooks.message import Message, Pair
from webhooks.models import CapturedRequest, Endpoint
from webhooks.multipart import Part

Tab = Literal["body", "headers", "query", "raw"]
TABS: tuple[Tab, ...] = ("body", "headers", "query", "raw")

# A row has one line for it; what is longer is for the request's own page.
LONGEST_IN_ROW = 300
# Characters of a body that are shown at once. Browsers lay out a megabyte in a second or more.
SHOWN = 128 * 1024
LONGEST_IN_PART = 2_000


@dataclass(frozen=True)
class Row:
    """A request in the list; reads neither headers nor body."""

    captured: CapturedRequest
    now: datetime
    # What the list is searched for, as the end of a URL: going through it stays within it.
    search: str = ""

    @property
    def id(self) -> UUID:
        return self.captured.id

    @cached_property
    def href(self) -> str:
        """The page of this request; holds the inbox's token."""
        return f"/webhooks/{Endpoint(id=self.captured.endpoint_id).token}/{self.id}{self.search}"

    @property
    def method(self) -> str:
        return charsets.wire(self.captured.method)[:40]

    @property
    def is_safe(self) -> bool:
        """Whether its method only reads (RFC 9110, section 9.2.1)."""
        return self.captured.method in ("GET", "HEAD", "OPTIONS", "TRACE")

    @property
    def path(self) -> str:
        """Below the receive URL, with the query; percent-encoding as it was sent."""
        target = charsets.wire(self.captured.below_key)
        return target if len(target) <= LONGEST_IN_ROW else f"{target[:LONGEST_IN_ROW]}…"

    @property
    def kind(self) -> str:
        """The media type without the word that says nothing: `json` for application/json."""
        return charsets.wire(self.captured.content_type).removeprefix("application/").removeprefix("x-www-")[:60]

    @property
    def size(self) -> int | None:
        return self.captured.size

    @property
    def signature(self) -> dict[str, Any] | None:
        """The verdict on it; None where no signature is set."""
        return self.captured.verdict

    @property
    def time(self) -> "Moment":
        return Moment(self.captured.received_at, self.now)


@dataclass(frozen=True)
class Moment:
    """A time, in its forms on a page. `now` is by the same clock."""

    at: datetime
    now: datetime

    @property
    def machine(self) -> str:
        return f"{self.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"

    @property
    def exact(self) -> str:
        return f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"

    @property
    def ago(self) -> str:
        """`now`, `3 s ago`, `5 min ago`; webhooks.js goes on from there in the same words."""
        passed = self.now - self.at
        return "now" if passed < timedelta(seconds=1) else f"{in_short(passed)} ago"

    @property
    def left(self) -> str:
        """How long until then: `23 h`."""
        return in_short(max(self.at - self.now, timedelta(0)))


def in_short(duration: timedelta) -> str:
    """`3 s`, `5 min`, `2 h`, `4 d`, rounded down."""
    seconds = int(duration.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size * (2 if unit == "d" else 1):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


@dataclass(frozen=True)
class Shown:
    """Text of a panel. `left_out`: characters that are not in it."""

    html: SafeString
    left_out: int = 0


@dataclass(frozen=True)
class Detail:
    """One request, opened. `whole`: without the bound on what is shown at once."""

    captured: CapturedRequest
    now: datetime
    tab: Tab = "body"
    whole: bool = False

    @property
    def row(self) -> Row:
        return Row(self.captured, self.now)

    @cached_property
    def message(self) -> Message:
        return self.captured.message

    @cached_property
    def body(self) -> Body:
        return Body(self.message)

    @property
    def target(self) -> str:
        """Below the receive URL, all of it."""
        return charsets.wire(self.captured.below_key)

    @cached_property
    def headers(self) -> list[Pair]:
        return [(charsets.wire(name), charsets.wire(value)) for name, value in self.message.headers]

    @cached_property
    def query(self) -> tuple[Pair, ...]:
        """Names and values of the query, decoded as a form's are."""
        return form_fields(self.message.query.encode("latin-1", "replace")).fields

    @property
    def has_body(self) -> bool:
        """Whether there is one to copy and to save."""
        return not self.captured.too_large and bool(self.message.body)

    @property
    def kind(self) -> str:
        """What the body panel shows it as."""
        return "too_large" if self.captured.too_large else self.body.kind

    @cached_property
    def text(self) -> Shown | None:
        """JSON, XML or text; None for another kind."""
        shown = self.body.text.shown if self.body.text else ""
        if len(shown) > SHOWN and not self.whole and self.kind in ("json", "xml", "text"):
            return Shown(markup.text_markup(shown[:SHOWN]), len(shown) - SHOWN)
        html = markup.body_markup(self.body)
        return Shown(html) if html is not None else None

    @cached_property
    def raw(self) -> Shown:
        """The HTTP message."""
        text = raw.raw_text(self.message)
        most = len(text) if self.whole else SHOWN
        return Shown(markup.text_markup(text[:most]), max(0, len(text) - most))

    @cached_property
    def hex(self) -> hexdump.Dump:
        return hexdump.dump(self.body.content.data)

    @cached_property
    def parts(self) -> list["ShownPart"]:
        found = self.body.parts
        return [ShownPart(number, part) for number, part in enumerate(found.parts, 1)] if found else []

    @property
    def notes(self) -> list[str]:
        """What is odd about the body, in sentences."""
        found: list[str] = []
        held, body = self.body.content, self.body
        if held.codings and held.data is not self.message.body:
            found.append(f"Shown without its Content-Encoding ({', '.join(held.codings)[:80]}).")
        if held.problem:
            found.append(held.problem)
        if body.json_problem:
            found.append(f"Not valid JSON: {body.json_problem}.")
        if (body.form and not body.form.complete) or (body.parts and not body.parts.complete):
            found.append("There is more than this, or its end is missing; the file has all of it.")
        return found


@dataclass(frozen=True)
class ShownPart:
    """A part of a multipart body; parts count from 1."""

    number: int
    part: Part

    @cached_property
    def text(self) -> str | None:
        """The start of it where it is text."""
        if self.part.filename is not None and not self.part.content_type.startswith(("text/", "application/json")):
            return None
        found = charsets.decode(self.part.content, self.part.charset, self.part.content_type.startswith("text/"))
        return found.shown[:LONGEST_IN_PART] if found else None

    @property
    def is_cut(self) -> bool:
        return self.text is not None and self.part.size > len(self.text.encode("utf-8", "replace"))
