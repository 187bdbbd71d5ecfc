"""Signing anew: what is forwarded or replayed later has a signature that its receiver takes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from webhooks.message import Message, Pair
from webhooks.signatures import stored
from webhooks.signatures.config import Config
from webhooks.signatures.scheme import Signing, Unsignable
from webhooks.signatures.schemes import SCHEMES


def resign(  # noqa: PLR0913, PLR0917 — what is signed, by whom, where to and when
    signing: Mapping[str, Any],
    destination_id: UUID,
    message: Message,
    url: str,
    now: datetime,
    request_id: UUID | None = None,
) -> tuple[Pair, ...]:
    """The headers of `message`, its signature made anew, to be sent to `url`. The body is signed as it is.

    `signing` is what stored.store() gave for this destination. `request_id` makes the id that Standard Webhooks wants
    where the message has none, so that each attempt has the same one. Raises Unsealable, and Unsignable with a
    sentence.
    """
    pairs = sign(stored.opened(destination_id, signing), message, url, now, request_id)
    return replace_headers(message.headers, pairs)


def sign(config: Config, message: Message, url: str, now: datetime, request_id: UUID | None = None) -> Sequence[Pair]:
    """The headers to set on `message` as it is sent to `url`. Raises Unsignable."""
    try:
        return SCHEMES[config.provider].sign(config, Signing(message, url, now, request_id))
    except ValueError as error:
        raise Unsignable(f"The secret cannot be used to sign ({error}). Set it again.") from error


def replace_headers(headers: Iterable[Pair], pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """`headers` with each of `pairs` in the place of the first of its name, whose spelling stays; others of the name
    go. What was not there comes at the end.
    """
    left = {name.lower(): (name, value) for name, value in pairs}
    names = frozenset(left)
    kept: list[Pair] = []
    for name, value in headers:
        if name.lower() not in names:
            kept.append((name, value))
        elif new := left.pop(name.lower(), None):
            kept.append((name, new[1]))
    return (*kept, *left.values())
