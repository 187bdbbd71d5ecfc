"""Stripe: `Stripe-Signature: t=1492774577,v1=5257a869…`, HMAC-SHA256 of `t.body` (docs.stripe.com/webhooks/signature).

There are several v1 while a secret is exchanged. v0 is made up by Stripe for test events and verifies nothing.
"""

from collections.abc import Sequence

from webhooks.message import Message, Pair
from webhooks.signatures.claim import MOST_SIGNATURES, Claim, mac, needed, seconds_of, unix
from webhooks.signatures.config import Config
from webhooks.signatures.diagnosis import HEADER_MALFORMED, Refused
from webhooks.signatures.scheme import Signing

_HEADER = "Stripe-Signature"


class Stripe:
    label = "Stripe"
    headers = (_HEADER,)

    def key(self, config: Config) -> bytes:
        return config.secret.encode()

    def claim(self, config: Config, message: Message, url: str) -> Claim:
        text = needed(message, _HEADER, "Stripe sends it with each event.")
        fields = [field.strip().partition("=") for field in text.split(",")]
        times = [value for name, _, value in fields if name == "t"]
        presented = tuple(value for name, _, value in fields if name == "v1" and value)
        if len(times) != 1 or not presented:
            raise Refused(HEADER_MALFORMED, f"The header {_HEADER} should be like t=1492774577,v1=5257a869….")
        seconds = seconds_of(times[0], _HEADER)
        before = f"{times[0]}.".encode()
        return Claim(_HEADER, presented[:MOST_SIGNATURES], lambda body: [(before, body)], timestamp=seconds)

    def sign(self, config: Config, signing: Signing) -> Sequence[Pair]:
        seconds = unix(signing.now)
        signature = mac(self.key(config), (f"{seconds}.".encode(), signing.message.body), "sha256").hex()
        return [(_HEADER, f"t={seconds},v1={signature}")]
