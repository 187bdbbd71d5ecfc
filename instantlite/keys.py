"""What is derived from the one secret key: tokens, fingerprints, tenants' passwords. Nothing derived is ever stored.

Each purpose has a key of its own, HMAC-SHA256(secret key, "instantlite <purpose>"), so that a value made for one
can never stand in for another.
"""

import base64
import hashlib
import hmac
import uuid
from functools import cache, lru_cache

from django.conf import settings

_MAC_BYTES = 16
_SENDING_MAC_BYTES = 8
SIGNATURE_BYTES = 32


@cache
def _key(purpose: str, secret: str) -> bytes:
    return hmac.digest(secret.encode(), f"instantlite {purpose}".encode(), hashlib.sha256)


def derive(purpose: str, *parts: str) -> bytes:
    """32 bytes that only this installation can compute; `parts` are joined so that no two lists give one input."""
    message = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
    return hmac.digest(_key(purpose, settings.SECRET_KEY), message, hashlib.sha256)


def sign(purpose: str, message: bytes) -> bytes:
    """SIGNATURE_BYTES that only this installation can compute for `message`."""
    return hmac.digest(_key(f"sign {purpose}", settings.SECRET_KEY), message, hashlib.sha256)


def base64url(value: bytes) -> str:
    """RFC 4648 section 5, without padding."""
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def token_for(kind: str, resource_id: uuid.UUID) -> str:
    """The bearer token of a resource: `<kind>_` and 43 characters, the resource's id and a MAC of it.

    It is derived, not stored: a dump of our tables holds nothing that opens a resource through the API, yet the
    retry of a request can be given the same token again.
    """
    return f"{kind}_{base64url(resource_id.bytes + _mac(kind, resource_id))}"


def resource_id_of(kind: str, token: str) -> uuid.UUID | None:
    """The id in a token that we made; None for anything else, compared in constant time."""
    prefix = f"{kind}_"
    if not token.startswith(prefix) or len(token) != len(prefix) + 43:
        return None
    try:
        raw = base64.b64decode(token[len(prefix) :] + "=", altchars=b"-_", validate=True)
    except ValueError:
        return None
    resource_id = uuid.UUID(bytes=raw[:16])
    # The whole token is compared, not the MAC: base64 has several spellings of one value, a token has one.
    return resource_id if hmac.compare_digest(token.encode(), token_for(kind, resource_id).encode()) else None


def _mac(kind: str, resource_id: uuid.UUID) -> bytes:
    return derive("token", kind, str(resource_id))[:_MAC_BYTES]


def sending_key_for(kind: str, resource_id: uuid.UUID) -> str:
    """32 characters that let their holder send to a resource, and neither read nor change it: its id and a MAC.

    The MAC tells a key of ours from any other without a look into the database, so that guessing costs us nothing.
    """
    return base64url(resource_id.bytes + derive("sending key", kind, str(resource_id))[:_SENDING_MAC_BYTES])


def resource_id_of_sending_key(kind: str, key: str) -> uuid.UUID | None:
    """The id in a key that we made; None for anything else, compared in constant time."""
    return _checked_sending_key(kind, key, settings.SECRET_KEY) if len(key) == 32 else None


# A sender comes again and again. `secret` is there so that another one starts anew.
@lru_cache(maxsize=4096)
def _checked_sending_key(kind: str, key: str, secret: str) -> uuid.UUID | None:
    try:
        resource_id = uuid.UUID(bytes=base64.b64decode(key, altchars=b"-_", validate=True)[:16])
    except ValueError:
        return None
    return resource_id if hmac.compare_digest(key.encode(), sending_key_for(kind, resource_id).encode()) else None
