"""Senders that sign with an HMAC in a way of their own, see config.HmacOptions."""

import re
from collections.abc import Mapping, Sequence

from webhooks.message import Message, Pair
from webhooks.signatures.claim import Claim, Content, decode, encode, mac, needed, seconds_of, unix, wire_bytes
from webhooks.signatures.config import Config, HmacOptions
from webhooks.signatures.diagnosis import HEADER_MALFORMED, Refused
from webhooks.signatures.scheme import Signing

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
PLACEHOLDERS = ("body", "timestamp", "method", "url")
_MILLISECONDS = 13


class Generic:
    label = "HMAC"
    headers = ()

    def key(self, config: Config) -> bytes:
        encoding = config.hmac.secret_encoding
        key = config.secret.encode() if encoding == "text" else decode(config.secret, encoding)
        if not key:
            raise ValueError(f"not {encoding}")
        return key

    def claim(self, config: Config, message: Message, url: str) -> Claim:
        options = config.hmac
        text = needed(message, options.header, "The sender has to put the signature there.")
        if not text.startswith(options.prefix):
            raise Refused(HEADER_MALFORMED, f"The header {options.header} does not begin with {options.prefix!r}.")
        timestamp = ""
        seconds = None
        if options.timestamp_header:
            timestamp = needed(message, options.timestamp_header, "It says when the request was signed.")
            in_ms = len(timestamp) == _MILLISECONDS and timestamp.isdigit() and timestamp.isascii()
            seconds = int(timestamp) // 1000 if in_ms else seconds_of(timestamp, options.timestamp_header)
        return Claim(
            header=options.header,
            presented=(text.removeprefix(options.prefix),),
            contents=lambda body: [_content(options, message.method, url, timestamp, body)],
            algorithm=options.algorithm,
            encoding=options.encoding,
            timestamp=seconds,
            lenient=True,
        )

    def sign(self, config: Config, signing: Signing) -> Sequence[Pair]:
        options = config.hmac
        timestamp = str(unix(signing.now))
        content = _content(options, signing.message.method, signing.url, timestamp, signing.message.body)
        signature = encode(mac(self.key(config), content, options.algorithm), options.encoding)
        dated = [(options.timestamp_header, timestamp)] if options.timestamp_header else []
        return [*dated, (options.header, f"{options.prefix}{signature}")]


def _content(options: HmacOptions, method: str, url: str, timestamp: str, body: bytes) -> Content:
    values: Mapping[str, bytes] = {
        "body": body,
        "timestamp": timestamp.encode(),
        "method": wire_bytes(method),
        "url": wire_bytes(url),
    }
    # Literal text and names take turns.
    pieces = PLACEHOLDER.split(options.signed)
    return tuple(values[piece] if number % 2 else piece.encode() for number, piece in enumerate(pieces))
