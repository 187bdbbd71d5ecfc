"""What a request's other headers say of its body: whether it is still the one that was sent."""

import base64
import hashlib
import hmac
import re
from typing import Literal

from webhooks.message import Message
from webhooks.signatures.twilio import body_hash, body_is_the_hashed_one

Word = Literal["same", "another"]

# RFC 9530 (`sha-256=:base64:`) and RFC 3230 (`SHA-256=base64`).
_DIGEST = re.compile(r"(sha-256|sha-512|md5|sha)=:?([A-Za-z0-9+/]+={0,2}):?", re.IGNORECASE)
_ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512", "md5": "md5", "sha": "sha1"}
_HEADERS = ("Content-Digest", "Repr-Digest", "Digest")


def word_on_body(message: Message, url: str) -> tuple[Word, str] | None:
    """Whether the body is the one that a digest was made of, and where that is said; None where nothing is said."""
    if body_hash(url) is not None:
        return _word(body_is_the_hashed_one(url, message.body)), "bodySHA256 in the URL"
    length = message.first("Content-Length").strip()
    if length.isascii() and length.isdigit() and len(length) < 15 and int(length) != len(message.body):
        return "another", "Content-Length"
    for header in _HEADERS:
        for algorithm, text in _DIGEST.findall(message.first(header)[:1000])[:1]:
            made = hashlib.new(_ALGORITHMS[algorithm.lower()], message.body, usedforsecurity=False).digest()
            return _word(_same(text, made)), header
    given = message.first("Content-MD5").strip()
    if given:
        made = hashlib.md5(message.body, usedforsecurity=False).digest()
        return _word(_same(given, made)), "Content-MD5"
    return None


def _same(text: str, made: bytes) -> bool:
    return hmac.compare_digest(text.encode("latin-1", "replace"), base64.b64encode(made))


def _word(is_same: bool) -> Word:
    return "same" if is_same else "another"
