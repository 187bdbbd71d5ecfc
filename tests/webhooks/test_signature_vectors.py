"""Signatures that others made: the vectors that the schemes publish, and those of their makers' libraries."""

import time

import pytest
from standardwebhooks.webhooks import Webhook

from tests.webhooks.signing import (
    CONFIGS,
    NOW,
    PRIVATE_KEY,
    PUBLIC_KEY,
    STANDARD_SECRET,
    URL,
    message,
    moment,
    verified,
)
from webhooks.message import Message, Pair
from webhooks.signatures import Config, replace_headers, sign

SVIX: tuple[Pair, ...] = (("svix-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("svix-timestamp", "1614265330"))
ED25519 = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack"
    b".com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0"
    b"bc887a14d10d2c447fce8b6703c"
)
TWILIO_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TWILIO_FORM = b"To=%2B18005551212&Digits=1234&From=%2B14158675309&Caller=%2B14158675309&CallSid=CA1234567890ABCDE"
TWILIO_JSON = b'{"property": "value", "boolean": true}'
TWILIO_HASH = "bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
FORM = "application/x-www-form-urlencoded"


def test_standard_webhooks_of_svix_documentation() -> None:
    """docs.svix.com/receiving/verifying-payloads/how-manual."""
    headers = (
        ("svix-id", "msg_loFOjxBNrRLzqYUf"),
        ("svix-timestamp", "1731705121"),
        ("svix-signature", "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="),
    )
    sent = message(b'{"event_type":"ping","data":{"success":true}}', *headers)
    assert verified(Config("standard-webhooks", "whsec_plJ3nmyCDGBKInavdOK15jsl"), sent, 1731705121).verified


@pytest.mark.parametrize(
    ("secret", "signature"),
    [
        (STANDARD_SECRET, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        (STANDARD_SECRET.removeprefix("whsec_"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        (
            PUBLIC_KEY,
            ED25519,
        ),
        (
            PRIVATE_KEY,
            f"v1,AAAA {ED25519}",
        ),
        (STANDARD_SECRET, "v1a,AAAA v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v2,x"),
    ],
)
def test_standard_webhooks_of_svix_libraries(secret: str, signature: str) -> None:
    """The vectors of the Svix server's tests and of its libraries, among others in one header too."""
    sent = message(b'{"test": 2432232314}', *SVIX, ("svix-signature", signature))
    assert verified(Config("standard-webhooks", secret), sent, 1614265330).verified


def test_ed25519_is_signed_as_svix_signs() -> None:
    sent = message(b'{"test": 2432232314}', *SVIX, ("svix-signature", ""))
    made = dict(sign(CONFIGS["ed25519"], sent, "", moment(1614265330)))
    assert made == {
        **dict(SVIX),
        "svix-signature": ED25519,
    }


def test_the_library_of_standard_webhooks_verifies_ours_and_we_its() -> None:
    now = moment(int(time.time()))
    body = '{"grüße": "€"}'
    pairs = dict(sign(CONFIGS["standard-webhooks"], message(body.encode()), "", now))
    library = Webhook(STANDARD_SECRET)
    assert library.verify(body, pairs) == {"grüße": "€"}
    theirs = library.sign("msg_2", now, body)
    sent = message(
        body.encode(),
        ("Webhook-Id", "msg_2"),
        ("Webhook-Timestamp", str(int(now.timestamp()))),
        ("Webhook-Signature", theirs),
    )
    assert verified(CONFIGS["standard-webhooks"], sent, now.timestamp()).verified


def test_github_documentation() -> None:
    """docs.github.com, "Validating webhook deliveries"."""
    header = ("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
    assert verified(CONFIGS["github"], message(b"Hello, World!", header)).verified


def test_slack_documentation() -> None:
    """docs.slack.dev, "Verifying requests from Slack"."""
    sent = message(
        SLACK_BODY,
        ("X-Slack-Request-Timestamp", "1531420618"),
        ("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
        content_type=FORM,
    )
    assert verified(CONFIGS["slack"], sent, 1531420618).verified


def test_slack_sdk() -> None:
    """slack_sdk 3.48.0, SignatureVerifier.generate_signature()."""
    signature = "v0=78ff7d0d14041e9dc8c5471af0f29248c584fa09bc38e6dd5238b4efb1b48412"
    headers = (("X-Slack-Request-Timestamp", "1735689600"), ("X-Slack-Signature", signature))
    assert verified(CONFIGS["slack"], message(b"payload=%7B%7D", *headers)).verified


def test_stripe_sdk() -> None:
    """stripe 16.1.0, WebhookSignature; a v0 and an older secret's v1 beside it."""
    signature = "167db7cfa6787af8e3bade5c152fe3b16b2ce6432255bbc75c0cb497cbd6c5cc"
    header = ("Stripe-Signature", f"t=1735689600,v1={'0' * 64},v1={signature},v0=abc")
    sent = message(b'{"id":"evt_1","livemode":false}', header)
    assert verified(Config("stripe", "whsec_test_secret"), sent).verified


def test_shopify() -> None:
    """As openssl makes it: `printf %s "$body" | openssl dgst -sha256 -hmac hush -binary | base64`."""
    body = b'{"id":820982911946154508,"email":"jon@example.com"}'
    header = ("X-Shopify-Hmac-Sha256", "D0UMXmhjwBRi4y66TmhJrDlhQABD7zI2fm3p6/QLMo8=")
    assert verified(CONFIGS["shopify"], message(body, header)).verified


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        (TWILIO_URL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (TWILIO_URL, "kvajT1Ptam85bY51eRf/AJRuM3w="),  # with port 443
        (TWILIO_URL.replace(".com", ".com:1234"), "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (TWILIO_URL.replace("https", "http"), "0ZXoZLH/DfblKGATFgpif+LLRf4="),  # with port 80
        (TWILIO_URL.replace("https", "http").replace(".com", ".com:1234"), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
    ],
)
def test_twilio_libraries(url: str, signature: str) -> None:
    """The vectors of the tests of Twilio's libraries, after the example in its documentation."""
    sent = message(TWILIO_FORM, ("X-Twilio-Signature", signature), content_type=FORM)
    assert verified(CONFIGS["twilio"], sent, url=url).verified


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        (f"{TWILIO_URL}&{TWILIO_HASH}", "a9nBmqA0ju/hNViExpshrM61xv4="),
        (f"https://mycompany.com/myapp.php?{TWILIO_HASH}", "y77kIzt2vzLz71DgmJGsen2scGs="),
    ],
)
def test_twilio_json(url: str, signature: str) -> None:
    assert verified(CONFIGS["twilio"], message(TWILIO_JSON, ("X-Twilio-Signature", signature)), url=url).verified


def test_twilio_sdk_with_a_form_beyond_ascii() -> None:
    """twilio 9.13.0, RequestValidator.compute_signature()."""
    sent = message(
        b"Empty=&From=%2B14158675309&Body=Gr%C3%BC%C3%9Fe%2C+1+%26+2",
        ("X-Twilio-Signature", "iVSSNMcAi1g2rrc5PppwE4LPLVQ="),
        content_type=f"{FORM}; charset=UTF-8",
    )
    assert verified(CONFIGS["twilio"], sent, url="https://example.com/webhook/receive/key/sms?x=1").verified


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_signed_verifies(name: str) -> None:
    for sent in (message(b""), message(b"a=1&b=%20", content_type=FORM), message(b"\xff\0\r\n", content_type="")):
        assert verified(CONFIGS[name], signed(name, sent)).verified


def signed(name: str, sent: Message) -> Message:
    pairs = sign(CONFIGS[name], sent, URL, moment(NOW))
    return Message(sent.method, sent.target, sent.version, replace_headers(sent.headers, pairs), sent.body)
