"""Standard Webhooks (standardwebhooks.com, specification 1.0.0), which Svix signs by too, under names of its own.

What is signed is `id.timestamp.body`: with HMAC-SHA256 (v1, a secret that begins with `whsec_`), or with Ed25519 (v1a,
`whpk_` the public key and `whsk_` the private one, seed and public key together). A header may hold several signatures,
with spaces between.
"""

import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from webhooks.message import Message, Pair
from webhooks.signatures.claim import (
    MOST_SIGNATURES,
    Claim,
    Content,
    decode,
    encode,
    mac,
    needed,
    seconds_of,
    unix,
    wire_bytes,
)
from webhooks.signatures.config import Config
from webhooks.signatures.diagnosis import HEADER_MALFORMED, WRONG_SECRET, Refused
from webhooks.signatures.scheme import Signing, Unsignable

SECRET, PUBLIC, PRIVATE = "whsec_", "whpk_", "whsk_"
_NAMES = ("webhook", "svix")


class Standard:
    label = "Standard Webhooks"
    headers = ("webhook-signature", "svix-signature")

    def key(self, config: Config) -> bytes:
        if _is_asymmetric(config):
            return b""
        key = decode(config.secret.removeprefix(SECRET), "base64")
        if not key:
            raise ValueError("not base64")
        return key

    def claim(self, config: Config, message: Message, url: str) -> Claim:
        name = _name(message)
        header = f"{name}-signature"
        text = needed(message, header, "Each request has an id, a timestamp and a signature by Standard Webhooks.")
        request_id = needed(message, f"{name}-id", "It is part of what is signed.")
        timestamp = needed(message, f"{name}-timestamp", "It is part of what is signed.")
        seconds = seconds_of(timestamp, f"{name}-timestamp")
        before = wire_bytes(f"{request_id}.{timestamp}.")
        presented = _presented(config, header, text)
        return Claim(
            header=header,
            presented=presented,
            contents=lambda body: [(before, body)],
            encoding="base64",
            timestamp=seconds,
            check=_checker(config, presented) if _is_asymmetric(config) else None,
        )

    def sign(self, config: Config, signing: Signing) -> Sequence[Pair]:
        name = _name(signing.message)
        new_id = signing.request_id.hex if signing.request_id else secrets.token_hex(16)
        request_id = signing.message.first(f"{name}-id").strip(" \t") or f"msg_{new_id}"
        timestamp = str(unix(signing.now))
        content = (wire_bytes(f"{request_id}.{timestamp}."), signing.message.body)
        return [
            (f"{name}-id", request_id),
            (f"{name}-timestamp", timestamp),
            (f"{name}-signature", self._signature(config, content)),
        ]

    def _signature(self, config: Config, content: Content) -> str:
        if not _is_asymmetric(config):
            return f"v1,{encode(mac(self.key(config), content, 'sha256'), 'base64')}"
        if config.secret.startswith(PUBLIC):
            raise Unsignable("A public key (whpk_…) verifies and cannot sign. Set the private one, whsk_….")
        signed = private_key(config.secret).sign(b"".join(content))
        return f"v1a,{encode(signed, 'base64')}"


def private_key(secret: str) -> Ed25519PrivateKey:
    """The key in a `whsk_…`: 32 bytes of seed, or 64 with the public key behind it. Raises ValueError."""
    raw = decode(secret.removeprefix(PRIVATE), "base64") or b""
    if len(raw) not in (32, 64):
        raise ValueError("not 32 or 64 bytes in base64")
    key = Ed25519PrivateKey.from_private_bytes(raw[:32])
    if raw[32:] and key.public_key().public_bytes_raw() != raw[32:]:
        raise ValueError("the public half is another key's")
    return key


def public_key(secret: str) -> Ed25519PublicKey:
    """The key in a `whpk_…`, or the one that belongs to a `whsk_…`. Raises ValueError."""
    if secret.startswith(PRIVATE):
        return private_key(secret).public_key()
    return Ed25519PublicKey.from_public_bytes(decode(secret.removeprefix(PUBLIC), "base64") or b"")


def _is_asymmetric(config: Config) -> bool:
    return config.secret.startswith((PUBLIC, PRIVATE))


def _name(message: Message) -> str:
    """How a request's headers begin."""
    return next((name for name in _NAMES if message.all(f"{name}-signature")), _NAMES[0])


def _presented(config: Config, header: str, text: str) -> tuple[str, ...]:
    """The signatures of the kind that the secret is for. Raises Refused where there is none."""
    versions = [entry.partition(",") for entry in text.split()]
    wanted = "v1a" if _is_asymmetric(config) else "v1"
    found = tuple(signature for version, comma, signature in versions if version == wanted and comma and signature)
    if found:
        return found[:MOST_SIGNATURES]
    others = {version for version, comma, _ in versions if comma}
    if wanted == "v1" and "v1a" in others:
        says = "It is signed with a private key (v1a): set the public key that belongs to it, whpk_…, as the secret."
        raise Refused(WRONG_SECRET, says)
    if wanted == "v1a" and "v1" in others:
        says = "It is signed with a shared secret (v1), and not with a private key: set the secret, whsec_…."
        raise Refused(WRONG_SECRET, says)
    raise Refused(HEADER_MALFORMED, f"The header {header} holds no signature; it should be like {wanted},K5oZfzN9…=.")


def _checker(config: Config, presented: tuple[str, ...]) -> "_Checker":
    return _Checker(public_key(config.secret), presented)


class _Checker:
    """Whether one of the signatures was made of some content with the private key."""

    def __init__(self, key: Ed25519PublicKey, presented: tuple[str, ...]) -> None:
        self._key = key
        self._signatures = [raw for text in presented if (raw := decode(text, "base64"))]

    def __call__(self, content: Content) -> bool:
        signed = b"".join(content)
        return any(self._fits(signature, signed) for signature in self._signatures)

    def _fits(self, signature: bytes, signed: bytes) -> bool:
        try:
            self._key.verify(signature, signed)
        except InvalidSignature:
            return False
        return True
