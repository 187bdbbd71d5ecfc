"""The page of an inbox: its requests in a list, one of them beside it. A view parses, makes one domain call, renders.

Every view gives the whole page to a browser, and to htmx the part that it asks for (the header `HX-Target`), so that
all of it works without a script. The token in the path opens the inbox: no page is stored, indexed, or named to
another site.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from instantlite import errors
from instantlite.errors import ApiError
from instantlite.landing import with_policy
from instantlite.resource import Gone
from webhooks import diffing, downloads, lists, searching, signature_form, verdicts
from webhooks.models import CapturedRequest, Endpoint
from webhooks.showing import TABS, Detail, Moment, Row, Tab

View: TypeAlias = Callable[..., HttpResponseBase]
Page = TypeVar("Page", bound=HttpResponseBase)

ROWS = 50


def of_inbox(view: View) -> View:
    """A view of one inbox: takes its token, hands the view an Endpoint, and answers for what is not there any more."""

    @wraps(view)
    def answer(request: HttpRequest, token: str, **arguments: Any) -> HttpResponseBase:
        try:
            return secret(view(request, endpoint_of(token), **arguments))
        except ApiError as error:
            return secret(absent(request, error))
        except Gone:
            return secret(absent(request, _gone()))

    return answer


def endpoint_of(token: str) -> Endpoint:
    """The inbox of a token. Raises ApiError `not_found`, Gone."""
    found = Endpoint.objects.owned(token)
    if found is None:
        raise ApiError(errors.NOT_FOUND, "No inbox has this address. Check that the link is complete.")
    return found


def _gone() -> ApiError:
    return ApiError(
        errors.GONE, "This inbox has expired or was deleted, and its requests are gone. A new one is a click away."
    )


def request_of(endpoint: Endpoint, request_id: UUID) -> CapturedRequest:
    """One request with its headers and body. Raises ApiError `not_found`."""
    found = lists.one(endpoint, request_id)
    if found is None:
        raise ApiError(
            errors.NOT_FOUND,
            f"This request is not here any more: it was deleted, or more than {endpoint.requests_stored} newer ones "
            "came.",
        )
    return found


@require_safe
@of_inbox
def inbox(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """`GET /webhooks/{token}`: the list, and what to send where. For htmx the list, or the rows that follow."""
    return page(request, endpoint, "overview")


@require_safe
@of_inbox
def opened(request: HttpRequest, endpoint: Endpoint, request_id: UUID) -> HttpResponse:
    """`GET /webhooks/{token}/{id}`: one request; `?tab=`, and `?whole=1` for all of a long body."""
    captured = request_of(endpoint, request_id)
    verdicts.check(endpoint, captured)
    tab: Tab = next((name for name in TABS if name == request.GET.get("tab")), "body")
    detail = Detail(captured, timezone.now(), tab, whole=request.GET.get("whole") == "1")
    # Downloads and what is copied come from the API.
    api = f"/webhook/{endpoint.token}/requests/{captured.pk}"
    signer = signature_form.label(endpoint.signature)
    return page(request, endpoint, "request", detail=detail, tabs=TABS, api=api, signer=signer)


@require_safe
@of_inbox
def compared(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """`GET /webhooks/{token}/compare?left=…&right=…`; with one of them alone, the choice of the other."""
    left, right = (_side(request, endpoint, name) for name in ("left", "right"))
    normalise = request.GET.get("normalise") != "0"
    if left is None or right is None:
        chosen = right or left
        if chosen is None:
            raise ApiError(errors.NOT_FOUND, "Two requests are compared: open one, and choose Compare.")
        return page(request, endpoint, "choose", right=chosen)
    found = diffing.compare(left.message, right.message, normalise)
    now = timezone.now()
    sides = (Row(left, now), Row(right, now))
    parts = [{"title": "Request line and headers", "diff": found.head}, {"title": "Body", "diff": found.body}]
    return page(
        request, endpoint, "compare", parts=parts, normalise=normalise, sides=sides, left=sides[0], right=sides[1]
    )


def _side(request: HttpRequest, endpoint: Endpoint, name: str) -> CapturedRequest | None:
    given = request.GET.get(name, "")
    try:
        return request_of(endpoint, UUID(given)) if given else None
    except ValueError:
        raise ApiError(errors.NOT_FOUND, f"{name}: this is not the id of a request.") from None


@require_safe
@of_inbox
def picture(request: HttpRequest, endpoint: Endpoint, request_id: UUID) -> HttpResponse:
    """`GET /webhooks/{token}/{id}/picture`: what an `<img>` on our page shows, and nothing else can act as."""
    return downloads.picture(request_of(endpoint, request_id))


def page(request: HttpRequest, endpoint: Endpoint, pane: str, status: int = 200, **more: Any) -> HttpResponse:
    """The part that htmx asks for, or all of it. `pane`: the template on the right."""
    wanted = _target(request)
    now = timezone.now()
    context: dict[str, Any] = {
        "endpoint": endpoint,
        "expires": Moment(endpoint.expires_at or now, now),
        "limits": settings.INSTANTLITE.limits,
        "app_url": settings.INSTANTLITE.server.app_url,
        "search": searching.Search(request.GET),
        "pane": f"webhooks/_{pane}.html",
        "now": now,
        **more,
    }
    if pane == "choose" or not _is_pane(wanted):
        context["found"] = _found(endpoint, context["search"], now)
    if _is_pane(wanted):
        return render(request, context["pane"], context, status=status)
    name = {"found": "_found", "older": "_rows"}.get(wanted, "inbox")
    answer = render(request, f"webhooks/{name}.html", context, status=status)
    patch_vary_headers(answer, ["HX-Request", "HX-Target"])
    if wanted == "found":
        answer["HX-Replace-Url"] = _place(request, endpoint) + context["search"].link
    return answer


def _place(request: HttpRequest, endpoint: Endpoint) -> str:
    """Where the browser is within the inbox: a search leaves what is opened."""
    base = f"/webhooks/{endpoint.token}"
    current = urlsplit(request.headers.get("HX-Current-URL", "")).path
    return current if re.fullmatch(rf"{re.escape(base)}/[0-9a-f-]{{36}}", current) else base


def _found(endpoint: Endpoint, search: "searching.Search", now: Any) -> dict[str, Any]:
    """Rows of the list, and where it goes on; what is wrong with a search instead of an error."""
    try:
        listed = lists.read(endpoint, search.page(ROWS))
    except ApiError as error:
        if error.code is not errors.INVALID_REQUEST:
            raise
        return {"rows": [], "problem": error.message, "next": None}
    rows = [Row(captured, now, search.link) for captured in listed.items]
    following = search.older(listed.next.before) if listed.next and listed.next.before else None
    return {"rows": rows, "problem": "", "next": following}


def _target(request: HttpRequest) -> str:
    """The id of the element that htmx fills; empty for a browser, also when it comes back through its history."""
    fragment = "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers
    return request.headers.get("HX-Target", "") if fragment else ""


def _is_pane(target: str) -> bool:
    """The right side, or one panel of it: htmx picks that out."""
    return target == "pane" or target.startswith("panel-")


def secret(answer: Page) -> Page:
    """A page that nobody keeps or finds. Its referrer stays with us by SECURE_REFERRER_POLICY."""
    answer["Cache-Control"] = "no-store"
    answer["X-Robots-Tag"] = "noindex"
    return answer if answer.has_header("Content-Security-Policy") else with_policy(answer)


def absent(request: HttpRequest, error: ApiError) -> HttpResponse:
    """What is said of an inbox or a request that is not there, with a way on. htmx loads the page anew to see it."""
    if not errors.wants_page(request):
        answer = errors.answer(request, error)
        if "HX-Request" in request.headers and error.code is errors.GONE:
            answer["HX-Refresh"] = "true"
        return answer
    context = {"error": error, "request_id": errors.request_id(request)}
    answer = render(request, "webhooks/absent.html", context, status=error.code.status)
    patch_vary_headers(answer, ["Accept"])
    return answer
