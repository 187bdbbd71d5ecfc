"""Signing anew: what is sent on later is signed for its receiver, at the time when it is sent."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.webhooks.signing import CONFIGS, NOW, PRIVATE_KEY, PUBLIC_KEY, code, message, moment
from webhooks import signatures
from webhooks.message import Message
from webhooks.signature_fields import OPTIONS
from webhooks.signatures import Config, Unsealable, Unsignable, resign, store
from webhooks.signatures.stored import shown

OWNER = uuid.UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
DESTINATION = "https://consumer.example:8443/hooks?b=2"
LATER = NOW + 86_400


def stored(name: str, secret: str = "", owner: uuid.UUID = OWNER) -> dict[str, Any]:
    """The settings as a destination keeps them."""
    config = CONFIGS[name]
    options = {option: getattr(config.hmac, option) for option in OPTIONS} if config.provider == "hmac" else {}
    return store(owner, {"provider": config.provider, "secret": secret or config.secret, **options})


def signed_at(name: str, sent: Message, at: int) -> Message:
    headers = resign(stored(name), OWNER, sent, DESTINATION, moment(at))
    return replace(sent, headers=headers)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_request_is_signed_for_where_and_when_it_is_sent(name: str) -> None:
    sent = message(b'{"a": 1}', ("X-Other", "1"))
    first = signed_at(name, sent, NOW)
    later = signed_at(name, first, LATER)
    assert code(CONFIGS[name], later, LATER, DESTINATION) == ""
    assert len(later.headers) == len(first.headers)
    assert later.headers[:2] == sent.headers
    assert later.body == sent.body


@pytest.mark.parametrize("name", ["standard-webhooks", "ed25519", "stripe", "slack", "hmac"])
def test_without_it_the_old_timestamp_is_refused(name: str) -> None:
    assert code(CONFIGS[name], signed_at(name, message(b"x"), NOW), LATER, DESTINATION) == "timestamp_too_old"


@pytest.mark.parametrize("name", CONFIGS)
def test_an_edited_body_and_another_secret_are_signed(name: str) -> None:
    old = signed_at(name, message(b'{"a": 1}'), NOW)
    edited = replace(old, body=b'{"a": 2}', headers=(*old.headers, ("X-Late", "1")))
    assert code(CONFIGS[name], signed_at(name, edited, LATER), LATER, DESTINATION) == ""


def test_standard_webhooks_keeps_the_id_and_the_names_it_came_with() -> None:
    sent = message(b"{}", ("Svix-Id", "msg_7"), ("SVIX-TIMESTAMP", "1"), ("svix-signature", "v1,x v1,y"))
    headers = dict(resign(stored("standard-webhooks"), OWNER, sent, DESTINATION, moment(LATER)))
    assert headers["Svix-Id"] == "msg_7"
    assert headers["SVIX-TIMESTAMP"] == str(LATER)
    assert headers["svix-signature"].startswith("v1,")
    assert " " not in headers["svix-signature"]


def test_a_request_without_id_gets_one_that_its_attempts_share() -> None:
    request_id = uuid.uuid4()
    made = [
        dict(resign(stored("standard-webhooks"), OWNER, message(b""), DESTINATION, moment(at), request_id))[
            "webhook-id"
        ]
        for at in (NOW, LATER)
    ]
    assert made == [f"msg_{request_id.hex}"] * 2


def test_an_old_signature_of_github_is_made_anew_where_it_was() -> None:
    sent = message(b"x", ("X-Hub-Signature", "sha1=0"), ("X-Hub-Signature-256", "sha256=0"))
    headers = resign(stored("github"), OWNER, sent, DESTINATION, moment(NOW))
    assert [name for name, _ in headers] == ["Content-Type", "X-Hub-Signature", "X-Hub-Signature-256"]
    assert code(CONFIGS["github"], replace(sent, headers=headers)) == ""
    assert code(CONFIGS["github"], replace(sent, headers=headers[:2])) == ""


def test_a_signature_that_stood_twice_stands_once() -> None:
    sent = message(b"x", ("X-Hub-Signature-256", "a"), ("Between", "1"), ("x-hub-signature-256", "b"))
    headers = resign(stored("github"), OWNER, sent, DESTINATION, moment(NOW))
    assert [name for name, _ in headers] == ["Content-Type", "X-Hub-Signature-256", "Between"]


def test_a_public_key_cannot_sign() -> None:
    with pytest.raises(Unsignable, match="whsk_"):
        resign(stored("ed25519", PUBLIC_KEY), OWNER, message(b""), DESTINATION, moment(NOW))


def test_a_secret_that_is_not_as_it_should_be_is_said() -> None:
    with pytest.raises(Unsignable, match="Set it again"):
        resign(stored("standard-webhooks", "whsec_%"), OWNER, message(b""), DESTINATION, moment(NOW))


def test_a_private_key_signs_what_its_public_key_verifies() -> None:
    headers = resign(stored("ed25519"), OWNER, message(b"x"), DESTINATION, moment(NOW))
    sent = replace(message(b"x"), headers=headers)
    assert code(Config("standard-webhooks", PUBLIC_KEY), sent, NOW, DESTINATION) == ""
    assert PRIVATE_KEY not in str(headers)


def test_settings_of_another_destination_or_under_another_key_do_not_open(settings: Any) -> None:
    kept = stored("stripe")
    with pytest.raises(Unsealable):
        resign(kept, uuid.uuid4(), message(b""), DESTINATION, moment(NOW))
    settings.SECRET_KEY = "another key, which nobody else will ever use either"
    with pytest.raises(Unsealable):
        resign(kept, OWNER, message(b""), DESTINATION, moment(NOW))


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_stored_and_shown_holds_no_secret(name: str) -> None:
    kept = stored(name)
    assert CONFIGS[name].secret not in str(kept)
    assert CONFIGS[name].secret not in str(shown(kept))
    assert (shown(kept) or {})["secret"] == "set"
    assert "sealed" not in (shown(kept) or {})
    assert signatures.opened(OWNER, kept) == CONFIGS[name]


def test_a_secret_stays_while_the_provider_does() -> None:
    kept = stored("stripe")
    assert signatures.opened(OWNER, store(OWNER, {"provider": "stripe"}, kept)).secret == CONFIGS["stripe"].secret
    for current in (None, stored("github")):
        with pytest.raises(signatures.SecretNeeded):
            store(OWNER, {"provider": "stripe"}, current)


def test_the_clock_may_carry_fractions_of_a_second() -> None:
    sent = message(b"x")
    headers = resign(stored("slack"), OWNER, sent, DESTINATION, moment(NOW) + timedelta(milliseconds=999))
    assert dict(headers)["X-Slack-Request-Timestamp"] == str(NOW)
