"""How requests to an inbox, or to a destination, are signed: a provider, a secret, and what HMAC leaves open."""

from dataclasses import dataclass, field
from typing import Literal

Provider = Literal["standard-webhooks", "stripe", "github", "slack", "shopify", "twilio", "hmac"]
Algorithm = Literal["sha1", "sha256", "sha384", "sha512"]
Encoding = Literal["hex", "base64", "base64url"]
SecretEncoding = Literal["text", "hex", "base64"]

PROVIDERS: tuple[Provider, ...] = ("standard-webhooks", "stripe", "github", "slack", "shopify", "twilio", "hmac")
ALGORITHMS: tuple[Algorithm, ...] = ("sha1", "sha256", "sha384", "sha512")
ENCODINGS: tuple[Encoding, ...] = ("hex", "base64", "base64url")
SECRET_ENCODINGS: tuple[SecretEncoding, ...] = ("text", "hex", "base64")


@dataclass(frozen=True)
class HmacOptions:
    """What is to be known of a sender that signs in a way of its own.

    `header` holds `prefix` and then the signature. `signed` is what is signed, with the placeholders {body},
    {timestamp} (the value of `timestamp_header`), {method} and {url}. `secret_encoding`: how the secret is written
    down; "text": its UTF-8 is the key.
    """

    header: str = ""
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    timestamp_header: str = ""
    signed: str = "{body}"
    secret_encoding: SecretEncoding = "text"  # noqa: S105 — no secret, how it is written


@dataclass(frozen=True)
class Config:
    """`hmac` counts for the provider "hmac" alone. The secret is not part of the repr, which logs and errors show."""

    provider: Provider
    secret: str = field(repr=False)
    hmac: HmacOptions = HmacOptions()
