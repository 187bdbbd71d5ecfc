"""Shopify: `X-Shopify-Hmac-Sha256`, the HMAC of the body in base64, under the app's client secret.

shopify.dev, "Deliver webhooks through HTTPS". There is no timestamp in it.
"""

from collections.abc import Sequence

from webhooks.message import Message, Pair
from webhooks.signatures.claim import Claim, encode, mac, needed
from webhooks.signatures.config import Config
from webhooks.signatures.scheme import Signing

_HEADER = "X-Shopify-Hmac-Sha256"


class Shopify:
    label = "Shopify"
    headers = (_HEADER,)

    def key(self, config: Config) -> bytes:
        return config.secret.encode()

    def claim(self, config: Config, message: Message, url: str) -> Claim:
        text = needed(message, _HEADER, "Shopify sends it with each webhook.")
        return Claim(_HEADER, (text,), lambda body: [(body,)], encoding="base64")

    def sign(self, config: Config, signing: Signing) -> Sequence[Pair]:
        return [(_HEADER, encode(mac(self.key(config), (signing.message.body,), "sha256"), "base64"))]
