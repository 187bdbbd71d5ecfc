"""Requests that are signed for tests, by the schemes' own words and not by our code."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from webhooks.message import Message, Pair
from webhooks.signatures import Config, HmacOptions, Verification, verify
from webhooks.signatures.diagnosis import Work

NOW = 1735689600
URL = "https://hooks.example/webhook/receive/key/path?a=1"
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
# The pair that Svix publishes.
PRIVATE_KEY = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC_KEY = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
OPTIONS = HmacOptions(
    header="X-Acme-Signature",
    algorithm="sha512",
    encoding="base64",
    prefix="acme=",
    timestamp_header="X-Acme-Time",
    signed="{method}\n{url}\n{timestamp}.{body}",
)

CONFIGS: dict[str, Config] = {
    "standard-webhooks": Config("standard-webhooks", STANDARD_SECRET),
    "ed25519": Config("standard-webhooks", PRIVATE_KEY),
    "stripe": Config("stripe", "whsec_stripe_secret"),
    "github": Config("github", "It's a Secret to Everybody"),
    "slack": Config("slack", "8f742231b10e8888abcd99yyyzzz85a5"),
    "shopify": Config("shopify", "hush"),
    "twilio": Config("twilio", "12345"),
    "hmac": Config("hmac", "acme secret", OPTIONS),
}


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def message(body: bytes, *headers: Pair, content_type: str = "application/json", **other: Any) -> Message:
    typed = (("Content-Type", content_type),) if content_type else ()
    fields: dict[str, Any] = {"method": "POST", "target": "/webhook/receive/key/path?a=1", "version": "1.1"}
    return Message(**{**fields, "headers": (*typed, *headers), "body": body, **other})


def digest(key: bytes | str, signed: bytes, algorithm: str = "sha256") -> bytes:
    raw = key.encode() if isinstance(key, str) else key
    return hmac.new(raw, signed, getattr(hashlib, algorithm)).digest()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def standard(key: bytes, body: bytes, at: int = NOW, name: str = "webhook") -> list[Pair]:
    """Headers of Standard Webhooks; `key` are the bytes that sign."""
    signature = b64(digest(key, f"msg_1.{at}.".encode() + body))
    return [(f"{name}-id", "msg_1"), (f"{name}-timestamp", str(at)), (f"{name}-signature", f"v1,{signature}")]


def stripe(key: str, body: bytes, at: int = NOW) -> list[Pair]:
    return [("Stripe-Signature", f"t={at},v1={digest(key, f'{at}.'.encode() + body).hex()}")]


def github(key: str, body: bytes, at: int = NOW) -> list[Pair]:
    return [("X-Hub-Signature-256", f"sha256={digest(key, body).hex()}")]


def slack(key: str, body: bytes, at: int = NOW) -> list[Pair]:
    signature = digest(key, f"v0:{at}:".encode() + body).hex()
    return [("X-Slack-Request-Timestamp", str(at)), ("X-Slack-Signature", f"v0={signature}")]


def shopify(key: str, body: bytes, at: int = NOW) -> list[Pair]:
    return [("X-Shopify-Hmac-Sha256", b64(digest(key, body)))]


def plain(key: str, body: bytes, at: int = NOW) -> list[Pair]:
    return [("X-Plain", digest(key, body).hex())]


PLAIN = Config("hmac", "plain secret", HmacOptions(header="X-Plain"))

Signer = Callable[[str, bytes, int], list[Pair]]
# Those whose key is the text of the secret, and which sign the body.
OF_TEXT: dict[str, tuple[Config, Signer]] = {
    "stripe": (CONFIGS["stripe"], stripe),
    "github": (CONFIGS["github"], github),
    "slack": (CONFIGS["slack"], slack),
    "shopify": (CONFIGS["shopify"], shopify),
    "hmac": (PLAIN, plain),
}


def verified(config: Config, sent: Message, at: float = NOW, url: str = URL, work: Work | None = None) -> Verification:
    return verify(config, sent, moment(at), url, work)


def code(config: Config, sent: Message, at: float = NOW, url: str = URL) -> str:
    """The code of the diagnosis; empty where it verifies."""
    found = verified(config, sent, at, url)
    assert found.verified is (found.diagnosis is None)
    return found.diagnosis.code if found.diagnosis else ""


def says(config: Config, sent: Message, at: float = NOW, url: str = URL) -> str:
    found = verified(config, sent, at, url)
    return found.diagnosis.message if found.diagnosis else ""
