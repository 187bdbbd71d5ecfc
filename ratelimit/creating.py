"""Handing out something new: what is asked for, charged to whoever asks, given once for each idempotency key."""

from collections.abc import Callable

from rest_framework.request import Request

from instantlite.fields import NewResource, idempotency_key, parse
from instantlite.handing_out import HandedOut
from instantlite.resource import EphemeralQuerySet, Resource, Wish
from ratelimit import clients, limits, throttling


def hand_out(
    request: Request, rows: EphemeralQuerySet[Resource], give: Callable[[Wish], HandedOut[Resource]]
) -> HandedOut[Resource]:
    """What `give` gives for the request's wish, charged beside the request itself where it is something new.

    A view that calls it is marked with throttling.charges_itself. Raises ApiError, ValidationError, and what `give`
    raises.
    """
    wish = _wish_of(request)
    # What was given before is given again, also to whoever has reached the limit since.
    new = () if rows.is_repeated(wish) else (limits.PROVISIONS,)
    with throttling.charge(request._request, limits.REQUESTS, *new) as receipt:
        handed_out = give(wish)
        if handed_out.replayed:
            receipt.give_back()
    return handed_out


def headers(handed_out: HandedOut[Resource]) -> dict[str, str]:
    """What the answer says of it beside its body."""
    return {"Idempotency-Replayed": "true"} if handed_out.replayed else {}


def _wish_of(request: Request) -> Wish:
    client = clients.identify(request._request)
    wanted = parse(request, NewResource)
    return Wish(
        fingerprint=client.fingerprint,
        name=wanted.get("name"),
        ttl=wanted.get("ttl"),
        idempotency_key=idempotency_key(request),
        client=str(client.address),
    )
