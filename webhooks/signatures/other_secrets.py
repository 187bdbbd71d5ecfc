"""What is made of a secret by mistake, here or at the sender's: each is a key to try, with what to do if it fits."""

import base64
from collections.abc import Iterator

from webhooks.signatures.claim import decode
from webhooks.signatures.config import Config
from webhooks.signatures.standard import SECRET

_QUOTES = "\"'"


def other_keys(config: Config, right: bytes) -> list[tuple[bytes, str]]:
    """Keys that are not `right`, the likely ones first, each once."""
    found: dict[bytes, str] = {}
    for key, says in _keys(config):
        if key and key != right:
            found.setdefault(key, says)
    return list(found.items())


def _keys(config: Config) -> Iterator[tuple[bytes, str]]:
    if config.provider == "standard-webhooks":
        yield from _of_standard(config.secret)
    else:
        yield from _of_text(config, config.secret)


def _of_standard(secret: str) -> Iterator[tuple[bytes, str]]:
    bare = secret.removeprefix(SECRET)
    decoded = (
        "The sender took the text behind whsec_ as it is for the key; by Standard Webhooks it is base64 and has to be "
        "decoded. Mend the sender."
    )
    yield bare.encode(), decoded
    yield (
        f"{SECRET}{bare}".encode(),
        "The sender took the whole text of the secret for the key, the prefix whsec_ left in; by Standard Webhooks the "
        "prefix is taken off, and the rest decoded from base64. Mend the sender.",
    )
    yield from _decoded(bare, "hex", "The sender decoded the secret from hex where base64 is meant. Mend the sender.")
    right = decode(bare, "base64") or b""
    yield from _with_line_end(right, "The sender's key has a line break behind it. Take it off there.")


def _of_text(config: Config, secret: str) -> Iterator[tuple[bytes, str]]:
    if config.provider == "hmac" and config.hmac.secret_encoding in ("hex", "base64"):
        yield (
            secret.encode(),
            f"The sender takes the text of the secret for the key, and does not decode it from "
            f'{config.hmac.secret_encoding}. Set secret_encoding to "text".',
        )
    stripped = secret.strip()
    if stripped != secret:
        yield stripped.encode(), "The secret that is set here has spaces around it. Set it again without them."
    unquoted = stripped.strip(_QUOTES)
    if unquoted != stripped:
        yield unquoted.encode(), "The secret that is set here has quotation marks around it. Set it again without them."
    yield from _with_line_end(
        secret.encode(),
        "The sender's secret has a line break behind it, as when it is read from a file. Take it off there.",
    )
    bare = stripped.removeprefix(SECRET)
    if bare != stripped:
        yield (
            bare.encode(),
            "The sender signs with the secret without its prefix whsec_. Set it so here, or put the prefix back there.",
        )
    else:
        yield f"{SECRET}{bare}".encode(), "The prefix whsec_ was left off. Set the secret with it."
    yield from _decoded(
        bare,
        "base64",
        f"The sender decodes the secret from base64; here its text is the key. {_advice(config, 'base64')}",
    )
    yield from _decoded(
        bare, "hex", f"The sender decodes the secret from hex; here its text is the key. {_advice(config, 'hex')}"
    )
    yield base64.b64encode(stripped.encode()), "The sender signs with the base64 of the secret. Set that, or mend it."
    yield stripped.encode().hex().encode(), "The sender signs with the hex of the secret. Set that, or mend it."
    yield f" {secret}".encode(), "The sender's secret has a space in front of it. Take it off there."
    yield f"{secret} ".encode(), "The sender's secret has a space behind it. Take it off there."
    if stripped.lower() != stripped:
        yield stripped.lower().encode(), "The sender signs with the secret in small letters. Set it so, or mend it."


def _decoded(text: str, encoding: str, says: str) -> Iterator[tuple[bytes, str]]:
    key = decode(text, "hex" if encoding == "hex" else "base64")
    if key:
        yield key, says
    elif encoding == "base64" and (urlsafe := decode(text, "base64url")):
        yield urlsafe, says


def _with_line_end(key: bytes, says: str) -> Iterator[tuple[bytes, str]]:
    yield key + b"\n", says
    yield key + b"\r\n", says


def _advice(config: Config, encoding: str) -> str:
    if config.provider == "hmac":
        return f'Set secret_encoding to "{encoding}".'
    return "Mend the sender: this scheme takes the text."
