"""What a request says of its own signature, read from its headers, and whether a key makes the same."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from webhooks.message import Message
from webhooks.signatures.config import ALGORITHMS, ENCODINGS, Encoding
from webhooks.signatures.diagnosis import HEADER_MALFORMED, HEADER_MISSING, Refused

# Signed bytes in pieces, so that a body is not copied.
Content = tuple[bytes, ...]

# Signatures of one header that are looked at: a secret that is exchanged makes two.
MOST_SIGNATURES = 10
DIGEST_BYTES: dict[str, int] = {name: hashlib.new(name).digest_size for name in ALGORITHMS}

_SECONDS = re.compile(r"[0-9]{1,12}")
_MILLISECONDS = re.compile(r"[0-9]{13}")


@dataclass(frozen=True)
class Claim:
    """`presented` are signatures as the header `header` has them, without what is around them.

    `contents` gives what may have been signed if a request had this body, one of which is enough. `timestamp` is in
    seconds since the Unix epoch. `check` stands in the place of an HMAC for what is signed with a private key.
    """

    header: str
    presented: tuple[str, ...]
    contents: Callable[[bytes], Sequence[Content]]
    algorithm: str = "sha256"
    encoding: Encoding = "hex"
    timestamp: int | None = None
    # Whether hexadecimal digits may be capitals, and base64 may lack its padding.
    lenient: bool = False
    check: Callable[[Content], bool] | None = None

    def fits(self, key: bytes, body: bytes) -> bool:
        """Whether one of the signatures is the one that `key` makes, written as it should be."""
        if self.check:
            return any(self.check(content) for content in self.contents(body))
        made = [mac(key, content, self.algorithm) for content in self.contents(body)]
        return any(self._is(text, digest) for digest in made for text in self.presented)

    def _is(self, text: str, digest: bytes) -> bool:
        if self.lenient:
            text = text.lower() if self.encoding == "hex" else padded(text)
        return hmac.compare_digest(text.encode(), encode(digest, self.encoding).encode())

    @cached_property
    def readings(self) -> list[tuple[Encoding, bytes]]:
        """The signatures' bytes, in every way in which their texts can be read."""
        return [
            (encoding, raw)
            for text in self.presented
            for encoding in ENCODINGS
            if (raw := decode(text, encoding)) is not None
        ]

    @cached_property
    def likely_algorithms(self) -> tuple[str, ...]:
        """By which the signatures may have been made, going by their length."""
        lengths = {len(raw) for _, raw in self.readings}
        if DIGEST_BYTES[self.algorithm] in lengths:
            return (self.algorithm,)
        return tuple(name for name in ALGORITHMS if DIGEST_BYTES[name] in lengths)

    def reading_of(self, digest: bytes) -> Encoding | None:
        """How the signature of these bytes is written; None: it is not among them."""
        return next((how for how, raw in self.readings if hmac.compare_digest(raw, digest)), None)


def mac(key: bytes, content: Content, algorithm: str) -> bytes:
    made = hmac.new(key, digestmod=algorithm)
    for piece in content:
        made.update(piece)
    return made.digest()


def encode(raw: bytes, encoding: Encoding) -> str:
    match encoding:
        case "hex":
            return raw.hex()
        case "base64":
            return base64.b64encode(raw).decode()
        case "base64url":
            return base64.urlsafe_b64encode(raw).decode()


def decode(text: str, encoding: Encoding) -> bytes | None:
    """The bytes; None for what is not written so. Padding of base64 may be missing."""
    try:
        match encoding:
            case "hex":
                # Not bytes.fromhex(), which passes over spaces.
                return binascii.unhexlify(text)
            case "base64":
                return base64.b64decode(padded(text), validate=True)
            case "base64url":
                return base64.b64decode(padded(text), altchars=b"-_", validate=True)
    # binascii.Error is one; so is text beyond ASCII.
    except ValueError:
        return None


def padded(text: str) -> str:
    """Base64 with the padding that it should have."""
    bare = text.rstrip("=")
    return bare + "=" * (-len(bare) % 4)


def value_of(message: Message, name: str) -> str:
    """The one value of a header, without the space around it; empty where there is none. Raises Refused for two."""
    values = {value.strip(" \t") for value in message.all(name)}
    if len(values) > 1:
        raise Refused(HEADER_MALFORMED, f"The header {name} stands twice, with different values. Send it once.")
    return next(iter(values), "")


def needed(message: Message, name: str, hint: str = "") -> str:
    """The same; raises Refused where there is none. `hint` is a sentence."""
    value = value_of(message, name)
    if not value:
        given = "is empty" if message.all(name) else "is missing"
        raise Refused(HEADER_MISSING, f"The header {name} {given}. {hint}".strip())
    return value


def seconds_of(text: str, where: str) -> int:
    """A time as senders write it: seconds since the Unix epoch. Raises Refused."""
    if _SECONDS.fullmatch(text):
        return int(text)
    why = "is in milliseconds" if _MILLISECONDS.fullmatch(text) else "is not a number"
    raise Refused(
        HEADER_MALFORMED, f"The timestamp in {where} {why}; it has to be in seconds since 1970, such as 1735689600."
    )


def unix(moment: datetime) -> int:
    return int(moment.timestamp())


def wire_bytes(text: str) -> bytes:
    """The bytes that a text of a message was on the wire."""
    return text.encode("latin-1", "replace")
