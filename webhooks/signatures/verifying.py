"""Whether a request is signed as it should be, and why not."""

import re
from dataclasses import dataclass
from datetime import datetime

from webhooks.message import Message
from webhooks.signatures import other_urls
from webhooks.signatures.claim import Claim, mac
from webhooks.signatures.config import Config
from webhooks.signatures.diagnosis import (
    BODY_ALTERED,
    BODY_REENCODED,
    HEADER_MALFORMED,
    HEADER_MISSING,
    SIGNATURE_MISMATCH,
    TIMESTAMP_IN_FUTURE,
    TIMESTAMP_TOO_OLD,
    WRONG_SECRET,
    WRONG_URL,
    Diagnosis,
    Refused,
    Verification,
    Work,
)
from webhooks.signatures.digests import word_on_body
from webhooks.signatures.other_bodies import Candidate, other_bodies
from webhooks.signatures.other_secrets import other_keys
from webhooks.signatures.scheme import Scheme
from webhooks.signatures.schemes import SCHEMES, signers

# What Standard Webhooks, Stripe and Slack let a signature be old, or ahead.
TOLERANCE_SECONDS = 300
# What the search for one request's mistake may cost, in bytes hashed: a tenth of a second or so.
WORK = 32 * 1024 * 1024
# Of a longer body two mistakes at once are not looked for.
_LONGEST_FOR_TWO = 8 * 1024
# What an attempt costs beside the bytes that it hashes, in bytes: an HMAC, and an Ed25519 signature.
_ATTEMPT, _ASYMMETRIC_ATTEMPT = 1024, 64 * 1024

_LIVE_MODE = re.compile(rb'"livemode"\s*+:\s*+(true|false)')


def verify(config: Config, message: Message, received_at: datetime, url: str, work: Work | None = None) -> Verification:
    """What a receiver would say that got this request at `received_at`, sent to `url`, with the secret of `config`.

    Compares in constant time. Where it fails, known mistakes are tried, with no more than `work`.
    """
    scheme = SCHEMES[config.provider]
    try:
        claim = scheme.claim(config, message, url)
    except Refused as refused:
        return Verification(False, _with_others(refused.diagnosis, config, message))
    try:
        key = scheme.key(config)
    except ValueError as error:
        says = f"The secret that is set here cannot be used ({error}). Set it again."
        return Verification(False, Diagnosis(WRONG_SECRET, says))
    late = _late(claim, received_at)
    if claim.fits(key, message.body):
        return Verification(late is None, late)
    found = _Search(scheme, config, claim, key, message, url, work or Work(WORK)).diagnosis()
    # Both are to be mended, and a receiver would name the time.
    if late:
        found = Diagnosis(found.code, f"{found.message} Besides: {late.message}")
    return Verification(False, found)


def _with_others(found: Diagnosis, config: Config, message: Message) -> Diagnosis:
    """A missing header, and whose is there in its place."""
    if found.code != HEADER_MISSING:
        return found
    others = [(SCHEMES[name].label, header) for name, header in signers(message) if name != config.provider]
    if not others:
        return found
    label, header = others[0]
    says = f"{found.message} This looks signed by {label} (it has {header}): check the provider that is set here."
    return Diagnosis(found.code, says)


def _late(claim: Claim, received_at: datetime) -> Diagnosis | None:
    if claim.timestamp is None:
        return None
    age = received_at.timestamp() - claim.timestamp
    if age > TOLERANCE_SECONDS:
        return Diagnosis(
            TIMESTAMP_TOO_OLD,
            f"It was signed {age:.0f} s before it arrived here, and receivers take {TOLERANCE_SECONDS} s. Check the "
            "sender's clock; what is sent again later has to be signed anew.",
        )
    if age < -TOLERANCE_SECONDS:
        return Diagnosis(
            TIMESTAMP_IN_FUTURE,
            f"It was signed {-age:.0f} s after it arrived here, and receivers take {TOLERANCE_SECONDS} s. Check the "
            "sender's clock.",
        )
    return None


class _Search:
    """For the mistake that explains a signature that does not fit."""

    def __init__(  # noqa: PLR0913, PLR0917 — the parts of one question
        self, scheme: Scheme, config: Config, claim: Claim, key: bytes, message: Message, url: str, work: Work
    ) -> None:
        self._scheme, self._config, self._claim, self._key = scheme, config, claim, key
        self._message, self._url, self._work = message, url, work
        # Those that were tried, where two mistakes at once are looked for.
        self._bodies: list[Candidate] = []
        self._is_short = len(message.body) <= _LONGEST_FOR_TWO

    def diagnosis(self) -> Diagnosis:
        return self._secret() or self._body() or self._sent_to() or self._both() or self._unexplained()

    def _secret(self) -> Diagnosis | None:
        """The same key with the signature written otherwise, or another key."""
        if self._claim.check:
            return None
        fit = self._try(self._key, self._message.body)
        if fit:
            return Diagnosis(WRONG_SECRET if fit.other_algorithm else HEADER_MALFORMED, fit.says)
        for key, says in other_keys(self._config, self._key):
            fit = self._try(key, self._message.body)
            if fit:
                return _wrong(f"{says} {fit.says}".strip())
        return None

    def _body(self) -> Diagnosis | None:
        for body, says in other_bodies(self._message, self._work):
            if self._work.thorough and self._is_short:
                self._bodies.append((body, says))
            fit = self._try(self._key, body)
            if fit:
                return Diagnosis(BODY_REENCODED, _reencoded(says, fit))
        return None

    def _sent_to(self) -> Diagnosis | None:
        """Another URL, where the URL is signed."""
        for url, says in other_urls.tried(self._config, self._message, self._url):
            if not self._work.spend(_ATTEMPT + len(self._message.body)):
                return None
            if self._scheme.claim(self._config, self._message, url).fits(self._key, self._message.body):
                return Diagnosis(WRONG_URL, says)
        return None

    def _both(self) -> Diagnosis | None:
        """Another key and another body."""
        if self._claim.check:
            return None
        keys = other_keys(self._config, self._key)
        for body, what in self._bodies:
            for key, says in keys:
                fit = self._try(key, body)
                if fit:
                    return _wrong(f"{says} Besides: {_reencoded(what, fit)}")
        return None

    def _try(self, key: bytes, body: bytes) -> "_Fit | None":
        """Whether one of the signatures is the one that `key` makes of `body`, however it is written."""
        claim = self._claim
        if claim.check:
            spent = self._work.spend((_ASYMMETRIC_ATTEMPT + len(body)) * len(claim.presented))
            return _Fit("") if spent and claim.fits(key, body) else None
        for algorithm in claim.likely_algorithms:
            if not self._work.spend(_ATTEMPT + len(body)):
                return None
            for content in claim.contents(body):
                how = claim.reading_of(mac(key, content, algorithm))
                if how is not None:
                    return _fit(claim, algorithm, how)
        return None

    def _unexplained(self) -> Diagnosis:
        word = word_on_body(self._message, self._url)
        if word and word[0] == "another":
            return Diagnosis(
                BODY_ALTERED,
                f"The body is not the one that was sent: {word[1]} says so. Look for what changes it on its way.",
            )
        if word and word[1] != "Content-Length":
            return _wrong(
                f"The body is the one that {word[1]} was made of, so that the secret is another one than the sender's. "
                f"Copy it again from the sender. {self._hint()}".strip()
            )
        says = (
            "Nothing known explains it: either the secret is another one than the sender's, or the body was changed on "
            f"its way; from a signature alone that cannot be told apart. {self._hint()}"
        ).strip()
        if self._work.refused:
            says = f"{says} Not every known mistake was tried; open the request to try more of them."
        return Diagnosis(SIGNATURE_MISMATCH, says)

    def _hint(self) -> str:
        """What is worth a look with this provider."""
        match self._config.provider:
            case "stripe":
                found = _LIVE_MODE.search(self._message.body)
                mode = ("live" if found[1] == b"true" else "test") if found else ""
                sent = f"This event is from Stripe's {mode} mode. " if mode else ""
                return f"{sent}Each endpoint at Stripe has a secret of its own, in test mode and in live mode another."
            case "shopify":
                return (
                    "Shopify signs with the app's client secret; webhooks made in its admin with the one shown there."
                )
            case "twilio":
                return "Twilio signs with the auth token of the account that sends, over exactly the URL it was given."
        return ""


def _wrong(says: str) -> Diagnosis:
    return Diagnosis(WRONG_SECRET, says)


def _reencoded(says: str, fit: "_Fit") -> str:
    text = (
        f"It was signed over the body {says}, and the body that came is written otherwise. Sign the bytes that are "
        f"sent, and verify the bytes that came before anything reads and writes them. {fit.says}"
    )
    return text.strip()


@dataclass(frozen=True)
class _Fit:
    """A signature whose bytes are right. `says` what is wrong with how it is written, if anything."""

    says: str
    other_algorithm: bool = False


def _fit(claim: Claim, algorithm: str, how: str) -> _Fit:
    other_algorithm = algorithm != claim.algorithm
    found = [f"The algorithm is {algorithm}, where {claim.algorithm} is meant."] if other_algorithm else []
    if how != claim.encoding:
        found.append(f"The signature in {claim.header} is in {how}, where {claim.encoding} is meant.")
    elif not other_algorithm and not _is_well_written(claim):
        what = "small letters" if claim.encoding == "hex" else "the padding (=) at its end"
        found.append(f"The signature in {claim.header} has to be written with {what}.")
    return _Fit(" ".join(found), other_algorithm)


def _is_well_written(claim: Claim) -> bool:
    if claim.lenient:
        return True
    if claim.encoding == "hex":
        return all(text == text.lower() for text in claim.presented)
    return all(len(text) % 4 == 0 for text in claim.presented)
