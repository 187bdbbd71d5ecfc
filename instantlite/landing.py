"""`GET /`: what this server gives, as a page for a browser and as a screenful of text for curl."""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe


@dataclass(frozen=True)
class Offer:
    """One call of the landing page. `ready` False: on its way, not served by this version."""

    title: str
    path: str
    says: str
    ready: bool


OFFERS = (
    Offer("PostgreSQL database", "/db/new", "A database of your own, with pgvector, ready to connect to.", True),
    Offer(
        "Webhook inbox", "/webhook/new", "A URL that takes any request, and a page that shows each as it came.", False
    ),
    Offer("Redis cache", "/cache/new", "A user and a key prefix of your own on a shared Redis.", False),
)


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """HTML where the Accept header asks for it, else plain text."""
    config = settings.INSTANTLITE
    context = {"app_url": config.server.app_url, "offers": OFFERS, "limits": config.limits}
    as_page = "text/html" in request.headers.get("Accept", "")
    name, content_type = ("landing.html", "text/html") if as_page else ("landing.txt", "text/plain")
    answer = render(request, name, context, content_type=f"{content_type}; charset=utf-8")
    patch_vary_headers(answer, ["Accept"])
    return answer
