"""What an endpoint's signature settings make of its requests: found anew each time one is shown, and stored nowhere.

So another secret makes another verdict of requests that are there already. For a list the headers and bodies of one
page are read in a statement of their own, a bounded part of them; where no signature is set, nothing is.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from webhooks import signatures
from webhooks.models import CapturedRequest, Endpoint
from webhooks.signatures import Config, Diagnosis, Unsealable, Verification, Work
from webhooks.signatures.diagnosis import BODY_NOT_KEPT, NOT_CHECKED, SECRET_UNREADABLE

# Of the bodies of one page so many bytes are read, the first ones of it.
BODIES_PER_PAGE: Final = 8 * 1024 * 1024
# What the search for mistakes may cost for one page of a list, see signatures.Work.
WORK_PER_PAGE: Final = 16 * 1024 * 1024
# For each request of a stream: who sends a thousand a second must not keep a process from its other streams.
WORK_PER_EVENT: Final = 512 * 1024

_UNREADABLE = Verification(
    None,
    Diagnosis(
        SECRET_UNREADABLE,
        "The secret can no longer be read, because this server's own key has changed. Set it again.",
    ),
)
_TOO_LARGE = Verification(
    None, Diagnosis(BODY_NOT_KEPT, "The body was longer than this server takes and is not kept: it cannot be verified.")
)
_NOT_CHECKED = Verification(
    None, Diagnosis(NOT_CHECKED, "The bodies of this page are more than a list verifies at once. Open the request.")
)


def check(endpoint: Endpoint, captured: CapturedRequest) -> None:
    """Sets the verdict of one request that was read with its headers and body; every known mistake is tried."""
    config = _config(endpoint.pk, endpoint.signature)
    if config:
        captured.verdict = _said(config, captured, captured.headers, captured.body, None)


def check_page(
    endpoint_id: UUID, signature: dict[str, Any] | None, page: Sequence[CapturedRequest], most: int = WORK_PER_PAGE
) -> None:
    """Sets the verdicts of an endpoint's requests that were read without headers and body, in their order.

    The search for mistakes costs no more than `most`.
    """
    config = _config(endpoint_id, signature) if page else None
    if config is None:
        return
    left, read = BODIES_PER_PAGE, []
    for captured in page:
        captured.verdict = _rendered(_NOT_CHECKED)
        if not captured.too_large and (captured.size or 0) <= left:
            left -= captured.size or 0
            read.append(captured.id)
    rows = CapturedRequest.objects.of(endpoint_id).filter(pk__in=read).values_list("id", "headers", "body")
    held = {key: (headers, body) for key, headers, body in rows} if isinstance(config, Config) else {}
    work = Work(most, thorough=False)
    for captured in page:
        if captured.id in held or captured.too_large or not isinstance(config, Config):
            captured.verdict = _said(config, captured, *held.get(captured.id, ((), b"")), work)


def check_live(endpoint_id: UUID, page: Sequence[CapturedRequest]) -> None:
    """The same for requests of a stream, by what is set now."""
    found = Endpoint.objects.filter(pk=endpoint_id).values_list("signature", flat=True).first()
    check_page(endpoint_id, found, page, WORK_PER_EVENT * len(page))
    for captured in page:
        captured.is_signed = False


def _config(endpoint_id: UUID, signature: dict[str, Any] | None) -> Config | Verification | None:
    """None where none is set; what to say of every request where it cannot be read."""
    if signature is None:
        return None
    try:
        return signatures.opened(endpoint_id, signature)
    except Unsealable:
        return _UNREADABLE


def _said(
    config: Config | Verification, captured: CapturedRequest, headers: Any, body: Any, work: Work | None
) -> dict[str, Any]:
    if isinstance(config, Verification):
        return _rendered(config)
    if captured.too_large:
        return _rendered(_TOO_LARGE)
    message = captured.with_parts(headers, bytes(body))
    found = signatures.verify(config, message, captured.received_at, captured.url, work)
    return _rendered(found)


def _rendered(found: Verification) -> dict[str, Any]:
    """As the API has it."""
    diagnosis = found.diagnosis
    shown = {"code": diagnosis.code, "message": diagnosis.message} if diagnosis else None
    return {"verified": found.verified, "diagnosis": shown}
