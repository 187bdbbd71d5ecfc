"""Passwords of tenants' roles: derived when asked for, kept nowhere; and what PostgreSQL is told instead of them."""

import base64
import hashlib
import hmac
import os
import uuid

from instantlite import keys

# The derived password has 256 bits, so that more iterations would make logins slower and guessing no harder;
# 4096 is what RFC 7677 asks for and what every driver accepts.
_ITERATIONS = 4096


def password(kind: str, resource_id: uuid.UUID, generation: int) -> str:
    """43 URL-safe characters. The next generation gives another one: that is what rotating does."""
    return keys.base64url(keys.derive("credentials", kind, str(resource_id), str(generation)))


def scram_verifier(secret: str, salt: bytes | None = None) -> str:
    """What `CREATE ROLE … PASSWORD` takes so that the server never sees the password itself.

    `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, the format of pg_authid.rolpassword in the PostgreSQL
    manual; keys as in RFC 5802, section 3. Passwords here are ASCII, so that SASLprep changes nothing.
    """
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, _ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(value).decode() for value in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
