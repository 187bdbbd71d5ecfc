"""The search of the page: a form's fields, as the API's filters read them."""

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict

from webhooks import filters
from webhooks.filters import Page

FIELDS = ("q", "method", "path", "header", "since")


@dataclass(frozen=True)
class Search:
    """What was asked for, as it was typed. `header` is `Name: value`, or a name alone."""

    query: QueryDict

    @cached_property
    def fields(self) -> dict[str, str]:
        """Those that were filled in."""
        given = {name: self.query.get(name, "").strip() for name in FIELDS}
        return {name: value for name, value in given.items() if value}

    @property
    def narrowed(self) -> bool:
        """Whether more than text is asked for."""
        return bool(set(self.fields) - {"q"})

    @property
    def link(self) -> str:
        """The fields as the end of a URL, `?` included; empty without any."""
        return f"?{urlencode(self.fields)}" if self.fields else ""

    def page(self, rows: int) -> Page:
        """What filters.page_of() makes of it. Raises ApiError `invalid_request`."""
        asked = QueryDict(mutable=True)
        for name, value in self.fields.items():
            if name == "header":
                header, _, contained = value.partition(":")
                asked[f"header[{header.strip()}]"] = contained.strip()
            else:
                asked[name] = value
        if self.query.get("before"):
            asked["before"] = self.query.get("before", "")
        asked["limit"] = str(rows)
        return filters.page_of(asked)

    def older(self, before: UUID) -> str:
        """The end of the URL of the rows that follow."""
        return f"?{urlencode({**self.fields, 'before': str(before)})}"
