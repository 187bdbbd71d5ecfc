"""What the API says of endpoints and of captured requests: the shapes of its answers."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from rest_framework import serializers

from instantlite.fields import rfc3339
from webhooks import answers, signatures
from webhooks.detail import body_fields
from webhooks.filters import Page, query_of
from webhooks.models import CapturedRequest, Endpoint
from webhooks.signatures.diagnosis import CODES

# The classes describe the answers for OpenAPI; the render functions build them, with no more than the work that takes.


class WebhookLimits(serializers.Serializer[Any]):
    requests_stored = serializers.IntegerField(help_text="The newest so many are kept.")
    expires_in = serializers.IntegerField(help_text="Seconds that were granted at the creation.")


class WebhookCreated(serializers.Serializer[Any]):
    """Complete: nothing else has to be asked."""

    ok = serializers.BooleanField(help_text="Always true.")
    id = serializers.UUIDField(help_text="Names the inbox; opens nothing.")
    token = serializers.CharField(help_text="Proves ownership: keep it secret.")
    name = serializers.CharField()
    connection_url = serializers.CharField(help_text="The same as receive_url.")
    receive_url = serializers.CharField(help_text="Give it to senders: takes any request, below any path; cannot read.")
    inbox_url = serializers.CharField(help_text="The page that shows each request as it comes. Holds the token.")
    tier = serializers.CharField(help_text="anonymous")
    limits = WebhookLimits()
    expires_at = serializers.DateTimeField(help_text="RFC 3339, UTC. The inbox is gone after it.")
    note = serializers.CharField(help_text="What to know, in a sentence.")
    status_url = serializers.CharField(help_text="GET, PATCH, DELETE it; POST to …/extend; GET …/requests, …/events.")


class WebhookCounts(serializers.Serializer[Any]):
    captured = serializers.IntegerField(help_text="Requests that ever came in.")
    stored = serializers.IntegerField(help_text="Of those, how many are here now.")


class WebhookStatus(WebhookCreated):
    """An inbox as it is now."""

    status = serializers.CharField(help_text="active")
    created_at = serializers.DateTimeField(help_text="RFC 3339, UTC.")
    response = serializers.DictField(help_text="What senders are answered; PATCH it.")
    proxy = serializers.DictField(
        allow_null=True, help_text="timeout_seconds: how long senders wait for the first destination's answer."
    )
    signature = serializers.DictField(
        allow_null=True, help_text='How senders sign; PATCH it. The secret is never shown: it is "set".'
    )
    counts = WebhookCounts()


class Diagnosis(serializers.Serializer[Any]):
    """Why a signature does not verify."""

    code = serializers.ChoiceField(list(CODES), help_text="For programs; see /docs.")
    message = serializers.CharField(help_text="What to do, in a sentence or two.")


class Verdict(serializers.Serializer[Any]):
    """What is made of a request's signature, by the settings of this moment and the time when it arrived."""

    verified = serializers.BooleanField(allow_null=True, help_text="null: it was not checked, see the diagnosis.")
    diagnosis = Diagnosis(allow_null=True)


class Summary(serializers.Serializer[Any]):
    """A request in a list. `id`s are in the order of time."""

    id = serializers.UUIDField()
    method = serializers.CharField(help_text="As sent.")
    target = serializers.CharField(help_text="The request target as sent: path and query, nothing decoded.")
    path = serializers.CharField(help_text="The part of it below the receive URL, without the query.")
    content_type = serializers.CharField(help_text="The media type, in lower case; empty where none was sent.")
    size = serializers.IntegerField(allow_null=True, help_text="Bytes of the body; null: too large, and nobody said.")
    too_large = serializers.BooleanField(help_text="True: the body is not kept, and the sender was told 413.")
    client = serializers.CharField(allow_null=True, help_text="The sender's address, behind trusted proxies.")
    received_at = serializers.DateTimeField(help_text="RFC 3339, UTC, with microseconds.")
    signature = Verdict(allow_null=True, help_text="null where the inbox has no signature set.")


class Detail(Summary):
    """A request, all of it."""

    ok = serializers.BooleanField()
    url = serializers.CharField(help_text="Where it was sent to.")
    query = serializers.ListField(help_text="Pairs of name and value, in order, decoded.")
    http_version = serializers.CharField(help_text="1.1 or 1.0")
    headers = serializers.ListField(help_text="Pairs of name and value, in order, with duplicates, as sent.")
    kind = serializers.CharField(help_text="json, form, multipart, xml, text, image, binary or empty.")
    body = serializers.CharField(allow_null=True, help_text="Text: encode it with charset for the bytes that came.")
    charset = serializers.CharField(allow_null=True)
    body_base64 = serializers.CharField(allow_null=True, help_text="The bytes, where they are not text.")
    json_problem = serializers.CharField(allow_null=True, help_text="What is wrong with a body that should be JSON.")
    form = serializers.ListField(allow_null=True, help_text="Pairs of name and value of a form, in order.")
    parts = serializers.ListField(allow_null=True, help_text="The parts of a multipart body; get one at …/parts/{n}.")
    decoded = serializers.DictField(allow_null=True, help_text="What a body with a Content-Encoding holds.")
    complete = serializers.BooleanField(help_text="False: form, parts or decoded are not all there is.")


class Listing(serializers.Serializer[Any]):
    """A page of requests, newest first."""

    ok = serializers.BooleanField()
    items = Summary(many=True)
    next = serializers.CharField(allow_null=True, help_text="The URL of the page that follows; null at the end.")


class NextRequest(serializers.Serializer[Any]):
    """What came while a call waited."""

    ok = serializers.BooleanField()
    request = Summary(allow_null=True, help_text="null: none came within the timeout.")


class AttemptsKept(serializers.Serializer[Any]):
    """What became of a report."""

    ok = serializers.BooleanField()
    unknown = serializers.ListField(
        child=serializers.UUIDField(), help_text="Requests that are not here (any more): nothing is kept of them."
    )


class RequestsDeleted(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    deleted = serializers.IntegerField(help_text="How many requests are gone.")


def render(endpoint: Endpoint) -> dict[str, Any]:
    """The answer to whoever owns `endpoint`."""
    return {
        "ok": True,
        "id": str(endpoint.id),
        "token": endpoint.token,
        "name": endpoint.name,
        "connection_url": endpoint.receive_url,
        "receive_url": endpoint.receive_url,
        "inbox_url": endpoint.inbox_url,
        "tier": "anonymous",
        "limits": {
            "requests_stored": endpoint.requests_stored,
            "expires_in": int(endpoint.granted_ttl.total_seconds()) if endpoint.granted_ttl else 0,
        },
        "expires_at": rfc3339(endpoint.expires_at),
        "note": "Send any request to receive_url; open inbox_url to watch them arrive. Gone at expires_at, with all "
        "requests: extend it with POST to status_url + /extend, delete it with DELETE to status_url.",
        "status_url": endpoint.status_url,
    }


def render_summary(captured: CapturedRequest) -> dict[str, Any]:
    """A request in a list; reads neither headers nor body."""
    return {
        "id": str(captured.id),
        "method": captured.method,
        "target": captured.target,
        "path": captured.path,
        "content_type": captured.content_type,
        "size": captured.size,
        "too_large": captured.too_large,
        "client": captured.client,
        "received_at": exactly(captured.received_at),
        "signature": captured.verdict,
    }


def exactly(moment: datetime) -> str:
    """`2026-01-31T12:00:00.123456Z`: RFC 3339, UTC, microseconds."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def render_status(endpoint: Endpoint) -> dict[str, Any]:
    """The answer to `GET /webhook/{token}`."""
    return {
        **render(endpoint),
        "status": "active",
        "created_at": rfc3339(endpoint.created_at),
        "response": answers.shown(endpoint.answer),
        "proxy": {"timeout_seconds": endpoint.proxy_seconds} if endpoint.proxy_seconds is not None else None,
        "signature": signatures.shown(endpoint.signature),
        "counts": {"captured": endpoint.captured, "stored": max(0, endpoint.stored)},
    }


def render_detail(captured: CapturedRequest) -> dict[str, Any]:
    """The answer to `GET /webhook/{token}/requests/{id}`."""
    return {
        "ok": True,
        **render_summary(captured),
        "url": captured.url,
        "query": parse_qsl(captured.query, keep_blank_values=True, errors="replace"),
        "http_version": captured.version,
        "headers": captured.headers,
        **body_fields(captured.message),
        "size": captured.size,
    }


def next_url(endpoint: Endpoint, page: Page | None) -> str | None:
    """The URL of a page of a list; None for none."""
    return f"{endpoint.status_url}/requests?{urlencode(query_of(page))}" if page else None
