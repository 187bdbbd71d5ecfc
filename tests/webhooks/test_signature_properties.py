"""Whatever is signed verifies, whatever is altered does not, and nothing that strangers send raises."""

from dataclasses import replace
from random import Random
from urllib.parse import urlencode

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.webhooks.captured import messages, wire
from tests.webhooks.signing import CONFIGS, NOW, URL, moment
from webhooks.message import Message, Pair
from webhooks.signatures import Config, HmacOptions, Verification, replace_headers, sign, verify
from webhooks.signatures.config import ALGORITHMS, ENCODINGS
from webhooks.signatures.schemes import SCHEMES

names = st.sampled_from(sorted(CONFIGS))
secrets = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=60)
options = st.builds(
    HmacOptions,
    header=st.just("X-Acme"),
    algorithm=st.sampled_from(ALGORITHMS),
    encoding=st.sampled_from(ENCODINGS),
    prefix=st.sampled_from(["", "sha256=", "v1, "]),
    timestamp_header=st.sampled_from(["", "X-Time"]),
    signed=st.sampled_from(["{body}", "{method} {url}\n{body}", "é{body}é"]),
)
HEADERS = sorted({name for scheme in SCHEMES.values() for name in scheme.headers})
bodies = st.binary(max_size=300)


def signed(config: Config, sent: Message) -> Message:
    return replace(sent, headers=replace_headers(sent.headers, sign(config, sent, URL, moment(NOW))))


def verdict(config: Config, sent: Message) -> Verification:
    return verify(config, sent, moment(NOW), URL)


@given(names, messages, bodies)
def test_what_is_signed_verifies_and_what_is_altered_does_not(name: str, sent: Message, other: bytes) -> None:
    assume(name != "twilio")
    made = signed(CONFIGS[name], sent)
    assert verdict(CONFIGS[name], made) == Verification(True)
    assume(other != sent.body)
    found = verdict(CONFIGS[name], replace(made, body=other))
    assert found.verified is False
    assert found.diagnosis is not None
    assert found.diagnosis.code in ("signature_mismatch", "body_reencoded", "body_altered", "wrong_secret")


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=5), st.randoms())
def test_twilio_takes_a_forms_fields_in_any_order(fields: list[tuple[str, str]], random: Random) -> None:
    form = (("Content-Type", "application/x-www-form-urlencoded"),)
    sent = Message("POST", "/", "1.1", form, urlencode(fields).encode())
    made = signed(CONFIGS["twilio"], sent)
    random.shuffle(fields)
    assert verdict(CONFIGS["twilio"], replace(made, body=urlencode(fields).encode())).verified
    more = urlencode([*fields, ("another", "x" * 10)]).encode()
    assert verdict(CONFIGS["twilio"], replace(made, body=more)).verified is False


@given(secrets, options, messages)
def test_an_hmac_of_any_kind(secret: str, chosen: HmacOptions, sent: Message) -> None:
    config = Config("hmac", secret, chosen)
    made = signed(config, sent)
    assert verdict(config, made) == Verification(True)
    assert verdict(Config("hmac", secret + "x", chosen), made).verified is False


@given(names, messages, st.lists(st.tuples(st.sampled_from(HEADERS), wire), max_size=3))
def test_nothing_that_is_sent_raises(name: str, sent: Message, claims: list[Pair]) -> None:
    hostile = replace(sent, headers=(*sent.headers, *claims))
    found = verdict(CONFIGS[name], hostile)
    assert found.verified is False
    assert found.diagnosis is not None


@given(names, wire, wire, wire, st.binary(max_size=30))
def test_no_header_of_a_scheme_raises(name: str, one: str, two: str, three: str, body: bytes) -> None:
    headers = [header for header, _ in sign(CONFIGS[name], Message("POST", "/", "1.1", (), b""), URL, moment(NOW))]
    sent = Message("POST", "/", "1.1", tuple(zip(headers, (one, two, three), strict=False)), body)
    assert verdict(CONFIGS[name], sent).verified is False


@given(
    st.lists(st.tuples(st.sampled_from(["A", "a", "B", "X-Hub-Signature-256", "stripe-signature"]), wire), max_size=6)
)
def test_headers_are_replaced_in_place_once(headers: list[Pair]) -> None:
    pairs = [("a", "new"), ("Stripe-Signature", "new")]
    made = replace_headers(headers, pairs)
    for name, _ in pairs:
        assert [value for given_name, value in made if given_name.lower() == name.lower()] == ["new"]
    rest = [pair for pair in headers if pair[0].lower() not in ("a", "stripe-signature")]
    assert [pair for pair in made if pair[0].lower() not in ("a", "stripe-signature")] == rest
