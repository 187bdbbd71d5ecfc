"""What is captured, as files: never shown by a browser under our origin, whatever it says it is."""

import json

from django.conf import settings
from django.http import HttpResponse

from instantlite import errors
from instantlite.errors import ApiError
from webhooks import curl as shell
from webhooks import har as archive
from webhooks.bodies import Body
from webhooks.models import CapturedRequest

_VERSION = str(settings.SPECTACULAR_SETTINGS["VERSION"])

# By which name a body is saved; anything else is .bin.
_ENDINGS = {
    "application/json": "json",
    "application/xml": "xml",
    "text/xml": "xml",
    "text/plain": "txt",
    "text/csv": "csv",
    "text/html": "html",
    "application/pdf": "pdf",
    "application/zip": "zip",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
}


def body(captured: CapturedRequest) -> HttpResponse:
    """The bytes. Raises ApiError `not_found` where they were not kept."""
    if captured.too_large:
        raise ApiError(errors.NOT_FOUND, "The body was larger than this server takes, so it was not kept.")
    ending = _ENDINGS.get(captured.content_type, "bin")
    return _file(bytes(captured.body), "application/octet-stream", f"{captured.id}.{ending}")


def part(captured: CapturedRequest, number: int) -> HttpResponse:
    """One part of a multipart body, from 1. Raises ApiError `not_found`."""
    parts = Body(captured.message).parts
    found = parts.parts[number - 1 : number] if parts and number else ()
    if not found:
        raise ApiError(errors.NOT_FOUND, "The body has no such part; GET the request for the list of its parts.")
    ending = _ENDINGS.get(found[0].content_type, "bin")
    return _file(bytes(found[0].content), "application/octet-stream", f"{captured.id}-part-{number}.{ending}")


def har(captured: CapturedRequest) -> HttpResponse:
    """An HTTP Archive of one request."""
    # What the sender was answered is not kept: status 0 is what a browser writes for none.
    entry = archive.Entry(captured.message, _origin(), captured.received_at, status=0)
    text = json.dumps(archive.log([entry], _VERSION), indent=2)
    return _file(text.encode(), "application/json", f"{captured.id}.har")


def curl(captured: CapturedRequest) -> HttpResponse:
    """The command, as text: a script pipes it, a person reads it."""
    command = shell.curl_command(captured.message, _origin()) + "\n"
    return _safe(HttpResponse(command.encode(), content_type="text/plain; charset=utf-8"))


def _origin() -> str:
    origin: str = settings.INSTANTLITE.server.app_url
    return origin


def _file(content: bytes, content_type: str, name: str) -> HttpResponse:
    answer = HttpResponse(content, content_type=content_type)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return _safe(answer)


def _safe(answer: HttpResponse) -> HttpResponse:
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return answer


def picture(captured: CapturedRequest) -> HttpResponse:
    """A body that is a picture by its first bytes, for an `<img>`. Raises ApiError `not_found` for any other.

    The media type is the one that the bytes show, never the sender's, and SVG is none of them. An `<img>` shows it
    whatever the disposition; whoever opens the URL itself gets a file.
    """
    found = Body(captured.message)
    if captured.too_large or found.picture is None:
        raise ApiError(errors.NOT_FOUND, "The body is not a picture that is shown here.")
    name = f"{captured.id}.{found.picture.partition('/')[2]}"
    answer = _file(found.content.data, found.picture, name)
    answer["Cross-Origin-Resource-Policy"] = "same-origin"
    return answer
