"""Passwords and tokens: derived, unguessable, and in the form that PostgreSQL takes."""

import base64
import uuid

from instantlite import keys
from instantlite.uuid7 import uuid7
from provisioning.credentials import password, scram_verifier


def test_the_verifier_is_that_of_rfc_7677() -> None:
    """RFC 7677, section 3: user, pencil; the server's proof there is made with the keys that we derive."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    verifier = scram_verifier("pencil", salt)
    scheme, iterations_and_salt, proof = verifier.split("$")
    assert scheme == "SCRAM-SHA-256"
    assert iterations_and_salt == "4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    server_key = base64.b64decode(proof.split(":")[1])
    auth_message = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    import hmac  # noqa: PLC0415 — the RFC's last step, beside its figures

    assert base64.b64encode(hmac.digest(server_key, auth_message, "sha256")) == (
        b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    )


def test_each_generation_and_each_kind_has_its_own_password() -> None:
    resource = uuid7()
    made = {password(kind, resource, generation) for kind in ("db", "cache") for generation in range(3)}
    assert len(made) == 6
    assert password("db", resource, 1) == password("db", resource, 1)
    assert all(len(one) == 43 and one.replace("-", "").replace("_", "").isalnum() for one in made)


def test_a_token_opens_its_own_resource_only() -> None:
    resource = uuid7()
    token = keys.token_for("db", resource)
    assert keys.resource_id_of("db", token) == resource
    assert keys.resource_id_of("webhook", token) is None
    for position in range(len(token)):
        other = "A" if token[position] != "A" else "B"
        assert keys.resource_id_of("db", token[:position] + other + token[position + 1 :]) is None
    for wrong in ("", "db_", token + "A", token[:-1], token.upper(), "db_" + "\x00" * 43, "db_" + "é" * 43):
        assert keys.resource_id_of("db", wrong) is None


def test_parts_of_a_derivation_cannot_be_shifted() -> None:
    assert keys.derive("p", "ab", "c") != keys.derive("p", "a", "bc")
    assert keys.derive("p", "a") != keys.derive("q", "a")


def test_ids_sort_by_time_and_are_version_7() -> None:
    made = [uuid7() for _ in range(100)]
    assert {one.version for one in made} == {7}
    assert {one.variant for one in made} == {uuid.RFC_4122}
    assert len(set(made)) == 100
    assert [one.int >> 80 for one in made] == sorted(one.int >> 80 for one in made)
