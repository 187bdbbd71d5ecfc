"""What is wrong with a signature, said in a code and in words: every provider, every mistake that is known."""

import base64
import hashlib

import pytest

from tests.service import PROJECT
from tests.webhooks import signing
from tests.webhooks.signing import (
    CONFIGS,
    NOW,
    OF_TEXT,
    PLAIN,
    PRIVATE_KEY,
    PUBLIC_KEY,
    STANDARD_SECRET,
    URL,
    b64,
    code,
    digest,
    message,
    moment,
    says,
    verified,
)
from webhooks.message import Message, Pair
from webhooks.signatures import Config, HmacOptions, replace_headers, sign
from webhooks.signatures.diagnosis import CODES

BODY = b'{"id": 1, "name": "M\xc3\xbcller"}'
FORM = "application/x-www-form-urlencoded"
STANDARD_KEY = base64.b64decode(STANDARD_SECRET.removeprefix("whsec_"))


def signed(name: str, body: bytes = BODY, at: int = NOW, content_type: str = "application/json") -> Message:
    sent = message(body, content_type=content_type)
    pairs = sign(CONFIGS[name], sent, URL, moment(at))
    return Message(sent.method, sent.target, sent.version, replace_headers(sent.headers, pairs), body)


def with_body(sent: Message, body: bytes) -> Message:
    return Message(sent.method, sent.target, sent.version, sent.headers, body)


def without(sent: Message, name: str) -> Message:
    headers = tuple(pair for pair in sent.headers if pair[0].lower() != name.lower())
    return Message(sent.method, sent.target, sent.version, headers, sent.body)


def changed(sent: Message, name: str, value: str) -> Message:
    headers = tuple((given, value if given.lower() == name.lower() else old) for given, old in sent.headers)
    return Message(sent.method, sent.target, sent.version, headers, sent.body)


def header_names(name: str) -> list[str]:
    return [header for header, _ in sign(CONFIGS[name], message(b""), URL, moment(NOW))]


@pytest.mark.parametrize(("name", "header"), [(name, header) for name in CONFIGS for header in header_names(name)])
def test_a_header_that_is_missing_is_named(name: str, header: str) -> None:
    sent = without(signed(name), header)
    assert code(CONFIGS[name], sent) == "header_missing"
    assert header in says(CONFIGS[name], sent)
    assert "is empty" in says(CONFIGS[name], changed(signed(name), header, ""))


LABELS = {
    "standard-webhooks": "Standard Webhooks",
    "stripe": "Stripe",
    "github": "GitHub",
    "slack": "Slack",
    "shopify": "Shopify",
    "twilio": "Twilio",
}
OTHERS = [(name, other) for name in CONFIGS for other in LABELS if CONFIGS[name].provider != CONFIGS[other].provider]


@pytest.mark.parametrize(("name", "other"), OTHERS)
def test_another_providers_signature_is_recognised(name: str, other: str) -> None:
    sent = signed(other)
    assert code(CONFIGS[name], sent) == "header_missing"
    assert f"looks signed by {LABELS[other]}" in says(CONFIGS[name], sent)


@pytest.mark.parametrize(
    ("name", "header", "value"),
    [
        ("standard-webhooks", "webhook-signature", "K5oZfzN9="),
        ("standard-webhooks", "webhook-signature", "v1,"),
        ("standard-webhooks", "webhook-timestamp", "soon"),
        ("standard-webhooks", "webhook-timestamp", "1735689600000"),
        ("standard-webhooks", "webhook-timestamp", "²"),
        ("ed25519", "webhook-signature", "v2,abc"),
        ("stripe", "Stripe-Signature", "v1=abc"),
        ("stripe", "Stripe-Signature", "t=1735689600"),
        ("stripe", "Stripe-Signature", "t=1,t=2,v1=abc"),
        ("stripe", "Stripe-Signature", "t=now,v1=abc"),
        ("stripe", "Stripe-Signature", ",=,="),
        ("github", "X-Hub-Signature-256", "757107ea"),
        ("github", "X-Hub-Signature-256", "sha1=757107ea"),
        ("slack", "X-Slack-Signature", "a2114d57"),
        ("slack", "X-Slack-Request-Timestamp", "-1"),
        ("hmac", "X-Acme-Signature", "sha512=abc"),
        ("hmac", "X-Acme-Time", "yesterday"),
    ],
)
def test_a_malformed_header_is_said(name: str, header: str, value: str) -> None:
    sent = changed(signed(name), header, value)
    assert code(CONFIGS[name], sent) == "header_malformed"
    assert header in says(CONFIGS[name], sent)


def test_a_timestamp_in_milliseconds_is_recognised() -> None:
    assert "milliseconds" in says(CONFIGS["slack"], changed(signed("slack"), "X-Slack-Request-Timestamp", "1" * 13))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_header_that_stands_twice_with_different_values_is_refused(name: str) -> None:
    sent = signed(name)
    header = header_names(name)[-1]
    twice = Message(sent.method, sent.target, sent.version, (*sent.headers, (header, "v1,other")), sent.body)
    assert code(CONFIGS[name], twice) == "header_malformed"
    same = Message(sent.method, sent.target, sent.version, (*sent.headers, (header, sent.first(header))), sent.body)
    assert code(CONFIGS[name], same) == ""


TIMED = ["standard-webhooks", "ed25519", "stripe", "slack", "hmac"]


@pytest.mark.parametrize("name", TIMED)
def test_a_timestamp_counts_from_the_arrival_and_may_be_300_seconds_off(name: str) -> None:
    sent = signed(name)
    for age in (-300, 0, 300):
        assert code(CONFIGS[name], sent, NOW + age) == ""
    assert code(CONFIGS[name], sent, NOW + 301) == "timestamp_too_old"
    assert "301 s before it arrived" in says(CONFIGS[name], sent, NOW + 301)
    assert code(CONFIGS[name], sent, NOW - 301) == "timestamp_in_future"
    assert "301 s after it arrived" in says(CONFIGS[name], sent, NOW - 301)


@pytest.mark.parametrize("name", TIMED)
def test_where_signature_and_time_are_wrong_both_are_said(name: str) -> None:
    sent = with_body(signed(name), b"altered")
    assert code(CONFIGS[name], sent, NOW + 4000) == "signature_mismatch"
    assert "4000 s before it arrived" in says(CONFIGS[name], sent, NOW + 4000)


@pytest.mark.parametrize("name", ["github", "shopify", "twilio"])
def test_without_a_timestamp_age_does_not_count(name: str) -> None:
    assert code(CONFIGS[name], signed(name), NOW + 10**8) == ""


@pytest.mark.parametrize("name", CONFIGS)
def test_an_altered_body_or_another_secret_cannot_be_told_apart_and_that_is_said(name: str) -> None:
    sent = signed(name, content_type=FORM, body=b"a=1")
    altered = with_body(sent, b"a=2")
    assert code(CONFIGS[name], altered) == "signature_mismatch"
    assert "cannot be told apart" in says(CONFIGS[name], altered)


OTHER_SECRETS = [
    (" {} ", "{}", "spaces around it"),
    ('"{}"', "{}", "quotation marks"),
    ("{}", "{}\n", "line break behind it"),
    ("{}", "{}\r\n", "line break behind it"),
    ("{}", " {}", "space in front"),
    ("{}", "{} ", "space behind"),
    ("whsec_{}", "{}", "without its prefix whsec_"),
    ("{}", "whsec_{}", "prefix whsec_ was left off"),
]


@pytest.mark.parametrize("name", OF_TEXT)
@pytest.mark.parametrize(("set_here", "at_the_sender", "words"), OTHER_SECRETS)
def test_the_known_mistakes_with_a_secret(name: str, set_here: str, at_the_sender: str, words: str) -> None:
    config, signer = OF_TEXT[name]
    secret = "c2VjcmV0IGtleQ"
    here = Config(config.provider, set_here.format(secret), config.hmac)
    sent = message(BODY, *signer(at_the_sender.format(secret), BODY, NOW))
    assert code(here, sent) == "wrong_secret"
    assert words in says(here, sent)


@pytest.mark.parametrize("name", OF_TEXT)
@pytest.mark.parametrize(
    ("secret", "key", "words"),
    [
        ("c2VjcmV0IGtleQ==", b"secret key", "decodes the secret from base64"),
        ("c2VjcmV0IGtleQ", b"secret key", "decodes the secret from base64"),
        ("whsec_c2VjcmV0IGtleQ==", b"secret key", "decodes the secret from base64"),
        ("736563726574", b"secret", "decodes the secret from hex"),
        ("secret", b"c2VjcmV0", "base64 of the secret"),
        ("secret", b"736563726574", "hex of the secret"),
        ("Secret", b"secret", "small letters"),
    ],
)
def test_a_secret_that_is_decoded_or_not(name: str, secret: str, key: bytes, words: str) -> None:
    config, signer = OF_TEXT[name]
    here = Config(config.provider, secret, config.hmac)
    sent = message(BODY, *signer(key.decode("latin-1"), BODY, NOW))
    assert code(here, sent) == "wrong_secret"
    assert words in says(here, sent)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (STANDARD_SECRET.encode(), "prefix whsec_ left in"),
        (STANDARD_SECRET.removeprefix("whsec_").encode(), "base64 and has to be decoded"),
        (STANDARD_KEY + b"\n", "line break"),
    ],
)
def test_standard_webhooks_with_a_key_that_is_not_decoded(key: bytes, words: str) -> None:
    sent = message(BODY, *signing.standard(key, BODY))
    assert code(CONFIGS["standard-webhooks"], sent) == "wrong_secret"
    assert words in says(CONFIGS["standard-webhooks"], sent)


def test_standard_webhooks_with_hex_where_base64_is_meant() -> None:
    config = Config("standard-webhooks", f"whsec_{'ab12' * 8}")
    sent = message(BODY, *signing.standard(bytes.fromhex("ab12" * 8), BODY))
    assert code(config, sent) == "wrong_secret"
    assert "from hex where base64 is meant" in says(config, sent)


def test_standard_webhooks_signed_with_the_other_kind_of_key() -> None:
    asymmetric, symmetric = signed("ed25519"), signed("standard-webhooks")
    assert code(CONFIGS["standard-webhooks"], asymmetric) == "wrong_secret"
    assert "whpk_" in says(CONFIGS["standard-webhooks"], asymmetric)
    assert code(CONFIGS["ed25519"], symmetric) == "wrong_secret"
    assert "whsec_" in says(CONFIGS["ed25519"], symmetric)
    assert code(Config("standard-webhooks", PUBLIC_KEY), asymmetric) == ""


def test_a_secret_that_is_no_base64_any_more_is_said_and_raises_nothing() -> None:
    assert code(Config("standard-webhooks", "whsec_%"), signed("standard-webhooks")) == "wrong_secret"
    options = HmacOptions(header="X-Plain", secret_encoding="hex")
    assert code(Config("hmac", "not hex", options), message(BODY, *signing.plain("x", BODY))) == "wrong_secret"


@pytest.mark.parametrize("algorithm", ["sha1", "sha384", "sha512"])
@pytest.mark.parametrize("name", ["github", "slack", "shopify", "hmac"])
def test_another_algorithm_is_named(name: str, algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config, signer = OF_TEXT[name]
    with monkeypatch.context() as patched:
        patched.setattr(signing, "digest", lambda key, text: digest(key, text, algorithm))
        sent = message(BODY, *signer(config.secret, BODY, NOW))
    assert code(config, sent) == "wrong_secret"
    assert f"The algorithm is {algorithm}, where sha256 is meant" in says(config, sent)


def test_hex_where_base64_is_meant_and_the_reverse() -> None:
    in_hex = ("X-Shopify-Hmac-Sha256", digest("hush", BODY).hex())
    assert code(CONFIGS["shopify"], message(BODY, in_hex)) == "header_malformed"
    assert "in hex, where base64 is meant" in says(CONFIGS["shopify"], message(BODY, in_hex))
    in_base64 = ("X-Hub-Signature-256", f"sha256={b64(digest(CONFIGS['github'].secret, BODY))}")
    assert "in base64, where hex is meant" in says(CONFIGS["github"], message(BODY, in_base64))


def test_capital_hex_and_missing_padding_are_said_where_receivers_refuse_them() -> None:
    capital = ("X-Hub-Signature-256", f"sha256={digest(CONFIGS['github'].secret, BODY).hex().upper()}")
    assert code(CONFIGS["github"], message(BODY, capital)) == "header_malformed"
    assert "small letters" in says(CONFIGS["github"], message(BODY, capital))
    bare = ("X-Shopify-Hmac-Sha256", b64(digest("hush", BODY)).rstrip("="))
    assert "padding" in says(CONFIGS["shopify"], message(BODY, bare))


def test_a_scheme_of_the_senders_own_may_use_capitals_and_leave_padding_out() -> None:
    assert code(PLAIN, message(BODY, ("X-Plain", digest(PLAIN.secret, BODY).hex().upper()))) == ""
    options = HmacOptions(header="X-Plain", encoding="base64url", algorithm="sha384")
    bare = base64.urlsafe_b64encode(digest("k", BODY, "sha384")).decode().rstrip("=")
    assert code(Config("hmac", "k", options), message(BODY, ("X-Plain", bare))) == ""


@pytest.mark.parametrize(("written", "key", "other"), [("hex", b"\xab\x12", "text"), ("base64", b"secret key", "text")])
def test_how_a_secret_is_written_can_be_set(written: str, key: bytes, other: str) -> None:
    secret = {"hex": "ab12", "base64": "c2VjcmV0IGtleQ=="}[written]
    options = HmacOptions(header="X-Plain", secret_encoding=written)  # type: ignore[arg-type]  # one of them
    headers = ("X-Plain", digest(key, BODY).hex())
    assert code(Config("hmac", secret, options), message(BODY, headers)) == ""
    assert f'secret_encoding to "{written}"' in says(Config("hmac", secret, PLAIN.hmac), message(BODY, headers))
    by_text = message(BODY, ("X-Plain", digest(secret, BODY).hex()))
    assert f'secret_encoding to "{other}"' in says(Config("hmac", secret, options), by_text)


def test_stripes_mode_is_said_where_the_event_says_it() -> None:
    for live, mode in ((b"true", "live"), (b"false", "test")):
        body = b'{"id": "evt_1", "livemode": ' + live + b"}"
        sent = message(body, *signing.stripe("whsec_the_other_mode", body))
        assert code(CONFIGS["stripe"], sent) == "signature_mismatch"
        assert f"Stripe's {mode} mode" in says(CONFIGS["stripe"], sent)


def test_githubs_old_signature_is_believed_where_it_comes_alone() -> None:
    old: Pair = ("X-Hub-Signature", f"sha1={digest(CONFIGS['github'].secret, BODY, 'sha1').hex()}")
    assert code(CONFIGS["github"], message(BODY, old)) == ""
    assert code(CONFIGS["github"], message(b"altered", old)) == "signature_mismatch"
    wrong: Pair = ("X-Hub-Signature-256", f"sha256={'0' * 64}")
    assert code(CONFIGS["github"], message(BODY, old, wrong)) == "signature_mismatch"


@pytest.mark.parametrize(
    ("signed_for", "host", "words"),
    [
        (URL.replace("https", "http"), "", "was signed for http://"),
        ("https://tunnel.example/webhook/receive/key/path?a=1", "tunnel.example", "for the host tunnel.example"),
        ("http://tunnel.example:8000/webhook/receive/key/path?a=1", "tunnel.example:8000", "host tunnel.example:8000"),
        ("https://hooks.example/webhook/receive/key/path/?a=1", "", "with a slash at its end"),
        ("https://hooks.example/webhook/receive/key/path", "", "without its query"),
    ],
)
def test_twilio_that_knows_another_url(signed_for: str, host: str, words: str) -> None:
    sent = message(b"From=%2B1", *([("Host", host)] if host else []), content_type=FORM)
    pairs = sign(CONFIGS["twilio"], sent, signed_for, moment(NOW))
    there = Message(sent.method, sent.target, sent.version, (*sent.headers, *pairs), sent.body)
    assert code(CONFIGS["twilio"], there) == "wrong_url"
    assert words in says(CONFIGS["twilio"], there)


def test_twilio_fields_beyond_those_that_are_read_do_not_verify() -> None:
    """They were not signed, and a consumer would read them."""
    sent = message(b"From=%2B1", content_type=FORM)
    pairs = sign(CONFIGS["twilio"], sent, URL, moment(NOW))
    longer = sent.body + b"&" * 1001 + b"Amount=1000000"
    there = Message(sent.method, sent.target, sent.version, (*sent.headers, *pairs), longer)
    assert code(CONFIGS["twilio"], there) == "signature_mismatch"


def test_a_host_that_is_no_name_is_not_repeated() -> None:
    sent = message(b"a=1", ("Host", "<script>\x85"), ("X-Twilio-Signature", "AAAA"), content_type=FORM)
    assert code(CONFIGS["twilio"], sent) == "signature_mismatch"
    assert "script" not in says(CONFIGS["twilio"], sent)


def made_of(body: bytes) -> list[Pair]:
    """What says of which body it was made: RFC 9530, RFC 3230, RFC 1864."""
    return [
        ("Content-Digest", f"sha-256=:{b64(hashlib.sha256(body).digest())}:"),
        ("Content-Digest", f"sha-512=:{b64(hashlib.sha512(body).digest())}:"),
        ("Digest", f"SHA-256={b64(hashlib.sha256(body).digest())}"),
        ("Content-MD5", b64(hashlib.md5(body, usedforsecurity=False).digest())),
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_digest_tells_an_altered_body_from_another_secret(number: int) -> None:
    evidence = made_of(BODY)[number]
    sent = message(BODY, evidence, *signing.github("another secret", BODY))
    assert code(CONFIGS["github"], sent) == "wrong_secret"
    altered = with_body(sent, BODY + b"?")
    assert code(CONFIGS["github"], altered) == "body_altered"
    assert evidence[0] in says(CONFIGS["github"], altered)


def test_a_length_tells_an_altered_body_alone() -> None:
    sent = message(BODY, ("Content-Length", str(len(BODY))), *signing.github("another secret", BODY))
    assert code(CONFIGS["github"], sent) == "signature_mismatch"
    assert code(CONFIGS["github"], with_body(sent, BODY + b"?")) == "body_altered"


def test_twilio_says_in_the_url_that_a_body_was_altered() -> None:
    body = b'{"a": 1}'
    url = f"{URL}&bodySHA256={hashlib.sha256(body).hexdigest()}"
    pairs = sign(CONFIGS["twilio"], message(body), url, moment(NOW))
    assert code(CONFIGS["twilio"], message(body, *pairs), url=url) == ""
    assert code(CONFIGS["twilio"], message(b'{"a": 2}', *pairs), url=url) == "body_altered"
    assert code(CONFIGS["twilio"], message(b'{"a":1}', *pairs), url=url) == "body_reencoded"


def test_two_mistakes_at_once_are_both_said() -> None:
    sent = message(b'{"id":1}', *signing.stripe(f"{CONFIGS['stripe'].secret}\n", b'{"id": 1}'))
    assert code(CONFIGS["stripe"], sent) == "wrong_secret"
    assert "line break behind it" in says(CONFIGS["stripe"], sent)
    assert "space behind each comma" in says(CONFIGS["stripe"], sent)


def test_every_code_is_one_of_those_documented() -> None:
    text = (PROJECT / "docs" / "signatures.md").read_text()
    assert [name for name in CODES if f"`{name}`" not in text] == []


@pytest.mark.parametrize("name", CONFIGS)
def test_no_message_holds_the_secret(name: str) -> None:
    sent = signed(name)
    for other in (
        with_body(sent, b"x"),
        without(sent, header_names(name)[0]),
        changed(sent, header_names(name)[-1], "x"),
    ):
        found = verified(CONFIGS[name], other, NOW + 1000)
        assert CONFIGS[name].secret not in repr(found)
    assert CONFIGS[name].secret not in repr(CONFIGS[name])
    assert PRIVATE_KEY not in repr(CONFIGS[name])
