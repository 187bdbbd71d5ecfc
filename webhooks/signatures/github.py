"""GitHub: `X-Hub-Signature-256: sha256=…`, the HMAC of the body in hexadecimal.

docs.github.com, "Validating webhook deliveries". `X-Hub-Signature` with SHA-1 is sent beside it, for old receivers, and
is believed where it comes alone, as some servers that follow GitHub's example send it.
"""

from collections.abc import Sequence

from webhooks.message import Message, Pair
from webhooks.signatures.claim import Claim, mac, needed
from webhooks.signatures.config import Algorithm, Config
from webhooks.signatures.diagnosis import HEADER_MALFORMED, Refused
from webhooks.signatures.scheme import Signing

_HEADER, _OLD_HEADER = "X-Hub-Signature-256", "X-Hub-Signature"
_HINT = "GitHub signs where the webhook has a secret: set one there (Settings, Webhooks)."


class GitHub:
    label = "GitHub"
    headers = (_HEADER, _OLD_HEADER)

    def key(self, config: Config) -> bytes:
        return config.secret.encode()

    def claim(self, config: Config, message: Message, url: str) -> Claim:
        is_old = not message.all(_HEADER) and bool(message.all(_OLD_HEADER))
        header, algorithm = _form(is_old)
        text = needed(message, header, _HINT)
        if not text.startswith(f"{algorithm}="):
            raise Refused(HEADER_MALFORMED, f"The header {header} should be like {algorithm}=757107ea….")
        presented = (text.removeprefix(f"{algorithm}="),)
        return Claim(header, presented, lambda body: [(body,)], algorithm)

    def sign(self, config: Config, signing: Signing) -> Sequence[Pair]:
        old = [True] if signing.message.all(_OLD_HEADER) else []
        return [self._signed(config, signing.message.body, is_old) for is_old in (False, *old)]

    def _signed(self, config: Config, body: bytes, is_old: bool) -> Pair:
        header, algorithm = _form(is_old)
        return header, f"{algorithm}={mac(self.key(config), (body,), algorithm).hex()}"


def _form(is_old: bool) -> tuple[str, Algorithm]:
    return (_OLD_HEADER, "sha1") if is_old else (_HEADER, "sha256")
