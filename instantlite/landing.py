"""What a person meets first: `GET /`, a page for a browser and a screenful of text for curl; and `/docs`."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView
from rest_framework.request import Request
from rest_framework.response import Response

from instantlite.config.duration import write_duration

Answer = TypeVar("Answer", bound=HttpResponseBase)

# Everything a page needs comes from this server and nothing runs inline, so that a fault in a template cannot
# become a script. `data:` is for the icons in the stylesheet of the API reference.
CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


@dataclass(frozen=True)
class Offer:
    """One call of the landing page. `absent` says why it is not served here; empty for one that is."""

    title: str
    path: str
    says: str
    absent: str = ""

    @property
    def ready(self) -> bool:
        return not self.absent


_DATABASE = Offer("PostgreSQL database", "/db/new", "A database of your own, ready to connect to.")
_WEBHOOK = Offer(
    "Webhook inbox", "/webhook/new", "A URL that takes any request, and a page that shows each as it came."
)
_CACHE = Offer("Redis cache", "/cache/new", "A user and a key prefix of your own on a shared Redis.")
_NO_REDIS = "not on this server: it has no Redis"


def offers() -> list[Offer]:
    """The calls, those that this server answers first."""
    cache = _CACHE if has_redis() else replace(_CACHE, absent=_NO_REDIS)
    return sorted((_DATABASE, _WEBHOOK, cache), key=lambda offer: not offer.ready)


def has_redis() -> bool:
    """Whether caches can be had: there is a Redis for tenants in the configuration."""
    return bool(settings.INSTANTLITE.redis.tenants_url)


# Reads only: without a cookie at stake, a POST is told that the method is wrong, not that a form was out of date.
@csrf_exempt
@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """HTML where the Accept header asks for it, else plain text."""
    as_page = "text/html" in request.headers.get("Accept", "")
    name, content_type = ("landing.html", "text/html") if as_page else ("landing.txt", "text/plain")
    answer = render(request, name, _context(), content_type=f"{content_type}; charset=utf-8")
    patch_vary_headers(answer, ["Accept"])
    return with_policy(answer)


def _context() -> dict[str, Any]:
    config = settings.INSTANTLITE
    limits = config.limits
    return {
        "app_url": config.server.app_url,
        "offers": offers(),
        "caches": has_redis(),
        "limits": limits,
        "requests_stored": config.webhooks.requests_stored,
        "longest_body": bytes_in_words(config.server.max_body_bytes),
        "default_ttl": in_words(limits.default_ttl),
        "default_ttl_seconds": int(limits.default_ttl.total_seconds()),
        "longest_ttl": in_words(limits.max_ttl),
        "max_lifetime": in_words(limits.max_lifetime),
        "statement_timeout": in_words(limits.statement_timeout),
        "expires_at": timezone.now() + limits.default_ttl,
        # Where the default expiry lies on the way to the longest life, in percent: the ruler on the page.
        "default_share": min(100, round(100 * limits.default_ttl / limits.max_lifetime)),
        "pgvector": "vector" in config.postgres.extensions,
    }


def in_words(duration: timedelta) -> str:
    """A whole-second duration for people: `24 hours`, `1 minute`, `90 seconds`."""
    written = write_duration(duration)
    count, unit = written[:-1], {"h": "hour", "m": "minute", "s": "second"}[written[-1]]
    return f"{count} {unit}{'' if count == '1' else 's'}"


def bytes_in_words(size: int) -> str:
    """A size for people, exact: `1 MiB`, `100 KiB`, `1,000 bytes`."""
    for unit, name in ((1024 * 1024, "MiB"), (1024, "KiB")):
        if size % unit == 0:
            return f"{size // unit:,} {name}"
    return f"{size:,} bytes"


def with_policy(answer: Answer) -> Answer:
    """The page, with the Content-Security-Policy that all our pages keep to."""
    answer["Content-Security-Policy"] = CONTENT_POLICY
    return answer


class ApiDescription(SpectacularJSONAPIView):
    """`GET /openapi.json`."""

    needs_database = False


class ApiReference(SpectacularSwaggerView):
    """`GET /docs`: Swagger UI out of the package beside it, drawn from /openapi.json in our own frame."""

    needs_database = False
    template_name = "docs.html"

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """With the policy; and in a browsing context of its own, as every other page."""
        answer: Response = super().finalize_response(request, response, *args, **kwargs)
        del answer["Cross-Origin-Opener-Policy"]
        return with_policy(answer)
