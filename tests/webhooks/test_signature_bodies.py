"""A body that was written anew between signing and arriving: what was done to it is said, at a bounded cost."""

import gzip
import json

import pytest

from tests.webhooks.signing import CONFIGS, OF_TEXT, PUBLIC_KEY, URL, code, message, moment, says, verified
from webhooks.message import Message
from webhooks.signatures import Config, sign
from webhooks.signatures.diagnosis import Work
from webhooks.signatures.other_bodies import LONGEST, other_bodies
from webhooks.signatures.verifying import WORK

FORM = "application/x-www-form-urlencoded"
DOCUMENT = {"id": 1, "url": "https://example.com/a?b=1&c=<2>", "name": "Müller", "amount": 1.0, "list": [1, None]}
COMPACT = json.dumps(DOCUMENT, separators=(",", ":"), ensure_ascii=False).encode()
PHP = json.dumps(DOCUMENT, separators=(",", ":")).replace("/", "\\/").encode()
GO = (
    json.dumps(DOCUMENT, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    .replace("<", "\\u003c")
    .replace(">", "\\u003e")
    .replace("&", "\\u0026")
    .encode()
)

JSON_CASES = [
    (COMPACT, json.dumps(DOCUMENT, indent=2).encode(), "as compact JSON"),
    (json.dumps(DOCUMENT).encode(), COMPACT, "space behind each comma and colon, with \\u escapes"),
    (json.dumps(DOCUMENT, ensure_ascii=False).encode(), COMPACT, "space behind each comma and colon"),
    (json.dumps(DOCUMENT, indent=2, ensure_ascii=False).encode(), COMPACT, "indented by 2 spaces"),
    (json.dumps(DOCUMENT, indent=4, ensure_ascii=False).encode(), COMPACT, "indented by 4 spaces"),
    (json.dumps(DOCUMENT, separators=(",", ":")).encode(), COMPACT, "with \\u escapes beyond ASCII"),
    (json.dumps(DOCUMENT, sort_keys=True).encode(), COMPACT, "its keys sorted"),
    (PHP, COMPACT, "PHP"),
    (GO, COMPACT, "Go"),
    (COMPACT.replace(b"1.0", b"1"), COMPACT, "JSON.stringify()"),
    (COMPACT + b"\n", COMPACT, "with a line break at its end"),
    (COMPACT, COMPACT + b"\r\n", "without the line break at its end"),
    (COMPACT, b"  " + COMPACT + b" ", "without the spaces around it"),
    (COMPACT, b"\xef\xbb\xbf" + COMPACT, "without its byte order mark"),
    (COMPACT, COMPACT.decode().encode("latin-1"), "in UTF-8, where it came in Latin-1"),
    (COMPACT.decode().encode("latin-1"), COMPACT, "in Latin-1, where it came in UTF-8"),
    (b"", COMPACT, "as if it were empty"),
]
OTHER_CASES = [
    (b"a\nb\n", b"a\r\nb\r\n", "text/plain", "LF line ends"),
    (b"a\r\nb\r\n", b"a\nb\n", "text/plain", "CRLF line ends"),
    (b"a=x+y&b=%2F", b"a=x%20y&b=/", FORM, "+ for spaces"),
    (b"a=x%20y&b=%2F", b"a=x+y&b=%2F", FORM, "%20 for spaces"),
    (b"a=1&b=2", b"b=2&a=1", FORM, "its fields sorted"),
    (b'{"a":"1"}', b"a=1", FORM, "as JSON of the form's fields"),
]


@pytest.mark.parametrize("name", OF_TEXT)
@pytest.mark.parametrize(("signed", "came", "words"), JSON_CASES)
def test_json_that_was_written_anew(name: str, signed: bytes, came: bytes, words: str) -> None:
    config, signer = OF_TEXT[name]
    sent = message(came, *signer(config.secret, signed, 1735689600))
    assert code(config, sent) == "body_reencoded"
    assert words in says(config, sent)


@pytest.mark.parametrize("name", ["stripe", "github", "shopify"])
@pytest.mark.parametrize(("signed", "came", "content_type", "words"), OTHER_CASES)
def test_other_bodies_that_were_written_anew(
    name: str, signed: bytes, came: bytes, content_type: str, words: str
) -> None:
    config, signer = OF_TEXT[name]
    sent = message(came, *signer(config.secret, signed, 1735689600), content_type=content_type)
    assert code(config, sent) == "body_reencoded"
    assert words in says(config, sent)


def test_a_body_that_was_compressed_after_signing() -> None:
    config, signer = OF_TEXT["stripe"]
    headers = signer(config.secret, COMPACT, 1735689600)
    sent = message(gzip.compress(COMPACT), *headers, ("Content-Encoding", "gzip"))
    assert code(config, sent) == "body_reencoded"
    assert "before it was compressed" in says(config, sent)


@pytest.mark.parametrize("name", ["standard-webhooks", "ed25519"])
def test_standard_webhooks_bodies_too(name: str) -> None:
    pairs = sign(CONFIGS[name], message(json.dumps(DOCUMENT).encode()), URL, moment(1735689600))
    assert code(CONFIGS[name], message(COMPACT, *pairs)) == "body_reencoded"


BOMBS = [
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b"[" + b"1," * 130_000 + b"1]",
    b"[" + b"9" * 5_000 + b"]",
    b'"\\ud800"',
    b"[1e400, NaN]",
    b"\xe9" * 1_048_576,
    b"\n" * 1_048_576,
    b'{"a": "' + b"x" * 1_048_000 + b'"}',
    b"&".join(b"a%d=%%41" % number for number in range(20_000)),
]


@pytest.mark.parametrize("body", BOMBS, ids=lambda body: body[:8].decode("latin-1"))
@pytest.mark.parametrize("content_type", ["application/json", FORM])
@pytest.mark.parametrize("name", ["stripe", "public key", "twilio"])
def test_the_search_for_a_mistake_has_a_bound(body: bytes, content_type: str, name: str) -> None:
    config = Config("standard-webhooks", PUBLIC_KEY) if name == "public key" else CONFIGS[name]
    headers = {
        "stripe": [("Stripe-Signature", "t=1735689600,v1=" + "0" * 64)],
        "twilio": [("X-Twilio-Signature", "A" * 27 + "=")],
        "public key": [
            ("webhook-id", "1"),
            ("webhook-timestamp", "1735689600"),
            ("webhook-signature", " ".join([f"v1a,{'A' * 86}=="] * 500)),
        ],
    }[name]
    work = Work(WORK)
    found = verified(config, message(body, *headers, content_type=content_type), work=work)
    assert found.verified is False
    assert work.spent <= WORK


def test_a_long_body_is_not_written_anew() -> None:
    for size, tried in ((LONGEST, True), (LONGEST + 1, False)):
        body = b" " * (size - 2) + b"{}"
        work = Work(WORK)
        assert bool(list(other_bodies(message(body), work))) is tried
        assert tried or not work.spent


def test_no_more_is_tried_than_there_is_work_for() -> None:
    config, signer = OF_TEXT["stripe"]
    sent = message(COMPACT, *signer(config.secret, json.dumps(DOCUMENT).encode(), 1735689600))
    work = Work(0)
    found = verified(config, sent, work=work)
    assert work.spent == 0
    assert found.diagnosis is not None
    assert found.diagnosis.code == "signature_mismatch"
    assert "Not every known mistake was tried" in found.diagnosis.message
    right = message(COMPACT, *signer(config.secret, COMPACT, 1735689600))
    assert verified(config, right, work=Work(0)).verified


def test_each_body_is_tried_once() -> None:
    bodies = [body for body, _ in other_bodies(message(b'{"a":1}'), Work(WORK))]
    assert len(bodies) == len(set(bodies))
    assert b'{"a":1}' not in bodies


def test_a_request_without_body_and_headers_is_no_trouble() -> None:
    for config in CONFIGS.values():
        assert code(config, Message("GET", "*", "1.0", (), b""), url="*") == "header_missing"
