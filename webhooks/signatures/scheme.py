"""What every provider's way of signing has to say. Each is a module of its own; schemes.py has the table of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from webhooks.message import Message, Pair
from webhooks.signatures.claim import Claim
from webhooks.signatures.config import Config


class Unsignable(Exception):
    """With this secret nothing can be signed; the text says why, and what to do."""


@dataclass(frozen=True)
class Signing:
    """What is signed anew. `url` is where it is sent to; `request_id` names it where the scheme wants an id."""

    message: Message
    url: str
    now: datetime
    request_id: UUID | None = None


class Scheme(Protocol):
    """`label` is the provider's name; one of `headers` in a request says that it may be signed so."""

    @property
    def label(self) -> str: ...

    @property
    def headers(self) -> tuple[str, ...]: ...

    def key(self, config: Config) -> bytes:
        """The key of the HMAC. Raises ValueError for a secret that is not written as it should be."""
        ...

    def claim(self, config: Config, message: Message, url: str) -> Claim:
        """What the request says of its signature. `url` is where it was sent to. Raises Refused."""
        ...

    def sign(self, config: Config, signing: Signing) -> Sequence[Pair]:
        """The headers that sign it. Raises Unsignable."""
        ...
