"""The receive URL of an inbox: any method, any path below the key, any body."""

import threading
import time

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from instantlite import errors, telemetry
from ratelimit import limits, throttling
from ratelimit.gcra import MICROSECONDS
from webhooks import answers, capture, proxy
from webhooks.capture import Capture
from webhooks.ingest import Away, Busy, ingest
from webhooks.writer import Verdict

# Answers that are held back, each by a greenlet and a connection.
_held = threading.BoundedSemaphore(settings.INSTANTLITE.webhooks.delayed_answers)


def receive(request: HttpRequest, key: str) -> HttpResponse:
    """Stores the request and gives the answer that its endpoint chose, or says why not."""
    try:
        return _receive(request, key)
    except errors.ApiError as error:
        refusal = errors.response(error, request)
        # A page that sends from a browser is to read what went wrong.
        refusal["Access-Control-Allow-Origin"] = "*"
        return refusal


def _receive(request: HttpRequest, key: str) -> HttpResponse:
    captured = capture.read(request, key)
    stored = store(captured)
    if captured.too_large:
        raise errors.ApiError(
            errors.PAYLOAD_TOO_LARGE,
            f"The body may have {settings.INSTANTLITE.server.max_body_bytes} bytes at most. The inbox shows that this "
            "request came, without its body.",
        )
    relayed = proxy.answer(stored.proxied, captured, stored.request_id) if stored.proxied else None
    if relayed:
        return _response(relayed)
    answer = answers.make(stored.answer, captured.message, stored.request_id)
    _hold(answer.delay)
    return _response(answer)


def store(captured: Capture) -> Verdict:
    """What became of a request: it is committed. Raises ApiError where it is not."""
    try:
        verdict = ingest.submit(captured)
    except Busy:
        telemetry.CAPTURES.add(outcome="busy")
        raise _unavailable("More requests wait to be stored than this server can hold.") from None
    except Away:
        telemetry.CAPTURES.add(outcome="away")
        raise _unavailable("The service's database is away for a moment.") from None
    telemetry.CAPTURES.add(outcome=verdict.outcome)
    if limits.CAPTURES.rate and verdict.outcome in ("stored", "limited"):
        decided = "denied" if verdict.outcome == "limited" else "allowed"
        telemetry.RATELIMIT_DECISIONS.add(limit=limits.CAPTURES.name, outcome=decided)
    match verdict.outcome:
        case "gone":
            raise errors.ApiError(
                errors.GONE, "This webhook inbox has expired or was deleted. Do not send to it again."
            )
        case "unknown":
            raise capture.unknown()
        case "limited":
            raise _limited(verdict.wait)
    return verdict


def _unavailable(why: str) -> errors.ApiError:
    return errors.ApiError(
        errors.CAPTURE_UNAVAILABLE,
        f"{why} The request is not acknowledged: send it again after retry_after_seconds.",
        retry_after=errors.DATABASE_RETRY_SECONDS,
    )


def _limited(wait: int) -> errors.ApiError:
    rate = limits.CAPTURES.rate
    if rate is None:  # lifted in this moment
        return _unavailable("The limit of this inbox has just changed.")
    return throttling.refusal(limits.CAPTURES, rate, max(1, -(-wait // MICROSECONDS)))


def _hold(seconds: float) -> None:
    """Waits as the endpoint wants; not where too many answers are held back already."""
    if seconds and _held.acquire(blocking=False):
        try:
            time.sleep(seconds)
        finally:
            _held.release()


def _response(answer: answers.Answer) -> HttpResponse:
    final = HttpResponse(answer.body, status=answer.status)
    del final["Content-Type"]
    for name, value in answer.headers:
        final[name] = value
    return final
