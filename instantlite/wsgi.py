"""The WSGI application: Django behind a bound on the body's size that also holds for chunked bodies."""

import os
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver
from django.utils.module_loading import import_string

from instantlite import wire

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instantlite.settings")


class BoundedBody:
    """Lets no body past `limit` bytes, and gives a chunked one the length that Django needs to see it at all.

    Django reads CONTENT_LENGTH bytes and takes its absence for an empty body (PEP 3333 has no chunked bodies), so a
    request with `Transfer-Encoding: chunked` would lose its fields without a word. A server that ends
    `wsgi.input` itself says so with `wsgi.input_terminated`.
    """

    def __init__(self, application: Application, limit: int) -> None:
        self.application = application
        self.limit = limit

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[wire.HEAD] = wire.head.get()
        declared = environ.get("CONTENT_LENGTH") or ""
        # Twenty digits say enough of a number that may have thousands; zeros before them say nothing.
        if declared.isdigit() and int(declared.lstrip("0")[:20] or 0) > self.limit:
            environ["instantlite.body_too_large"] = self.limit
        elif not declared and environ.get("wsgi.input_terminated") and environ.get("HTTP_TRANSFER_ENCODING"):
            body = environ["wsgi.input"].read(self.limit + 1)
            if len(body) > self.limit:
                environ["instantlite.body_too_large"] = self.limit
            environ["wsgi.input"] = BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
        return self.application(environ, start_response)


_django: Application = get_wsgi_application()
# The paths are loaded lazily, on the first request; a mistake in them must stop the start instead.
get_resolver().url_patterns  # noqa: B018 — reading it loads them
for _name in settings.WSGI_MIDDLEWARE:
    _django = import_string(_name)(_django)
application = BoundedBody(_django, settings.INSTANTLITE.server.max_body_bytes)
