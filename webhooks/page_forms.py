"""What is changed from the page of an inbox. Each form works without a script: it is posted, and a page follows."""

import json
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST
from rest_framework.exceptions import ValidationError

from instantlite import errors
from instantlite.fields import ExtendResource, NameField, rfc3339
from instantlite.resource import LifetimeReached, Wish
from ratelimit import clients, limits, throttling
from webhooks import answer_form, endpoints, lists, signature_form, views
from webhooks.answer_fields import merged
from webhooks.capture import Capture
from webhooks.message import Message
from webhooks.models import Endpoint
from webhooks.pages import of_inbox, page, request_of, secret

# What a page says after a form: the value of `?done=`.
DONE = {
    "answer": "Saved. The next request is answered like this.",
    "signature": "Saved. The requests that are here already are verified by it too.",
    "unsigned": "Signatures are not verified any more, and the secret is gone.",
    "name": "The inbox has its new name.",
    "extended": "The inbox lives longer.",
    "cleared": "All requests are deleted.",
}
LONGER = (("1h", "1 hour"), ("6h", "6 hours"), ("24h", "24 hours"))


@require_http_methods(["GET", "HEAD", "POST"])
@of_inbox
def settings_page(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """`/webhooks/{token}/settings`: what senders are answered, name, expiry, end. A POST sets the answer."""
    if request.method != "POST":
        return _settings(request, endpoint, done=DONE.get(request.GET.get("done", ""), ""))
    form, wanted = answer_form.read(request.POST)
    if wanted is None or "preview" in request.POST:
        return _settings(request, endpoint, form=form, wanted=wanted)
    changed = endpoints.change(endpoint, {"response": wanted})
    return _back(changed, "/settings?done=answer")


@require_POST
@of_inbox
def sign(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """`POST /webhooks/{token}/signature`: how senders sign; with `remove`, that nothing is verified any more."""
    if "remove" in request.POST:
        return _back(endpoints.change(endpoint, {"signature": None}), "/settings?done=unsigned")
    form, wanted = signature_form.read(request.POST, endpoint.signature)
    if wanted is None:
        return _settings(request, endpoint, signature=form)
    try:
        changed = endpoints.change(endpoint, {"signature": wanted})
    except ValidationError as error:
        return _settings(request, endpoint, signature=signature_form.refused(form.values, endpoint.signature, error))
    return _back(changed, "/settings?done=signature")


@require_POST
@of_inbox
def rename(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """`POST /webhooks/{token}/name`."""
    given = request.POST.get("name", "").strip()
    try:
        name = NameField().run_validation(given)
    except ValidationError as error:
        said = error.detail[0] if isinstance(error.detail, list) else error.detail
        return _settings(request, endpoint, name={"value": given, "problem": str(said)})
    return _back(endpoints.change(endpoint, {"name": name}), "/settings?done=name")


@require_POST
@of_inbox
def extend(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """`POST /webhooks/{token}/extend`."""
    asked = ExtendResource(data={"ttl": request.POST.get("ttl", "")})
    if not asked.is_valid():
        return _settings(request, endpoint, extend_problem=errors.first_problem(asked.errors))
    try:
        return _back(endpoints.extend(endpoint, asked.validated_data["ttl"]), "/settings?done=extended")
    except LifetimeReached:
        says = "This inbox already lives for as long as this server allows."
        return _settings(request, endpoint, extend_problem=says)


@require_POST
@of_inbox
def clear(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """`POST /webhooks/{token}/clear`: all requests, the inbox stays."""
    endpoints.clear(endpoint)
    return _back(endpoint, "/settings?done=cleared")


@require_POST
@of_inbox
def end(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """`POST /webhooks/{token}/delete`: the page that follows says that it is gone."""
    endpoints.expire(endpoint)
    return _back(endpoint)


@require_POST
@of_inbox
def delete_request(request: HttpRequest, endpoint: Endpoint, request_id: UUID) -> HttpResponse:
    """`POST /webhooks/{token}/{id}/delete`."""
    endpoints.delete_requests(endpoint.pk, [request_of(endpoint, request_id).pk])
    return _back(endpoint)


@require_POST
@of_inbox
def send_test(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """`POST /webhooks/{token}/test`: a request like any other, counted and limited as they are."""
    stored = views.store(_sample(request, endpoint))
    if "HX-Request" in request.headers:
        # The list hears of it by its stream, as of every request.
        return HttpResponse(status=204)
    return _back(endpoint, f"/{stored.request_id}")


@require_POST
def start(request: HttpRequest) -> HttpResponse:
    """`POST /webhooks/new`: a new inbox for whoever found theirs gone, by the same limit as the API's call."""
    client = clients.identify(request)
    with throttling.charge(request, limits.PROVISIONS):
        handed_out = endpoints.hand_out(Wish(fingerprint=client.fingerprint, client=str(client.address)))
    return secret(_back(handed_out.resource))


def _back(endpoint: Endpoint, below: str = "") -> HttpResponse:
    """303: what was posted is done, and loading the page again does not do it twice (RFC 9110, section 15.4.4)."""
    return HttpResponseRedirect(f"/webhooks/{endpoint.token}{below}", status=303)


def _settings(request: HttpRequest, endpoint: Endpoint, **more: Any) -> HttpResponse:
    form = more.pop("form", None) or answer_form.filled(endpoint.answer)
    wanted = merged(None, more.pop("wanted", endpoint.answer))
    newest = lists.requests_of(endpoint).newest_first().first()
    name = more.pop("name", None) or {"value": endpoint.name, "problem": ""}
    signature = more.pop("signature", None) or signature_form.filled(endpoint.signature)
    refused = bool(form.problems or signature.problems or name["problem"] or more.get("extend_problem"))
    return page(
        request,
        endpoint,
        "settings",
        status=400 if refused else 200,
        form=form,
        preview=None if form.problems else answer_form.preview(wanted, newest),
        is_preview="preview" in request.POST and not refused,
        name=name,
        signature=signature,
        longer=LONGER,
        **more,
    )


def _sample(request: HttpRequest, endpoint: Endpoint) -> Capture:
    body = json.dumps(
        {
            "event": "inbox.test",
            "message": "A test request, sent from the page of this inbox.",
            "sent_at": rfc3339(timezone.now()),
            "order": {"id": 1042, "total": 59.9, "paid": True, "items": ["tea", "biscuits"], "coupon": None},
        },
        indent=2,
    ).encode()
    headers = (
        ("Host", request.get_host()),
        ("User-Agent", "instantlite (test request)"),
        ("Accept", "*/*"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
    )
    address = clients.identify(request).address
    return Capture(
        endpoint_id=endpoint.pk,
        message=Message("POST", f"{endpoint.receive_path}/test?from=page", "1.1", headers, body),
        client=str(address) if address else None,
        size=len(body),
    )
