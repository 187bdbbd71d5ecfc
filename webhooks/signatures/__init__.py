"""Signatures of webhooks: whether a request's is right, why not, and making one anew. Knows no tables.

Every comparison takes the same time wherever the texts differ. The schemes are written here, on `hmac` and
`cryptography`, because the libraries of their makers do not fit: standardwebhooks 1.1.0 compares timestamps with its
own clock instead of the time of arrival, takes text alone, and knows no Ed25519; stripe, slack_sdk and twilio are whole
API clients for the sake of one HMAC, and say no more than that it failed. The tests check against them and against
the published vectors.
"""

from instantlite.sealing import Unsealable
from webhooks.signatures.config import Config, HmacOptions
from webhooks.signatures.diagnosis import Diagnosis, Verification, Work
from webhooks.signatures.scheme import Unsignable
from webhooks.signatures.signing import replace_headers, resign, sign
from webhooks.signatures.stored import SecretNeeded, opened, shown, store
from webhooks.signatures.verifying import verify

__all__ = [
    "Config",
    "Diagnosis",
    "HmacOptions",
    "SecretNeeded",
    "Unsealable",
    "Unsignable",
    "Verification",
    "Work",
    "opened",
    "replace_headers",
    "resign",
    "shown",
    "sign",
    "store",
    "verify",
]
