"""Proxy mode: a sender waits for what the first destination answers, and gets it.

The delivery is written with the capture, claimed already (migration 0003), so that it outlives us as every other does.
What comes too late, or not at all, is the courier's from then on: the sender has got its inbox's own answer.
"""

import logging
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings
from django.db import Error, connection

from instantlite import platformdb, telemetry
from instantlite.logs import first_line
from webhooks import answers, deliveries, forward
from webhooks.capture import Capture
from webhooks.claims import RECORD, values
from webhooks.forward import Claimed, Outcome
from webhooks.models import Delivery, DeliveryState, Endpoint
from webhooks.models.captures import path_below_key
from webhooks.models.destinations import Destination
from webhooks.outbound import KEPT_BYTES

log = logging.getLogger("instantlite.proxy")

TAKEN = "The sender has got this answer, so that it is the sender's to try again."


class _Permits:
    """How many may be sent at a time while their senders wait: of all inboxes, and of one a quarter of that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[UUID] = Counter()

    def take(self, endpoint_id: UUID) -> bool:
        """False: there is none left."""
        most = settings.INSTANTLITE.forwarding.proxied
        with self._lock:
            if self._taken.total() >= most or self._taken[endpoint_id] >= max(1, most // 4):
                return False
            self._taken[endpoint_id] += 1
        return True

    def give_back(self, endpoint_id: UUID) -> None:
        with self._lock:
            self._taken[endpoint_id] -= 1
            if not self._taken[endpoint_id]:
                del self._taken[endpoint_id]


_permits = _Permits()


@dataclass(eq=False)
class _Relay:
    """One sender that waits. `taken`: it was given the destination's answer; `missed`: its own inbox's."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    answered: threading.Event = field(default_factory=threading.Event)
    outcome: Outcome | None = None
    missed: bool = False


def answer(delivery_id: UUID, captured: Capture, request_id: UUID) -> answers.Answer | None:
    """The destination's answer; None where there was none in time, which leaves the endpoint's own."""
    try:
        found = _claimed(delivery_id, captured, request_id)
    except Error as error:
        # The request is stored, and its sender told so; when the lease runs out, the courier sends it on.
        log.warning("a proxied delivery was not sent at once: %s", first_line(error))
        found = None
    finally:
        platformdb.let_go_of_connection()
    if found is None:
        return None
    claimed, seconds = found
    if not _permits.take(claimed.endpoint_id):
        _finish(Outcome(claimed, DeliveryState.PENDING, False, datetime.now(UTC), next_at=datetime.now(UTC)))
        return None
    return _answer(claimed, seconds, captured)


def _answer(claimed: Claimed, seconds: float, captured: Capture) -> answers.Answer | None:
    relay = _Relay()
    sending = threading.Thread(target=_send, args=([claimed], relay), name="proxied delivery", daemon=True)
    try:
        sending.start()
    except RuntimeError:
        # No thread is to be had: the lease runs out, and the courier takes over.
        _permits.give_back(claimed.endpoint_id)
        return None
    relay.answered.wait(seconds)
    with relay.lock:
        outcome = relay.outcome
        relay.missed = outcome is None or not _can_relay(outcome)
    if outcome is None or outcome.answer is None or relay.missed:
        return None
    got = outcome.answer
    return answers.relayed(got.status, got.headers, got.body, captured.message.method, outcome.url)


def _can_relay(outcome: Outcome) -> bool:
    # RFC 9110, section 15: a status of 600 or more is none of HTTP's.
    return outcome.answer is not None and not outcome.answer.truncated and outcome.answer.status < 600


def _send(box: list[Claimed], relay: _Relay) -> None:
    """Takes the one in the list, and sends it, for as long as its destination has: its sender may have gone by then."""
    endpoint_id = box[0].endpoint_id
    try:
        _finish(_delivered(box.pop(), relay))
    finally:
        _permits.give_back(endpoint_id)


def _delivered(claimed: Claimed, relay: _Relay) -> Outcome:
    outcome = forward.deliver(claimed, datetime.now(UTC), keep=settings.INSTANTLITE.server.max_body_bytes)
    telemetry.DELIVERIES.add(outcome=outcome.state)
    with relay.lock:
        if not relay.missed:
            relay.outcome = outcome
            if outcome.state == DeliveryState.PENDING and _can_relay(outcome):
                outcome = replace(outcome, state=DeliveryState.DEAD, next_at=None, note=TAKEN)
    relay.answered.set()
    return outcome


def _finish(outcome: Outcome) -> None:
    """Records it. Where that fails, the lease runs out and the courier takes over."""
    if outcome.answer:
        kept = outcome.answer.body[:KEPT_BYTES]
        shorter = len(kept) < len(outcome.answer.body)
        outcome = replace(
            outcome, answer=replace(outcome.answer, body=kept, truncated=outcome.answer.truncated or shorter)
        )
    try:
        with connection.cursor() as cursor:
            cursor.execute(RECORD, values([outcome]))
        deliveries.tell()
    except Error as error:
        log.warning("a proxied delivery was not recorded: %s", first_line(error))
    finally:
        platformdb.let_go_of_connection()


def _claimed(delivery_id: UUID, captured: Capture, request_id: UUID) -> tuple[Claimed, float] | None:
    """The delivery as the courier would have claimed it, and how many seconds the sender waits."""
    delivery = Delivery.objects.filter(pk=delivery_id).exclude(destination_id=None).first()
    destination = Destination.objects.filter(pk__in=[delivery.destination_id]).first() if delivery else None
    if delivery is None or destination is None:
        return None
    seconds = Endpoint.objects.filter(pk=captured.endpoint_id).values_list("proxy_seconds", flat=True).first()
    claimed = Claimed(
        delivery_id=delivery.pk,
        endpoint_id=delivery.endpoint_id,
        request_id=request_id,
        destination_id=destination.pk,
        number=delivery.attempts,
        tries=delivery.tries,
        until=delivery.until,
        url=destination.url,
        timeout_seconds=destination.timeout_seconds,
        message=captured.message,
        path=path_below_key(captured.message.target),
        client=captured.client,
        filter=destination.filter,
        signing=destination.signing,
    )
    return claimed, seconds or 0.0
