"""What may be said of signatures: an endpoint's `signature`, a destination's `signing`, checked before it is stored.

What these give is what signatures.store() takes. A secret that is left out stays as it is, where the provider does.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from instantlite.fields import StrictSerializer
from webhooks import answer_headers, signatures
from webhooks.signatures import standard
from webhooks.signatures.claim import decode
from webhooks.signatures.config import ALGORITHMS, ENCODINGS, PROVIDERS, SECRET_ENCODINGS, HmacOptions
from webhooks.signatures.generic import PLACEHOLDER, PLACEHOLDERS

MAX_SECRET = 1000
MAX_HEADER_NAME = 100
MAX_PREFIX = 100
MAX_SIGNED = 500

OPTIONS = tuple(HmacOptions.__dataclass_fields__)
_DEFAULTS = HmacOptions()
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_PREFIX = re.compile(r"[!-~](?:[ -~]*[!-~])?")

# Signing sets a header of this name on requests that are sent on: none that frames them (RFC 9112, section 6).
_FRAMING = answer_headers.names(
    "connection content-encoding content-length content-type expect host http2-settings keep-alive te trailer",
    "transfer-encoding upgrade",
)

# What is pasted by mistake: how it begins, and what to set in its place.
_OTHER_CREDENTIALS = {
    "stripe": (r"(?:sk|rk|pk)_(?:live|test)_", "an API key of Stripe; set the endpoint's signing secret, whsec_…."),
    "github": (r"gh[pousr]_|github_pat_", "an access token of GitHub; set the secret that the webhook has there."),
    "slack": (r"xox[a-z]-|xapp-", "a token of Slack; set the app's signing secret (Basic Information)."),
    "shopify": (r"shp(?:at|ca|pa|ua)_", "an access token of Shopify; set the app's client secret."),
    "twilio": (r"(?:AC|SK)[0-9a-f]{32}$", "an id of Twilio; set the account's auth token."),
}


@extend_schema_field({"type": "string", "maxLength": MAX_SECRET, "writeOnly": True, "examples": ["whsec_…"]})
class SecretField(serializers.Field[Any, Any, Any, Any]):
    """1 to MAX_SECRET characters of text on one line."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or not data.strip():
            raise serializers.ValidationError("must be text, the secret as the sender has it.")
        if len(data) > MAX_SECRET:
            raise serializers.ValidationError(f"must be at most {MAX_SECRET} characters.")
        if any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in data):
            raise serializers.ValidationError("must not contain line breaks or control characters; leave them out.")
        return data

    def to_representation(self, value: str) -> str:
        raise NotImplementedError("a secret is never shown")


@extend_schema_field({"type": "string", "maxLength": MAX_HEADER_NAME, "examples": ["X-Signature"]})
class HeaderNameField(serializers.Field[Any, Any, Any, Any]):
    """The name of a header, in any spelling."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or len(data) > MAX_HEADER_NAME or not answer_headers.TOKEN.fullmatch(data):
            raise serializers.ValidationError(
                f"must be a header's name, 1 to {MAX_HEADER_NAME} letters, digits and hyphens, such as X-Signature."
            )
        if data.lower() in _FRAMING or data.lower().startswith("proxy-"):
            raise serializers.ValidationError(f"must not be {data}, which says how a request is carried.")
        return data

    def to_representation(self, value: str) -> str:
        return value


@extend_schema_field({"type": "string", "maxLength": MAX_PREFIX, "examples": ["sha256="]})
class PrefixField(serializers.Field[Any, Any, Any, Any]):
    """What stands in front of the signature, within the header."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or len(data) > MAX_PREFIX or (data and not _PREFIX.fullmatch(data)):
            raise serializers.ValidationError(
                f"must be up to {MAX_PREFIX} ASCII characters without spaces around them, such as sha256=."
            )
        return data

    def to_representation(self, value: str) -> str:
        return value


@extend_schema_field({"type": "string", "maxLength": MAX_SIGNED, "examples": ["{timestamp}.{body}"]})
class SignedField(serializers.Field[Any, Any, Any, Any]):
    """A template of what is signed: text with placeholders, {body} once among them."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or len(data) > MAX_SIGNED:
            raise serializers.ValidationError(f"must be text of up to {MAX_SIGNED} characters.")
        if re.search("[\x00\ud800-\udfff]", data):
            raise serializers.ValidationError("must not contain U+0000 or half of a surrogate pair; leave them out.")
        names: list[str] = PLACEHOLDER.findall(data)
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        unknown = next((name for name in names if name not in PLACEHOLDERS), None)
        if unknown is not None or "{" in PLACEHOLDER.sub("", data) or "}" in PLACEHOLDER.sub("", data):
            raise serializers.ValidationError(f"must hold no other braces than the placeholders {known}.")
        if names.count("body") != 1:
            raise serializers.ValidationError("must hold {body} once, such as {timestamp}.{body}.")
        return data

    def to_representation(self, value: str) -> str:
        return value


def _choice(choices: tuple[str, ...], says: str, **more: Any) -> serializers.ChoiceField:
    problem = f"must be one of {', '.join(choices)}."
    return serializers.ChoiceField(
        list(choices), help_text=says, error_messages={"invalid_choice": problem, "null": problem}, **more
    )


class SignatureSettings(StrictSerializer):
    """How senders sign. The options behind `secret` are for the provider "hmac" alone."""

    provider = _choice(PROVIDERS, "Whose way of signing it is; hmac: one of the sender's own.")
    secret = SecretField(
        required=False, help_text="What the sender signs with. Never shown again; left out, it stays as it is."
    )
    header = HeaderNameField(required=False, allow_null=True, help_text="Where the signature is.")
    algorithm = _choice(ALGORITHMS, f"{_DEFAULTS.algorithm} unless set.", required=False, allow_null=True)
    encoding = _choice(
        ENCODINGS, f"Of the signature; {_DEFAULTS.encoding} unless set.", required=False, allow_null=True
    )
    prefix = PrefixField(required=False, allow_null=True, help_text="In front of the signature; nothing unless set.")
    timestamp_header = HeaderNameField(
        required=False, allow_null=True, help_text="Where the time of signing is, in seconds since 1970."
    )
    signed = SignedField(
        required=False,
        allow_null=True,
        help_text="What is signed, with {body}, {timestamp}, {method} and {url}; {body} unless set.",
    )
    secret_encoding = _choice(
        SECRET_ENCODINGS,
        "How the secret is written; text unless set: its UTF-8 is the key.",
        required=False,
        allow_null=True,
    )

    # Whether what is set has to be able to make signatures.
    signs = False

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError('must be {"provider": "…", "secret": "…"}, or null for none.')
        return super().to_internal_value(data)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Without the options that are null. Raises ValidationError."""
        given = {name: value for name, value in attrs.items() if value is not None}
        provider = given["provider"]
        if provider == "hmac":
            _check_hmac(given)
        elif any(name in given for name in OPTIONS):
            name = next(name for name in OPTIONS if name in given)
            raise serializers.ValidationError(
                {name: f"is for the provider hmac alone, not for {provider}; leave it out."}
            )
        if "secret" in given:
            problem = secret_problem(provider, given["secret"], signs=self.signs)
            if problem:
                raise serializers.ValidationError({"secret": problem})
        return given


class SigningSettings(SignatureSettings):
    """How what is sent on is signed anew."""

    signs = True


def kept(
    owner_id: UUID, wanted: Mapping[str, Any] | None, current: Mapping[str, Any] | None, field: str = "signature"
) -> dict[str, Any] | None:
    """What to store of `wanted`, as the serializers gave it, in the place of `current`; None: nothing is set.

    `owner_id`: of the endpoint or destination that it is stored with. Raises ValidationError where there is no secret.
    """
    if wanted is None:
        return None
    try:
        return signatures.store(owner_id, wanted, current)
    except signatures.SecretNeeded:
        raise serializers.ValidationError({field: {"secret": "is needed: what the sender signs with."}}) from None


def secret_problem(provider: str, secret: str, *, signs: bool) -> str | None:
    """Why a secret cannot be that provider's; None where it can."""
    if provider == "standard-webhooks":
        return _standard_problem(secret, signs=signs)
    if secret.startswith((standard.PUBLIC, standard.PRIVATE)):
        return "is a key of Standard Webhooks (Ed25519), and this provider signs with a shared secret; set that."
    pattern, says = _OTHER_CREDENTIALS.get(provider, ("$.", ""))
    return f"is {says}" if re.match(pattern, secret.strip()) else None


def _standard_problem(secret: str, *, signs: bool) -> str | None:
    if secret.startswith(standard.PUBLIC) and signs:
        return "is a public key, which verifies and cannot sign; set the private one, whsk_…."
    if secret.startswith((standard.PUBLIC, standard.PRIVATE)):
        try:
            standard.public_key(secret)
        except ValueError:
            return "is not a complete Ed25519 key in base64; copy all of it, whpk_… or whsk_…."
        return None
    if re.match(_OTHER_CREDENTIALS["stripe"][0], secret):
        return f"is {_OTHER_CREDENTIALS['stripe'][1]}"
    if not decode(secret.removeprefix(standard.SECRET), "base64"):
        return "must be whsec_ and base64 behind it, without spaces, as Standard Webhooks has it; copy it again."
    return None


def _check_hmac(given: Mapping[str, Any]) -> None:
    if "header" not in given:
        raise serializers.ValidationError({"header": "is needed: the header that holds the signature."})
    signed = given.get("signed", _DEFAULTS.signed)
    if "{timestamp}" in signed and "timestamp_header" not in given:
        raise serializers.ValidationError(
            {"timestamp_header": "is needed, because {timestamp} is part of what is signed."}
        )
    if given.get("timestamp_header", "").lower() == given["header"].lower():
        raise serializers.ValidationError({"timestamp_header": "must be another header than the signature's."})
    encoding = given.get("secret_encoding", "text")
    if encoding != "text" and "secret" in given and not decode(given["secret"], encoding):
        raise serializers.ValidationError({"secret": f'must be {encoding}, as "secret_encoding" says.'})
