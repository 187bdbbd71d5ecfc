"""Slack: `X-Slack-Signature: v0=…`, HMAC-SHA256 of `v0:timestamp:body` in hexadecimal, the time in a header of its own.

docs.slack.dev, "Verifying requests from Slack".
"""

from collections.abc import Sequence

from webhooks.message import Message, Pair
from webhooks.signatures.claim import Claim, mac, needed, seconds_of, unix
from webhooks.signatures.config import Config
from webhooks.signatures.diagnosis import HEADER_MALFORMED, Refused
from webhooks.signatures.scheme import Signing

_HEADER, _TIMESTAMP = "X-Slack-Signature", "X-Slack-Request-Timestamp"


class Slack:
    label = "Slack"
    headers = (_HEADER,)

    def key(self, config: Config) -> bytes:
        return config.secret.encode()

    def claim(self, config: Config, message: Message, url: str) -> Claim:
        text = needed(message, _HEADER, "Slack sends it with each request to an app.")
        timestamp = needed(message, _TIMESTAMP, "It is part of what is signed.")
        seconds = seconds_of(timestamp, _TIMESTAMP)
        if not text.startswith("v0="):
            raise Refused(HEADER_MALFORMED, f"The header {_HEADER} should be like v0=a2114d57….")
        before = f"v0:{timestamp}:".encode()
        return Claim(_HEADER, (text.removeprefix("v0="),), lambda body: [(before, body)], timestamp=seconds)

    def sign(self, config: Config, signing: Signing) -> Sequence[Pair]:
        seconds = unix(signing.now)
        signature = mac(self.key(config), (f"v0:{seconds}:".encode(), signing.message.body), "sha256").hex()
        return [(_TIMESTAMP, str(seconds)), (_HEADER, f"v0={signature}")]
