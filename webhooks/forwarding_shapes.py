"""What the API says of destinations, deliveries and attempts: the shapes of its answers."""

import base64
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, TextField
from django.db.models.functions import Cast, Length
from rest_framework import serializers

from webhooks import signatures
from webhooks.models import Attempt, Delivery, DeliveryState, Destination
from webhooks.serializers import exactly

# Of the answers that one call gives, headers and bodies together; JSON's escapes not counted.
MOST_ANSWER_BYTES = 1_048_576

# Headers and body of an answer.
Kept = tuple[list[list[str]], bytes]


class DestinationShape(serializers.Serializer[Any]):
    """Where requests are sent on to."""

    id = serializers.UUIDField()
    url = serializers.CharField()
    enabled = serializers.BooleanField()
    stopped = serializers.CharField(allow_null=True, help_text="Why the server turned it off; null: it did not.")
    filter = serializers.DictField(allow_null=True, help_text="Conditions on requests; null: all are sent.")
    timeout_seconds = serializers.FloatField()
    ordered = serializers.BooleanField(help_text="Strict order.")
    signature = serializers.DictField(allow_null=True, help_text="How requests are signed anew; without the secret.")
    created_at = serializers.CharField(help_text="RFC 3339, UTC.")
    waiting = serializers.IntegerField(help_text="Deliveries that are not done yet.")
    dead = serializers.IntegerField(help_text="Deliveries that were given up.")
    lost = serializers.IntegerField(help_text="Deliveries that were let go because too many requests waited.")
    failures = serializers.IntegerField(help_text="Failed attempts since the last success.")
    rests_until = serializers.CharField(
        allow_null=True, help_text="After failures in a row it is left alone until then."
    )


class DestinationAnswer(DestinationShape):
    ok = serializers.BooleanField()


class DestinationListing(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    items = DestinationShape(many=True)


class DestinationDeleted(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    id = serializers.UUIDField()
    status = serializers.CharField(help_text="deleted")


class AnswerShape(serializers.Serializer[Any]):
    """What a destination answered."""

    headers = serializers.ListField(help_text="Pairs of name and value, in order.")
    body = serializers.CharField(allow_null=True, help_text="Where it is UTF-8.")
    body_base64 = serializers.CharField(allow_null=True, help_text="The bytes, where they are not.")
    truncated = serializers.BooleanField(help_text="True: it was longer than the 64 KiB that are kept.")
    omitted = serializers.BooleanField(help_text="True: this call has no room for it; GET …/deliveries/{id}.")


class AttemptShape(serializers.Serializer[Any]):
    """One try."""

    number = serializers.IntegerField()
    started_at = serializers.CharField(help_text="RFC 3339, UTC.")
    duration_ms = serializers.FloatField()
    status = serializers.IntegerField(allow_null=True, help_text="null: no answer came.")
    error = serializers.CharField(allow_null=True, help_text="Why it failed, in words.")
    answer = AnswerShape(allow_null=True)


class DeliveryShape(serializers.Serializer[Any]):
    """A request on its way to a URL."""

    id = serializers.UUIDField()
    request_id = serializers.UUIDField()
    destination_id = serializers.UUIDField(allow_null=True, help_text="null: reported by a listening client.")
    url = serializers.CharField(help_text="Where it was sent last, or is to be sent.")
    origin = serializers.ChoiceField(["forward", "replay", "listen"])
    edited = serializers.BooleanField(help_text="True: something else was sent than what came.")
    state = serializers.ChoiceField(["pending", "delivering", "delivered", "dead", "skipped"])
    note = serializers.CharField(allow_null=True, help_text="Why it is in this state, in words.")
    created_at = serializers.CharField(help_text="RFC 3339, UTC.")
    next_at = serializers.CharField(allow_null=True, help_text="When it is tried again.")
    finished_at = serializers.CharField(allow_null=True)
    attempts = AttemptShape(many=True)


class DeliveryAnswer(DeliveryShape):
    ok = serializers.BooleanField()


class DeliveryListing(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    items = DeliveryShape(many=True)


class DeliveryPage(DeliveryListing):
    next = serializers.CharField(allow_null=True, help_text="The URL of the page that follows; null at the end.")


class Replayed(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    deliveries = DeliveryShape(many=True, help_text="As they are at the end of the wait.")


class ReplayedMany(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    requests = serializers.IntegerField(help_text="How many requests are sent again.")
    deliveries = serializers.IntegerField(help_text="How many deliveries that makes.")
    complete = serializers.BooleanField(help_text="False: more requests match than one call takes; use after.")
    newest = serializers.UUIDField(allow_null=True, help_text="The newest request that is sent again.")


class Retried(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    retried = serializers.IntegerField(help_text="How many deliveries are tried again.")


def destinations(rows: Collection[Destination]) -> list[dict[str, Any]]:
    """Each as DestinationShape says."""
    counts: dict[UUID, dict[str, int]] = defaultdict(dict)
    # By the inbox, for which there is an index, and which holds few.
    found = Delivery.objects.filter(endpoint_id__in={row.endpoint_id for row in rows})
    found = found.filter(destination_id__in=[row.pk for row in rows]).exclude(state=DeliveryState.DELIVERED)
    for destination_id, state, number in found.values_list("destination_id", "state").annotate(Count("pk")).order_by():
        counts[destination_id][state] = number
    return [_destination(row, counts[row.pk]) for row in rows]


def _destination(row: Destination, counts: dict[str, int]) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "url": row.url,
        "enabled": row.enabled,
        "stopped": row.stopped or None,
        "filter": filter_shown(row.filter),
        "timeout_seconds": row.timeout_seconds,
        "ordered": row.ordered,
        "signature": signatures.shown(row.signing) if row.signing else None,
        "created_at": exactly(row.created_at),
        "waiting": counts.get(DeliveryState.PENDING, 0) + counts.get(DeliveryState.DELIVERING, 0),
        "dead": counts.get(DeliveryState.DEAD, 0),
        "lost": row.lost,
        "failures": row.failures,
        "rests_until": _moment(row.rests_until),
    }


def filter_shown(stored: dict[str, Any] | None) -> dict[str, Any] | None:
    """A filter as it is given."""
    return {("method" if name == "methods" else name): value for name, value in stored.items()} if stored else None


def deliveries(rows: Collection[Delivery], most_bytes: int = MOST_ANSWER_BYTES) -> list[dict[str, Any]]:
    """Each as DeliveryShape says, with its attempts; answers, the newest first, up to `most_bytes`."""
    attempts: dict[UUID, list[Attempt]] = defaultdict(list)
    found = Attempt.objects.filter(delivery_id__in=[row.pk for row in rows]).defer("answer_headers", "answer_body")
    length = Length("answer_body") + Length(Cast("answer_headers", TextField()))
    for attempt in found.annotate(length=length).order_by("delivery_id", "number", "id"):
        attempts[attempt.delivery_id].append(attempt)
    kept = _answers([attempt for each in attempts.values() for attempt in each], most_bytes)
    return [_delivery(row, attempts[row.pk], kept) for row in rows]


def _answers(attempts: Iterable[Any], most_bytes: int) -> dict[UUID, Kept]:
    """Of the newest attempts as many as there is room for, by their ids."""
    wanted = []
    for attempt in sorted(attempts, key=lambda attempt: attempt.started_at, reverse=True):
        if attempt.status is not None and attempt.length <= most_bytes:
            most_bytes -= attempt.length
            wanted.append(attempt.pk)
    rows = Attempt.objects.filter(pk__in=wanted).values_list("pk", "answer_headers", "answer_body")
    return {key: (headers, bytes(body)) for key, headers, body in rows}


def _delivery(row: Delivery, attempts: list[Attempt], kept: dict[UUID, Kept]) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "request_id": str(row.request_id),
        "destination_id": str(row.destination_id) if row.destination_id else None,
        "url": row.url,
        "origin": row.origin,
        "edited": row.edited is not None or row.edited_body is not None,
        "state": row.state,
        "note": row.note or None,
        "created_at": exactly(row.created_at),
        "next_at": _moment(row.next_at) if row.state == DeliveryState.PENDING else None,
        "finished_at": _moment(row.finished_at),
        "attempts": [_attempt(attempt, kept.get(attempt.pk)) for attempt in attempts],
    }


def _attempt(attempt: Attempt, kept: Kept | None) -> dict[str, Any]:
    answer = None
    if attempt.status is not None:
        headers, body = kept or ([], b"")
        text = _text(body) if kept else None
        answer = {
            "headers": headers,
            "body": text,
            "body_base64": base64.b64encode(body).decode() if kept and text is None else None,
            "truncated": attempt.answer_truncated,
            "omitted": kept is None,
        }
    return {
        "number": attempt.number,
        "started_at": exactly(attempt.started_at),
        "duration_ms": round(attempt.duration_ms, 1),
        "status": attempt.status,
        "error": attempt.error or None,
        "answer": answer,
    }


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _moment(moment: datetime | None) -> str | None:
    return exactly(moment) if moment else None
