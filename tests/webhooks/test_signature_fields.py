"""What may be said of signatures, and what is answered to what may not."""

from typing import Any

import pytest
from rest_framework.exceptions import ValidationError

from instantlite.errors import first_problem
from tests.webhooks.signing import PRIVATE_KEY, PUBLIC_KEY, STANDARD_SECRET
from webhooks.answer_fields import ChangeEndpoint
from webhooks.signature_fields import SignatureSettings, SigningSettings


def refusal(given: Any, shape: type[SignatureSettings] | None = None) -> str:
    """What is wrong with it, as the API says it; empty where nothing is."""
    checked = shape(data=given) if shape else ChangeEndpoint(data={"signature": given})
    try:
        checked.is_valid(raise_exception=True)
    except ValidationError as error:
        return first_problem(error.detail)
    return ""


def accepted(given: Any) -> Any:
    checked = SignatureSettings(data=given)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)


HMAC = {"provider": "hmac", "secret": "s", "header": "X-Signature"}

GOOD: list[dict[str, Any]] = [
    {"provider": "standard-webhooks", "secret": STANDARD_SECRET},
    {"provider": "standard-webhooks", "secret": STANDARD_SECRET.removeprefix("whsec_")},
    {"provider": "standard-webhooks", "secret": PUBLIC_KEY},
    {"provider": "standard-webhooks", "secret": PRIVATE_KEY},
    {"provider": "standard-webhooks", "secret": PRIVATE_KEY.rstrip("=")},
    {"provider": "stripe", "secret": "whsec_abc"},
    {"provider": "stripe"},
    {"provider": "github", "secret": "It's a Secret to Everybody"},
    {"provider": "slack", "secret": "é" * 1000},
    {"provider": "shopify", "secret": "shpss_abc"},
    {"provider": "twilio", "secret": "12345"},
    HMAC,
    {**HMAC, "algorithm": "sha512", "encoding": "base64url", "prefix": "v1, t=", "secret_encoding": "text"},
    {**HMAC, "timestamp_header": "X-Time", "signed": "{timestamp}\n{method}{url}:{body}"},
    {**HMAC, "secret": "YWJj", "secret_encoding": "base64"},
    {**HMAC, "prefix": ""},
]


@pytest.mark.parametrize("given", GOOD)
def test_what_is_good_is_taken_as_it_is(given: dict[str, Any]) -> None:
    assert accepted(given) == given


def test_options_that_are_null_have_their_default() -> None:
    assert accepted({**HMAC, "algorithm": None, "prefix": None, "signed": None}) == HMAC


BAD: list[tuple[Any, str, str]] = [
    ([], "", 'must be {"provider"'),
    ("whsec_abc", "", 'must be {"provider"'),
    ({}, "provider", "required"),
    ({"provider": "paypal", "secret": "s"}, "provider", "one of standard-webhooks, stripe"),
    ({"provider": None, "secret": "s"}, "provider", "one of"),
    ({"provider": [], "secret": "s"}, "provider", "one of"),
    ({"provider": "stripe", "secret": "s", "tolerance": 5}, "tolerance", "not a known field"),
    ({"provider": "stripe", "secret": ""}, "secret", "must be text"),
    ({"provider": "stripe", "secret": "   "}, "secret", "must be text"),
    ({"provider": "stripe", "secret": None}, "secret", "null"),
    ({"provider": "stripe", "secret": 5}, "secret", "must be text"),
    ({"provider": "stripe", "secret": ["s"]}, "secret", "must be text"),
    ({"provider": "stripe", "secret": "s" * 1001}, "secret", "at most 1000"),
    ({"provider": "stripe", "secret": "whsec_abc\n"}, "secret", "line breaks"),
    ({"provider": "stripe", "secret": "a\x00b"}, "secret", "control characters"),
    ({"provider": "stripe", "secret": "\ud800"}, "secret", "control characters"),
    ({"provider": "stripe", "secret": "sk_live_abc"}, "secret", "signing secret, whsec_"),
    ({"provider": "stripe", "secret": "rk_test_abc"}, "secret", "API key"),
    ({"provider": "stripe", "secret": PUBLIC_KEY}, "secret", "Ed25519"),
    ({"provider": "github", "secret": "ghp_abcdef"}, "secret", "access token"),
    ({"provider": "slack", "secret": "xoxb-1-2"}, "secret", "signing secret"),
    ({"provider": "shopify", "secret": "shpat_abc"}, "secret", "client secret"),
    ({"provider": "twilio", "secret": "AC" + "0" * 32}, "secret", "auth token"),
    ({"provider": "hmac", "secret": PRIVATE_KEY, "header": "X-A"}, "secret", "Ed25519"),
    ({"provider": "standard-webhooks", "secret": "whsec_%"}, "secret", "base64"),
    ({"provider": "standard-webhooks", "secret": "whsec_"}, "secret", "base64"),
    ({"provider": "standard-webhooks", "secret": f"{STANDARD_SECRET} "}, "secret", "without spaces"),
    ({"provider": "standard-webhooks", "secret": "sk_live_abcd"}, "secret", "API key"),
    ({"provider": "standard-webhooks", "secret": PUBLIC_KEY[:-6]}, "secret", "complete Ed25519 key"),
    ({"provider": "standard-webhooks", "secret": PRIVATE_KEY[:-8] + "AAAAAA=="}, "secret", "complete Ed25519 key"),
    ({"provider": "stripe", "secret": "s", "header": "X-A"}, "header", "hmac alone"),
    ({"provider": "hmac", "secret": "s"}, "header", "is needed"),
    ({**HMAC, "header": "X A"}, "header", "header's name"),
    ({**HMAC, "header": 5}, "header", "header's name"),
    ({**HMAC, "header": "X" * 101}, "header", "header's name"),
    ({**HMAC, "header": "Content-Length"}, "header", "must not be Content-Length"),
    ({**HMAC, "header": "proxy-authorization"}, "header", "must not be"),
    ({**HMAC, "algorithm": "md5"}, "algorithm", "one of sha1, sha256"),
    ({**HMAC, "encoding": "base32"}, "encoding", "one of hex"),
    ({**HMAC, "prefix": " a"}, "prefix", "without spaces around"),
    ({**HMAC, "prefix": "é"}, "prefix", "ASCII"),
    ({**HMAC, "prefix": "a\r\nb"}, "prefix", "ASCII"),
    ({**HMAC, "signed": "{timestamp}.{body}"}, "timestamp_header", "is needed"),
    ({**HMAC, "timestamp_header": "x-signature"}, "timestamp_header", "another header"),
    ({**HMAC, "signed": "{id}.{body}"}, "signed", "placeholders {body}"),
    ({**HMAC, "signed": "{{body}}"}, "signed", "placeholders"),
    ({**HMAC, "signed": "{body"}, "signed", "placeholders"),
    ({**HMAC, "signed": "{body}{body}"}, "signed", "once"),
    ({**HMAC, "signed": "x"}, "signed", "once"),
    ({**HMAC, "signed": "{body}" + "x" * 500}, "signed", "up to 500"),
    ({**HMAC, "signed": "{body}\x00"}, "signed", "U+0000"),
    ({**HMAC, "secret": "xyz", "secret_encoding": "hex"}, "secret", "must be hex"),
    ({**HMAC, "secret_encoding": "rot13"}, "secret_encoding", "one of text"),
]


@pytest.mark.parametrize(("given", "field", "words"), BAD)
def test_what_is_not_is_refused_by_the_name_of_its_field(given: Any, field: str, words: str) -> None:
    said = refusal(given)
    assert said.startswith(f"{field or 'signature'}: ")
    assert words in said


def test_what_signs_needs_a_key_that_can() -> None:
    wanted = {"provider": "standard-webhooks", "secret": PUBLIC_KEY}
    assert refusal(wanted) == ""
    assert "whsk_" in refusal(wanted, SigningSettings)
    assert refusal({**wanted, "secret": PRIVATE_KEY}, SigningSettings) == ""


@pytest.mark.parametrize(("given", "field", "words"), BAD)
def test_no_refusal_repeats_the_secret(given: Any, field: str, words: str) -> None:
    secret = given.get("secret") if isinstance(given, dict) else None
    if isinstance(secret, str) and len(secret.strip()) > 6:
        assert secret.strip() not in refusal(given)
