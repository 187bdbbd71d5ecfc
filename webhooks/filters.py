"""Which of an endpoint's requests are wanted: the query parameters of a list, checked, and what they mean in SQL.

An endpoint holds few requests, so a filter reads them one after the other; an index finds the endpoint's.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote
from uuid import UUID

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from instantlite.config import parse_duration
from instantlite.errors import INVALID_REQUEST, ApiError
from webhooks.models.captures import CapturedRequestQuerySet

DEFAULT_LIMIT, LONGEST_PAGE = 50, 100
LONGEST_TEXT = 1000
# So much of each body is searched: a megabyte a hundred times over would be a second of PostgreSQL for one call.
SEARCHED_BYTES = 262_144

_HEADER = re.compile(r"header\[([^\]]*)\]")
_PLAIN = frozenset({"before", "after", "limit", "method", "path", "q", "since"})

# What is compared is the wire's bytes as Latin-1 text, in the collation "C": its lower() knows ASCII only, and is fast.
_HEADER_SQL = """EXISTS (
SELECT 1 FROM jsonb_array_elements(webhooks_capturedrequest.headers) line
WHERE lower((line->>0) COLLATE "C") = lower(%s COLLATE "C")
AND strpos(lower((line->>1) COLLATE "C"), lower(%s COLLATE "C")) > 0)"""
# Below the key, before which all targets of an endpoint are the same but for an absolute form's host (RFC 9112, 3.2.2).
_BELOW_KEY = "substring(webhooks_capturedrequest.target from '/webhook/receive/[^/?]*(.*)')"
_PATH_SQL = f"starts_with(split_part({_BELOW_KEY}, '?', 1), %s)"
_TEXT_SQL = f"""(
strpos(lower({_BELOW_KEY} COLLATE "C"), lower(%s COLLATE "C")) > 0
OR strpos(lower({_BELOW_KEY} COLLATE "C"), lower(%s COLLATE "C")) > 0
OR EXISTS (
    SELECT 1 FROM jsonb_array_elements(webhooks_capturedrequest.headers) line
    WHERE strpos(lower(((line->>0) || ': ' || (line->>1)) COLLATE "C"), lower(%s COLLATE "C")) > 0)
OR strpos(lower(encode(substring(webhooks_capturedrequest.body for %s), 'escape') COLLATE "C"),
    lower(encode(%s, 'escape') COLLATE "C")) > 0)"""  # noqa: S608 — names of ours


@dataclass(frozen=True)
class Filter:
    """What a request must be like. Empty: any. Text is compared without regard to the case of ASCII letters."""

    methods: tuple[str, ...] = ()
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    text: str = ""
    since: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self.methods or self.path or self.headers or self.text or self.since)

    def apply(self, rows: CapturedRequestQuerySet) -> CapturedRequestQuerySet:
        """The rows that match."""
        if self.methods:
            rows = rows.filter(method__in=self.methods)
        if self.since:
            rows = rows.filter(received_at__gte=self.since)
        for condition in self._conditions():
            rows = rows.filter(condition)
        return rows

    def _conditions(self) -> Iterator[RawSQL]:
        if self.path:
            yield _sql(_PATH_SQL, self.path)
        for name, value in self.headers:
            yield _sql(_HEADER_SQL, _wire(name), _wire(value))
        if self.text:
            yield _sql(_TEXT_SQL, self.text, quote(self.text), _wire(self.text), SEARCHED_BYTES, self.text.encode())


def _sql(condition: str, *values: object) -> RawSQL:
    return RawSQL(condition, values, output_field=BooleanField())  # noqa: S611 — the values are parameters


def _wire(text: str) -> str:
    """Text as header fields hold it: the bytes of its UTF-8, as Latin-1."""
    return text.encode().decode("latin-1")


@dataclass(frozen=True)
class Page:
    """Which part of a list: `limit` items, older than `before` or newer than `after`, which match `only`."""

    only: Filter = field(default_factory=Filter)
    before: UUID | None = None
    after: UUID | None = None
    limit: int = DEFAULT_LIMIT


def page_of(query: QueryDict) -> Page:
    """The query parameters of a list. Raises ApiError `invalid_request`, which names the parameter."""
    headers = tuple((match[1], query.get(name, "")) for name in query if (match := _HEADER.fullmatch(name)))
    refuse_unknown((name for name in query if not _HEADER.fullmatch(name)), (*_PLAIN, "format", "header[name]"))
    for name in query:
        _check(name, query.getlist(name))
    if any(not name for name, _ in headers):
        raise _refusal("header[name]", "needs the name of a header field")
    return Page(
        only=Filter(
            methods=tuple(method for method in query.get("method", "").split(",") if method),
            path=query.get("path", ""),
            headers=headers,
            text=query.get("q", ""),
            since=_since(query.get("since", "")),
        ),
        before=_id("before", query),
        after=_id("after", query),
        limit=_limit(query.get("limit", "")),
    )


def query_of(page: Page) -> list[tuple[str, str]]:
    """The query parameters that page_of() reads as `page`."""
    only = page.only
    given = {
        "before": str(page.before or ""),
        "after": str(page.after or ""),
        "limit": str(page.limit),
        "method": ",".join(only.methods),
        "path": only.path,
        "q": only.text,
        "since": only.since.isoformat() if only.since else "",
    }
    return [(name, value) for name, value in given.items() if value] + [(f"header[{n}]", v) for n, v in only.headers]


def refuse_unknown(names: Iterable[str], known: Collection[str]) -> None:
    """Raises ApiError `invalid_request` for the first of a query's `names` that is not known."""
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise _refusal(unknown[:60], f"is not a known parameter (known: {', '.join(sorted(known))})")


def request_id(name: str, text: str) -> UUID:
    """The id of a request in a parameter. Raises ApiError `invalid_request`."""
    try:
        return UUID(text)
    except ValueError:
        raise _refusal(name, "must be the id of a request") from None


def _check(name: str, values: Iterable[str]) -> None:
    given = list(values)
    if len(given) > 1:
        raise _refusal(name[:60], "is given more than once")
    if len(given[0]) > LONGEST_TEXT:
        raise _refusal(name[:60], f"has more than {LONGEST_TEXT} characters")
    if "\0" in given[0] or not _encodable(given[0] + name):
        raise _refusal(name[:60], "is not text")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _id(name: str, query: Mapping[str, str]) -> UUID | None:
    return request_id(name, query[name]) if query.get(name) else None


def _limit(text: str) -> int:
    if not text:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= LONGEST_PAGE):
        raise _refusal("limit", f"must be a number from 1 to {LONGEST_PAGE}")
    return int(text)


def _since(text: str) -> datetime | None:
    """A moment (RFC 3339), or how long ago: `10m`, `2h`."""
    if not text:
        return None
    try:
        # A plus sign that nobody encoded has become a space.
        moment = parse_datetime(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        moment = None
    if moment is None:
        try:
            return timezone.now() - parse_duration(text)
        except (ValueError, OverflowError):
            message = 'must be a moment such as "2026-01-31T12:00:00Z", or how long ago, such as "10m"'
            raise _refusal("since", message) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _refusal(name: str, message: str) -> ApiError:
    return ApiError(INVALID_REQUEST, f"{name}: {message}.")
