"""What the sender of a captured request is answered: the endpoint's settings made into status, headers and body.

The answer comes from our own origin, and strangers choose what is in it. It must never act as a page of ours:

- `Content-Security-Policy: sandbox` gives a document an opaque origin, without scripts, forms, frames or storage;
  `default-src 'none'` lets it load nothing. HTML and SVG are shown, powerless.
- `nosniff` and the media types that answer_fields.py refuses (scripts, style sheets) keep it from being loaded as a
  part of a page of ours, or as a service worker.
- answer_headers.py refuses the headers that act beyond the one answer.

CORS is open unless an endpoint says otherwise: any page may call the URL and read the answer. It is open without
credentials, `*` (Fetch standard, section 3.3.5): naming the caller's origin and allowing credentials would ask browsers
for this server's cookies on behalf of any page, and an inbox is not meant to have them. A fetch with `credentials:
"include"` is therefore captured but its answer not readable, and one that needs a preflight is not sent.

A preflight is answered here, at once and whatever the settings say, since it asks the browser's question and not the
sender's. With `cors` false there is none of that: owners test the lack of CORS, or write the headers themselves.
"""

import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urljoin

from webhooks import answer_headers, templating
from webhooks.facts import Facts
from webhooks.message import Message, Pair
from webhooks.templating import Context, TemplateError

DEFAULT_STATUS = 200
DEFAULT_CONTENT_TYPE = "application/json"
# Bytes of one header's value, after its placeholders are filled in.
MAX_HEADER_VALUE = 2048
MAX_REQUESTED_HEADERS = 100

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5: no content.
_WITHOUT_BODY = frozenset({204, 205, 304})

_PROTECTION: tuple[Pair, ...] = (
    (
        "Content-Security-Policy",
        "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
)
# A shared cache that answered would keep the request from being captured.
_UNCACHED: Pair = ("Cache-Control", "no-store")
_CORS: tuple[Pair, ...] = (("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "*"))
_DEFAULT: tuple[Pair, ...] = (("Content-Type", DEFAULT_CONTENT_TYPE), *_PROTECTION, _UNCACHED, *_CORS)
# Ten minutes: long enough to halve a page's requests, short enough that turning CORS off is soon seen.
_PREFLIGHT: tuple[Pair, ...] = (
    ("Content-Type", "text/plain; charset=utf-8"),
    *_PROTECTION,
    _UNCACHED,
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Max-Age", "600"),
)


class Answer(NamedTuple):
    """`headers` holds no name twice; values are Latin-1 text without control characters. `delay` is in seconds.

    `Content-Length` is among the headers only where it differs from the body's (HEAD and 304; RFC 9110, section 8.6).
    """

    status: int
    headers: tuple[Pair, ...]
    body: bytes
    delay: float


def make(settings: Mapping[str, Any] | None, message: Message, capture_id: uuid.UUID) -> Answer:
    """The answer to a request that was captured as `capture_id`, from an endpoint with these settings.

    `settings` is what answer_fields.merged() gave, None for the default. Never raises for those, whatever the request.
    """
    wanted = message.first("Access-Control-Request-Method") if message.method == "OPTIONS" else ""
    if wanted and (not settings or settings.get("cors", True)):
        return _preflight(message, wanted)
    if settings:
        return _chosen(settings, message, capture_id)
    body = _default_body(DEFAULT_STATUS, capture_id)
    if message.method == "HEAD":
        return Answer(DEFAULT_STATUS, (*_DEFAULT, ("Content-Length", str(len(body)))), b"", 0.0)
    return Answer(DEFAULT_STATUS, _DEFAULT, body, 0.0)


def relayed(status: int, headers: Sequence[Pair], body: bytes, method: str, url: str) -> Answer:
    """What the server at `url` answered, made harmless: as an endpoint's owner might have chosen it.

    A Location becomes absolute, or goes: against our own origin it would mean something else.
    """
    given: list[Pair] = []
    content_type = "application/octet-stream"
    for name, value in headers:
        plain = name.lower()
        if not answer_headers.VALUE.fullmatch(value) or (plain == "content-type" and not value.strip()):
            # gunicorn would refuse to send it, and the answer with it.
            continue
        if plain == "content-type":
            essence = value.partition(";")[0].strip().lower()
            content_type = "text/plain" if essence in answer_headers.RUN_BY_BROWSERS else value
            if "," in value:
                # Of a list browsers take the last (Fetch standard, section 3.2.3, "extract a MIME type").
                content_type = "application/octet-stream"
        elif plain == "location":
            absolute = _absolute(url, value)
            given += [(name, absolute)] if answer_headers.good_location(absolute) else []
        elif plain == "content-encoding" or answer_headers.refusal(name) is None:
            given.append((name, value))
    names = {name.lower() for name, _ in given}
    allowed = () if any(answer_headers.is_cors(name) for name in names) else _CORS
    uncached = () if "cache-control" in names else (_UNCACHED,)
    # One line for each name: a response of Django's has no more.
    merged: dict[str, Pair] = {}
    for name, value in given:
        known = merged.get(name.lower())
        merged[name.lower()] = (name, f"{known[1]}, {value}" if known else value)
    final = (("Content-Type", content_type), *_PROTECTION, *uncached, *allowed, *merged.values())
    empty = method == "HEAD" or status in _WITHOUT_BODY
    return Answer(status, final, b"" if empty else body, 0.0)


def _absolute(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def shown(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings as their owner sees them, every field; `body` is null where the default one is sent."""
    given = settings or {}
    return {
        "status": given.get("status", DEFAULT_STATUS),
        "content_type": given.get("content_type", DEFAULT_CONTENT_TYPE),
        "headers": given.get("headers", []),
        "body": given.get("body"),
        "delay_seconds": given.get("delay_seconds", 0),
        "cors": given.get("cors", True),
    }


@lru_cache(maxsize=256)
def media(content_type: str) -> tuple[str, Context]:
    """A content type as it is sent (text says that it is UTF-8), and how values are written into a body of it."""
    essence, _, parameters = content_type.partition(";")
    essence = essence.strip().lower()
    if essence.startswith("text/") and "charset" not in parameters.lower():
        content_type = f"{content_type}; charset=utf-8"
    return content_type, templating.context_of(essence)


def context_of_header(name: str) -> Context:
    return Context.URL if name.lower() == "location" else Context.HEADER


def _default_body(status: int, capture_id: uuid.UUID) -> bytes:
    return f'{{"ok": {"true" if status < 400 else "false"}, "id": "{capture_id}"}}'.encode()


def _chosen(settings: Mapping[str, Any], message: Message, capture_id: uuid.UUID) -> Answer:
    facts = Facts(message, capture_id)
    status = int(settings.get("status", DEFAULT_STATUS))
    content_type, context = media(settings.get("content_type", DEFAULT_CONTENT_TYPE))
    text = settings.get("body")
    body = _default_body(status, capture_id) if text is None else _rendered(text, context, facts, templating.MAX_BYTES)
    given = tuple((name, _header_value(name, value, facts)) for name, value in settings.get("headers", ()))
    headers = (
        ("Content-Type", content_type),
        *_PROTECTION,
        *(() if any(name.lower() == "cache-control" for name, _ in given) else (_UNCACHED,)),
        *(_CORS if settings.get("cors", True) else ()),
        *given,
    )
    delay = float(settings.get("delay_seconds", 0))
    if status in {204, 205}:
        return Answer(status, headers, b"", delay)
    if message.method == "HEAD" or status in _WITHOUT_BODY:
        return Answer(status, (*headers, ("Content-Length", str(len(body)))), b"", delay)
    return Answer(status, headers, body, delay)


def _rendered(text: str, context: Context, facts: Facts, most: int) -> bytes:
    if "{{" not in text:
        return text.encode()
    try:
        return templating.compiled(text, context).render(facts, most)
    except TemplateError:
        # Stored while the grammar still allowed it: the capture is safe, and its sender gets the text as it stands.
        return text.encode()


def _header_value(name: str, value: str, facts: Facts) -> str:
    if "{{" not in value:
        return str(value)
    rendered = _rendered(value, context_of_header(name), facts, MAX_HEADER_VALUE)
    return rendered.decode("latin-1").strip(" ")


def _preflight(message: Message, method: str) -> Answer:
    """Allows what is asked for (Fetch standard, section 3.3.3), as long as each word of it is a token."""
    methods: tuple[str, ...] = _METHODS
    if method not in _METHODS and answer_headers.TOKEN.fullmatch(method):
        methods = (*_METHODS, method)
    names = ",".join(message.all("Access-Control-Request-Headers")).split(",", MAX_REQUESTED_HEADERS)
    asked = [name.strip() for name in names[:MAX_REQUESTED_HEADERS]]
    allowed = [name for name in asked if answer_headers.TOKEN.fullmatch(name)]
    headers: tuple[Pair, ...] = (*_PREFLIGHT, ("Access-Control-Allow-Methods", ", ".join(methods)))
    if allowed:
        headers = (*headers, ("Access-Control-Allow-Headers", ", ".join(allowed)))
    return Answer(204, headers, b"", 0.0)
