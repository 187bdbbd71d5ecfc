"""Secrets that strangers give us and that have to be used again: stored so that a dump of our tables opens none.

AES-256 in Galois/Counter Mode (NIST SP 800-38D) under a key that is derived from the one secret key, one for each
purpose, with a random nonce of 96 bits for each text: good for 2^32 texts (section 8.3). Whose the text is is bound to
it as associated data, so that a sealed text that is copied to another row does not open there.
"""

import base64
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from instantlite import keys

# The form of what follows; another one would get another number.
_VERSION = "s1."
_NONCE_BYTES = 12


class Unsealable(Exception):
    """It was sealed under another SECRET_KEY, for another owner or purpose, or it is not what seal() gave."""


def seal(purpose: str, owner: UUID, text: str) -> str:
    """`text`, readable again by unseal() with the same purpose and owner alone. ASCII that is safe in a URL."""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = _cipher(purpose).encrypt(nonce, text.encode(), _bound(purpose, owner))
    return _VERSION + keys.base64url(nonce + sealed)


def unseal(purpose: str, owner: UUID, sealed: str) -> str:
    """What was sealed. Raises Unsealable; users are to be told that the secret has to be set again."""
    try:
        if not sealed.startswith(_VERSION):
            raise Unsealable
        text = sealed.removeprefix(_VERSION)
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        opened = _cipher(purpose).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound(purpose, owner))
        return opened.decode()
    # ValueError: not base64, or too short for a nonce.
    except (InvalidTag, ValueError) as error:
        raise Unsealable from error


def _cipher(purpose: str) -> AESGCM:
    return AESGCM(keys.derive("seal", purpose))


def _bound(purpose: str, owner: UUID) -> bytes:
    return f"{_VERSION}{purpose} ".encode() + owner.bytes
