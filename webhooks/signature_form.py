"""The form that says how senders sign: HTML's fields to signature_fields.py's, and back. The secret only goes in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from webhooks import signatures
from webhooks.signature_fields import OPTIONS, SignatureSettings
from webhooks.signatures.config import ALGORITHMS, ENCODINGS, SECRET_ENCODINGS, HmacOptions
from webhooks.signatures.schemes import SCHEMES


class Choice(NamedTuple):
    """A provider in the list; `where`: its secret is found there."""

    value: str
    label: str
    where: str


PROVIDERS = (
    Choice("standard-webhooks", "Standard Webhooks, Svix", "whsec_… or, for Ed25519, the public key whpk_…"),
    Choice(
        "stripe", "Stripe", "whsec_…, of this endpoint: Workbench, Webhooks, Signing secret; or what stripe listen says"
    ),
    Choice("github", "GitHub", "the secret that the webhook has at GitHub: Settings, Webhooks"),
    Choice("slack", "Slack", "the app's signing secret: Basic Information, App Credentials"),
    Choice("shopify", "Shopify", "the app's client secret; for webhooks made in the admin, the one shown there"),
    Choice("twilio", "Twilio", "the account's auth token"),
    Choice("hmac", "Another HMAC", "what the sender signs with"),
)
_DEFAULTS = HmacOptions()


@dataclass(frozen=True)
class SignatureForm:
    """`values` are the fields as text, without the secret; `problems` what is wrong with them, by field."""

    values: Mapping[str, str]
    is_set: bool
    problems: Mapping[str, str] = field(default_factory=dict)

    providers = PROVIDERS
    algorithms = ALGORITHMS
    encodings = ENCODINGS
    secret_encodings = SECRET_ENCODINGS


def filled(stored: Mapping[str, Any] | None) -> SignatureForm:
    """The form for settings as they are stored."""
    shown = signatures.shown(stored) or {"provider": PROVIDERS[0].value}
    values = {name: str(shown.get(name, getattr(_DEFAULTS, name))) for name in OPTIONS}
    return SignatureForm({"provider": shown["provider"], **values}, is_set=stored is not None)


def read(data: QueryDict, stored: Mapping[str, Any] | None) -> tuple[SignatureForm, dict[str, Any] | None]:
    """The form as it was sent, and the settings that it means. None: see problems. An empty secret stays as it is."""
    values = {name: data.get(name, "").strip() for name in ("provider", *OPTIONS)}
    wanted: dict[str, Any] = {"provider": values["provider"]}
    if data.get("secret"):
        wanted["secret"] = data["secret"]
    if values["provider"] == "hmac":
        # A form's line ends are CRLF, whatever was typed (HTML standard, section 4.10.22.5).
        wanted |= {name: values[name].replace("\r\n", "\n") or None for name in OPTIONS}
    checked = SignatureSettings(data=wanted)
    try:
        checked.is_valid(raise_exception=True)
    except ValidationError as error:
        return refused(values, stored, error), None
    return SignatureForm(values, stored is not None), dict(checked.validated_data)


def refused(values: Mapping[str, str], stored: Mapping[str, Any] | None, error: ValidationError) -> SignatureForm:
    """The form with what is wrong, the first sentence for each field."""
    detail: Any = error.detail
    problems = detail.get("signature", detail) if isinstance(detail, Mapping) else {"provider": detail}
    return SignatureForm(values, stored is not None, {str(name): _first(said) for name, said in problems.items()})


def label(stored: Mapping[str, Any] | None) -> str:
    """The name of the provider that is set; empty where none is."""
    return SCHEMES[stored["provider"]].label if stored else ""


def _first(said: Any) -> str:
    return _first(said[0]) if isinstance(said, list) else str(said)
