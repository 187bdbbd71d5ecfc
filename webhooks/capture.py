"""An HTTP request becomes one frozen value: what was sent, exactly, and for whom."""

import time
from dataclasses import dataclass, field
from uuid import UUID

from django.http import HttpRequest
from django.http.request import UnreadablePostError

from instantlite import errors, keys, wire
from ratelimit import clients
from webhooks.message import Message, Pair
from webhooks.models import Endpoint

# What stores the text of a media type; a longer one is cut there, and whole among the headers.
_LONGEST_TYPE = 255


@dataclass(frozen=True)
class Capture:
    """One request to an endpoint. `size`: of its body in bytes, None where it was too large and nobody said.

    `arrived` is by time.monotonic().
    """

    endpoint_id: UUID
    message: Message
    client: str | None
    size: int | None
    too_large: bool = False
    arrived: float = field(default_factory=time.monotonic)

    @property
    def stored_type(self) -> str:
        return self.message.content_type[:_LONGEST_TYPE]

    @property
    def waited_us(self) -> int:
        """Microseconds since it arrived."""
        return int((time.monotonic() - self.arrived) * 1_000_000)


def read(request: HttpRequest, key: str) -> Capture:
    """What a request to a receive URL holds. Raises ApiError for a key that is not ours and a body that broke off."""
    endpoint_id = keys.resource_id_of_sending_key(Endpoint.kind, key)
    if endpoint_id is None:
        raise unknown()
    too_large = "instantlite.body_too_large" in request.META
    declared = request.META.get("CONTENT_LENGTH") or ""
    body = b"" if too_large else _body(request)
    if not too_large and declared.isdigit() and int(declared) != len(body):
        raise _broken_off()
    address = clients.identify(request).address
    return Capture(
        endpoint_id=endpoint_id,
        message=Message(_method(request), _target(request), _version(request), _headers(request), body),
        client=str(address) if address else None,
        size=_declared_size(request) if too_large else len(body),
        too_large=too_large,
    )


def unknown() -> errors.ApiError:
    """404 for a URL that no inbox has, or none any more."""
    return errors.ApiError(
        errors.NOT_FOUND, "No webhook inbox has this URL. Check it, or make a new one with POST /webhook/new."
    )


def _body(request: HttpRequest) -> bytes:
    try:
        return request.body
    except UnreadablePostError:
        raise _broken_off() from None


def _broken_off() -> errors.ApiError:
    return errors.ApiError(errors.MALFORMED_BODY, "The body broke off before its end; send it again.")


def _method(request: HttpRequest) -> str:
    # Django's own is in upper case.
    method: str = request.META["REQUEST_METHOD"]
    return method


def _target(request: HttpRequest) -> str:
    """As gunicorn read it; from Django's parts where there is no gunicorn (in tests)."""
    raw: str | None = request.META.get("RAW_URI")
    return request.get_full_path() if raw is None else raw


def _version(request: HttpRequest) -> str:
    protocol: str = request.META.get("SERVER_PROTOCOL", "HTTP/1.1")
    return protocol.partition("/")[2]


def _headers(request: HttpRequest) -> tuple[Pair, ...]:
    section: bytes | None = request.META.get(wire.HEAD)
    return tuple(request.headers.items()) if section is None else wire.field_lines(section)


def _declared_size(request: HttpRequest) -> int | None:
    """None for a chunked body, whose end was not waited for; for a number beyond what a column holds, its most."""
    if "HTTP_TRANSFER_ENCODING" in request.META:
        return None
    return min(int(request.META["CONTENT_LENGTH"].lstrip("0")[:20]), 2**63 - 1)
