"""Secrets that are stored sealed."""

import base64
import re
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instantlite import sealing
from instantlite.sealing import Unsealable, seal, unseal

OWNER = uuid.UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_sealed_is_unsealed(text: str) -> None:
    assert unseal("signature", OWNER, seal("signature", OWNER, text)) == text


def test_it_is_safe_in_a_url_and_holds_nothing_of_the_secret() -> None:
    sealed = seal("signature", OWNER, SECRET)
    assert re.fullmatch(r"s1\.[A-Za-z0-9_-]+", sealed)
    raw = base64.urlsafe_b64decode(sealed[3:] + "==")
    assert SECRET.encode() not in raw
    assert SECRET[6:] not in sealed


def test_the_same_secret_is_sealed_otherwise_each_time() -> None:
    assert seal("signature", OWNER, SECRET) != seal("signature", OWNER, SECRET)


def test_it_opens_for_its_owner_and_purpose_alone() -> None:
    sealed = seal("signature", OWNER, SECRET)
    for purpose, owner in (("signature", uuid.uuid4()), ("other", OWNER)):
        with pytest.raises(Unsealable):
            unseal(purpose, owner, sealed)


def test_it_does_not_open_with_another_secret_key(settings: Any) -> None:
    sealed = seal("signature", OWNER, SECRET)
    settings.SECRET_KEY = "another key, which nobody else will ever use either"
    with pytest.raises(Unsealable):
        unseal("signature", OWNER, sealed)


@pytest.mark.parametrize("sealed", ["", "s1.", "s1.AAAA", "s1.%%%", "s1.é", "s2.AAAAAAAAAAAAAAAAAAAAAAAA", SECRET])
def test_what_was_never_sealed_does_not_open(sealed: str) -> None:
    with pytest.raises(Unsealable):
        unseal("signature", OWNER, sealed)


def test_a_bit_that_was_changed_is_found() -> None:
    sealed = seal("signature", OWNER, SECRET)
    raw = bytearray(base64.urlsafe_b64decode(sealed[3:] + "=="))
    for position in range(len(raw)):
        altered = bytearray(raw)
        altered[position] ^= 1
        text = "s1." + base64.urlsafe_b64encode(bytes(altered)).decode().rstrip("=")
        with pytest.raises(Unsealable):
            unseal("signature", OWNER, text)


def test_no_nonce_comes_twice() -> None:
    nonces = {base64.urlsafe_b64decode(seal("p", OWNER, "")[3:] + "==")[: sealing._NONCE_BYTES] for _ in range(1000)}
    assert len(nonces) == 1000
