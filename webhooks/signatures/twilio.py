"""Twilio: `X-Twilio-Signature`, HMAC-SHA1 in base64 of the URL and, behind it, a form's names and values in order.

twilio.com/docs/usage/webhooks/webhooks-security. A body that is no form is not part of it: its SHA-256 stands in the
query as `bodySHA256`, and the URL is signed. Twilio leaves a port out or writes the default one, so that each is tried.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, urlsplit

from webhooks.bodies import form_fields
from webhooks.message import Message, Pair
from webhooks.signatures.claim import Claim, Content, encode, mac, needed, wire_bytes
from webhooks.signatures.config import Config
from webhooks.signatures.scheme import Signing

_HEADER = "X-Twilio-Signature"
_DEFAULT_PORTS = {"https": 443, "http": 80}
_AUTHORITY = re.compile(r"^([a-z]+)://([^/?#]*)", re.IGNORECASE)
_PORT = re.compile(r":[0-9]*$")


class Twilio:
    label = "Twilio"
    headers = (_HEADER,)

    def key(self, config: Config) -> bytes:
        return config.secret.encode()

    def claim(self, config: Config, message: Message, url: str) -> Claim:
        text = needed(message, _HEADER, "Twilio sends it with each webhook.")

        def contents(body: bytes) -> Sequence[Content]:
            # Of a form with too many fields some are not read, and could say anything.
            if not body_is_the_hashed_one(url, body) or not form_fields(body).complete:
                return []
            return [(wire_bytes(form), *_parameters(message, url, body)) for form in with_and_without_port(url)]

        return Claim(_HEADER, (text,), contents, "sha1", "base64")

    def sign(self, config: Config, signing: Signing) -> Sequence[Pair]:
        content = (wire_bytes(signing.url), *_parameters(signing.message, signing.url, signing.message.body))
        return [(_HEADER, encode(mac(self.key(config), content, "sha1"), "base64"))]


def body_hash(url: str) -> str | None:
    """`bodySHA256` of a URL's query; None without one."""
    query = urlsplit(url).query
    return next((value for name, value in parse_qsl(query, keep_blank_values=True) if name == "bodySHA256"), None)


def body_is_the_hashed_one(url: str, body: bytes) -> bool:
    """False where the URL says that the body is another one."""
    said = body_hash(url)
    return said is None or hmac.compare_digest(said.encode(), hashlib.sha256(body).hexdigest().encode())


def with_and_without_port(url: str) -> Iterator[str]:
    """The URL, without its port where it has one, with its scheme's default where it has none."""
    yield url
    found = _AUTHORITY.match(url)
    if not found:
        return
    scheme, authority = found.groups()
    bare = _PORT.sub("", authority)
    default = _DEFAULT_PORTS.get(scheme.lower())
    if bare != authority:
        yield f"{scheme}://{bare}{url[found.end() :]}"
    elif default:
        yield f"{scheme}://{authority}:{default}{url[found.end() :]}"


def _parameters(message: Message, url: str, body: bytes) -> Iterator[bytes]:
    """A form's names, each with its values behind it, in order; every value once, as Twilio's own validators do it."""
    if message.content_type != "application/x-www-form-urlencoded" or body_hash(url) is not None:
        return
    for name, value in sorted(set(form_fields(body).fields)):
        yield f"{name}{value}".encode()
