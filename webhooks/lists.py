"""Pages of an endpoint's requests, newest first."""

from dataclasses import dataclass, replace
from uuid import UUID

from django.db import OperationalError, connection, transaction

from instantlite.errors import INVALID_REQUEST, NOT_FOUND, ApiError
from webhooks import verdicts
from webhooks.filters import Page
from webhooks.models import CapturedRequest, Endpoint
from webhooks.models.captures import CapturedRequestQuerySet

# What a search may take of a database that others wait for.
_SEARCH_SECONDS = 5


@dataclass(frozen=True)
class Listed:
    """One page, newest first. `next`: where the list goes on, in the direction that was asked for; None at its end."""

    items: list[CapturedRequest]
    next: Page | None


def requests_of(endpoint: Endpoint) -> CapturedRequestQuerySet:
    """All of them, without what is long. None is older than the endpoint, so days before it are not looked into."""
    rows = CapturedRequest.objects.of(endpoint.pk).summaries()
    return rows.since(endpoint.created_at) if endpoint.created_at else rows


def read(endpoint: Endpoint, page: Page) -> Listed:
    """A page. With `after` it holds the oldest that follow, so that going on misses none. Raises ApiError."""
    rows = requests_of(endpoint)
    if page.before:
        rows = rows.before(page.before)
    rows = rows.after(page.after).oldest_first() if page.after else rows.newest_first()
    found = _found(page.only.apply(rows)[: page.limit + 1], bounded=bool(page.only))
    items, more = found[: page.limit], len(found) > page.limit
    if page.after:
        items.reverse()
    verdicts.check_page(endpoint.pk, endpoint.signature, items)
    if page.after:
        return Listed(items, replace(page, after=items[0].id) if more else None)
    return Listed(items, replace(page, before=items[-1].id) if more else None)


def one(endpoint: Endpoint, request_id: UUID) -> CapturedRequest | None:
    """A request with its headers and body."""
    return CapturedRequest.objects.of(endpoint.pk).filter(pk=request_id).first()


def verified(endpoint: Endpoint, request_id: UUID) -> CapturedRequest | None:
    """The same, with the verdict on its signature."""
    found = one(endpoint, request_id)
    if found:
        verdicts.check(endpoint, found)
    return found


def absent() -> ApiError:
    """What one() not finding it means to a caller."""
    return ApiError(
        NOT_FOUND, "This inbox has no such request. It was deleted, or so many newer ones came that it was let go."
    )


def matching(endpoint: Endpoint, page: Page, most: int) -> tuple[list[CapturedRequest], bool]:
    """The requests that `page` would list on all its pages, without what is long, oldest first.

    Up to `most` of them, and whether that is all. Raises ApiError.
    """
    rows = requests_of(endpoint)
    if page.before:
        rows = rows.before(page.before)
    if page.after:
        rows = rows.after(page.after)
    found = _found(page.only.apply(rows.oldest_first())[: most + 1], bounded=bool(page.only))
    return found[:most], len(found) <= most


def _found(rows: CapturedRequestQuerySet, *, bounded: bool) -> list[CapturedRequest]:
    if not bounded:
        return list(rows)
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = '{_SEARCH_SECONDS}s'")
            return list(rows)
    except OperationalError as error:
        # 57014: canceled (PostgreSQL manual, appendix A).
        if getattr(error.__cause__, "sqlstate", None) == "57014":
            raise ApiError(
                INVALID_REQUEST, f"q: took longer than {_SEARCH_SECONDS} s; narrow it with since, method or path."
            ) from error
        raise
