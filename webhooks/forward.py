"""One delivery: the captured request becomes an outgoing one, is sent, and what that means for the next try.

deliver() touches no database: the courier claims what it is given, and records what it gives back.
"""

import logging
import random
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings

from instantlite.uuid7 import uuid7
from webhooks import outbound
from webhooks.forward_filter import ForwardFilter
from webhooks.message import Message, Pair
from webhooks.models import DeliveryState
from webhooks.outbound import Answer, Failed, Outgoing, Refused
from webhooks.signatures import Unsealable, Unsignable, resign

# RFC 9110, section 7.6.1, and fields that speak of the connection that a request came on.
_HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "expect", "http2-settings", "host", "content-length",
    }
)  # fmt: skip
_REPLACED = frozenset({"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "instantlite-attempt"})
REQUEST_ID, ATTEMPT = "Instantlite-Request-Id", "Instantlite-Attempt"
# How often a request may have passed through inboxes, of this or another server: one that forwards to itself ends.
_MOST_HOPS = 3
_MOST_KILLS = 5
# What a destination may ask for with Retry-After, for all that goes there.
_LONGEST_REST = timedelta(hours=1)

# What a target may hold although it should not: in a URL a # would be the end of it, a control character is refused.
_IN_NO_URL = re.compile(r"[#\x00-\x1f\x7f]")

GIVEN_UP = "Not delivered in the time that there was for it."
_FAULT = "This server met a fault of its own; it is in its log."
ONCE = "A replay to a URL is tried once."
log = logging.getLogger("instantlite.forward")

Effect = Literal["good", "alive", "bad", "stop", "none"]


@dataclass(frozen=True)
class Claimed:
    """A delivery in this process's hands, a row of webhooks_claim() (migration 0003).

    `number` counts its attempts, this one included, `tries` those since somebody last asked. `message` is None where
    the request is gone.
    """

    delivery_id: UUID
    endpoint_id: UUID
    request_id: UUID
    destination_id: UUID
    number: int
    tries: int
    until: datetime
    url: str
    timeout_seconds: float
    message: Message | None
    path: str
    client: str | None
    filter: dict[str, Any] | None = None
    signing: dict[str, Any] | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a claimed delivery, an element of webhooks_record()'s arrays.

    `attempted` is False where nothing was sent. `effect` is what it says of the destination: it took the request, it
    answered though it refused it, it is in trouble, it wants no more; `rest_seconds`: for how long it asked to be left
    alone.
    """

    claimed: Claimed
    state: DeliveryState
    attempted: bool
    started_at: datetime
    duration_ms: float = 0.0
    status: int | None = None
    error: str = ""
    answer: Answer | None = None
    next_at: datetime | None = None
    note: str = ""
    url: str = ""
    effect: Effect = "none"
    rest_seconds: float = 0.0
    # Recorded twice, it is one attempt.
    attempt_id: UUID = field(default_factory=uuid7)


def deliver(claimed: Claimed, now: datetime, *, keep: int = outbound.KEPT_BYTES, sent: Any = None) -> Outcome:
    """Sends it, unless the destination's filter does not want it. Never raises.

    `keep`: bytes of the answer's body. `sent` is called when the body has left and its memory is free.
    """
    if claimed.message is None:
        return Outcome(claimed, DeliveryState.DEAD, False, now, note="The request was deleted before it could be sent.")
    why = ForwardFilter.stored(claimed.filter).mismatch(claimed.message, claimed.path, claimed.request_id)
    if why:
        return Outcome(claimed, DeliveryState.SKIPPED, False, now, note=why)
    # A replay to a URL is tried once, or, by servers that were killed over it, a few times.
    if claimed.until <= now and (claimed.tries > 1 or claimed.number > _MOST_KILLS):
        return Outcome(claimed, DeliveryState.DEAD, False, now, note=GIVEN_UP)
    try:
        outgoing = [outgoing_of(claimed, claimed.message, now)]
    except (Refused, Unsealable, Unsignable) as error:
        return _unsent(claimed, now, claimed.url, error)
    except Exception:
        log.exception("a request could not be made ready to be sent on")
        return _failed(replace(claimed, message=None), now, claimed.url, _FAULT, 0)
    # The body is to be freed once it has been sent: nobody but the client may hold it by then.
    claimed = replace(claimed, message=None)
    return _sent(claimed, outgoing, now, keep, sent)


def _sent(claimed: Claimed, outgoing: list[Outgoing], now: datetime, keep: int, sent: Any) -> Outcome:
    """Takes the one in the list, and sends it."""
    url = outgoing[0].url
    try:
        answer = outbound.send(outgoing.pop(), claimed.timeout_seconds, sent, keep=keep)
    except Refused as error:
        return _unsent(claimed, now, url, error)
    except Failed as error:
        return _failed(claimed, now, url, str(error), error.duration_ms)
    except Exception:
        log.exception("a request was not sent on")
        return _failed(claimed, now, url, _FAULT, 0)
    return _answered(claimed, url, answer, now)


def _unsent(claimed: Claimed, now: datetime, url: str, error: Exception) -> Outcome:
    why = "The signing secret can no longer be read. Set it again." if isinstance(error, Unsealable) else str(error)
    note = "Nothing was sent, and it is not tried again by itself."
    return Outcome(claimed, DeliveryState.DEAD, True, now, error=why, note=note, url=url)


def _failed(claimed: Claimed, now: datetime, url: str, why: str, duration_ms: float) -> Outcome:
    failed = Outcome(claimed, DeliveryState.DEAD, True, now, duration_ms, error=why, url=url, effect="bad")
    return _again(failed, now + timedelta(milliseconds=duration_ms), None)


def outgoing_of(claimed: Claimed, message: Message, now: datetime) -> Outgoing:
    """The request as it is sent on. Raises Refused for one that runs in a circle."""
    if len(message.all(REQUEST_ID)) >= _MOST_HOPS:
        raise Refused(f"It came through {_MOST_HOPS} inboxes already: destinations send to each other in a circle.")
    url = joined(claimed.url, claimed.path, message.query)
    headers = _end_to_end(message)
    if claimed.signing:
        changed = replace(message, headers=headers)
        headers = resign(claimed.signing, claimed.destination_id, changed, url, now, claimed.request_id)
    own = urlsplit(settings.INSTANTLITE.server.app_url)
    added: list[Pair] = [("X-Forwarded-For", claimed.client)] if claimed.client else []
    added += [
        ("X-Forwarded-Host", own.netloc),
        ("X-Forwarded-Proto", own.scheme),
        (REQUEST_ID, str(claimed.request_id)),
        (ATTEMPT, str(claimed.number)),
    ]
    return Outgoing(message.method, url, (*headers, *added), message.body)


def joined(url: str, path: str, query: str) -> str:
    """The destination's URL with what a request had below the receive URL. Nothing is decoded or normalised.

    Raises Refused for a path that does not begin with a slash.
    """
    path, query = (_IN_NO_URL.sub(lambda found: f"%{ord(found[0]):02X}", part) for part in (path, query))
    base, mark, own_query = url.partition("?")
    if path not in ("", "/"):
        if not path.startswith("/"):
            # Behind a URL without a path it would be a part of the host's name.
            raise Refused("The path does not begin with a slash.")
        base = base.rstrip("/") + path
    queries = "&".join(part for part in (own_query, query) if part)
    return f"{base}?{queries}" if queries else base + mark


def edited(message: Message, path: str, changes: dict[str, Any]) -> tuple[Message, str]:
    """A request and its path below the receive URL as somebody changed them, see models.Delivery."""
    target = str(changes.get("path", f"{path}?{message.query}" if message.query else path))
    headers = tuple((name, value) for name, value in changes.get("headers", message.headers))
    changed = replace(message, method=changes.get("method", message.method), target=target, headers=headers)
    return changed, target.partition("?")[0]


def _end_to_end(message: Message) -> tuple[Pair, ...]:
    """Header lines in their order without those that are of the connection (RFC 9110, section 7.6.1)."""
    named = {name.strip().lower() for value in message.all("Connection") for name in value.split(",")}
    dropped = _HOP_BY_HOP | _REPLACED | named
    return tuple((name, value) for name, value in message.headers if name.lower() not in dropped)


def _answered(claimed: Claimed, url: str, answer: Answer, now: datetime) -> Outcome:
    outcome = Outcome(
        claimed,
        DeliveryState.DELIVERED,
        True,
        now,
        answer.duration_ms,
        answer.status,
        answer=answer,
        url=url,
        effect="good",
    )
    if 200 <= answer.status < 300:
        return outcome
    if answer.status == 410:
        note = "The destination answered 410 Gone, which turns it off."
        return replace(outcome, state=DeliveryState.DEAD, note=note, effect="stop")
    ended = now + timedelta(milliseconds=answer.duration_ms)
    wait = retry_after(answer.headers, ended)
    in_trouble = answer.status >= 500 or answer.status in (408, 429)
    if 300 <= answer.status < 400:
        why = f"Answered {answer.status}: redirects are not followed. Set the URL that it leads to."
        outcome = replace(outcome, error=why)
    rest = min(wait, _LONGEST_REST) if wait and answer.status in (429, 503) else timedelta()
    effect: Effect = "bad" if in_trouble else "alive"
    return _again(replace(outcome, effect=effect, rest_seconds=rest.total_seconds()), ended, wait)


def _again(outcome: Outcome, now: datetime, wanted: timedelta | None) -> Outcome:
    """With the time of the next try, or dead where there is none in time. `wanted`: what the destination asked for."""
    wait = backoff(outcome.claimed.tries)
    if wanted is not None:
        # One that asks for more time than there is gets another try all the same, when half of it is over.
        left = outcome.claimed.until - now
        wait = max(wait, wanted if wanted < left else left / 2)
    next_at = now + wait
    if next_at > outcome.claimed.until:
        once = outcome.claimed.tries == 1 and outcome.claimed.until <= now
        return replace(outcome, state=DeliveryState.DEAD, note=ONCE if once else GIVEN_UP)
    return replace(outcome, state=DeliveryState.PENDING, next_at=next_at)


def backoff(tries: int) -> timedelta:
    """The wait after so many tries: twice as long each time up to the longest, of which a random 75 to 125 %."""
    options = settings.INSTANTLITE.forwarding
    wait = min(options.first_retry * 2 ** min(tries - 1, 30), options.longest_retry)
    spread: timedelta = wait * random.uniform(0.75, 1.25)  # noqa: S311 — no secret
    return spread


def retry_after(headers: tuple[Pair, ...], now: datetime) -> timedelta | None:
    """What Retry-After says (RFC 9110, section 10.2.3), a day at most; None where it is not there or not to be read."""
    text = next((value.strip() for name, value in headers if name.lower() == "retry-after"), "")
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), 86_400))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(moment - now, timedelta()), timedelta(days=1))
