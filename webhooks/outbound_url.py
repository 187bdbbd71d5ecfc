"""URLs of destinations: taken apart in one way only, ours, so that what is checked is what is connected to."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote

import idna
from django.conf import settings

from webhooks.addresses import Address
from webhooks.outbound_errors import Refused

_PORTS = {"http": 80, "https": 443}
# RFC 3986, appendix B, for what has an authority.
_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<tail>[^#]*)(?:#.*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{0,5}))?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Of bytes as Latin-1 the upper ones are parts of characters: UTF-8 has them.
_CONTROL_BYTE = re.compile(r"[\x00-\x1f\x7f]")
# Half a character: JSON can write it, no encoding can.
_SURROGATE = re.compile("[\ud800-\udfff]")
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
# A host whose last label looks like this is an IPv4 address to inet_aton(3), and so to the URL Standard (section 3.5).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# What may stand in a path or query as it is (RFC 3986, sections 3.3 and 3.4), with the brackets that many write there.
# A % that starts no %XX stays as well: it came like that.
_KEPT = "%:/?[]@!$&'()*+,;="


@dataclass(frozen=True)
class Target:
    """Where a request goes: `host` is a name in ASCII or an address without brackets, `address` is set for the latter.

    `tail` is path and query, percent-encoded as given, and may be empty.
    """

    scheme: str
    host: str
    address: Address | None
    port: int
    tail: str

    @property
    def authority(self) -> str:
        """The value of `Host` (RFC 9110, section 7.2): without the port that the scheme has anyway."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin_form(self) -> str:
        """The request target (RFC 9112, section 3.2.1)."""
        return self.tail if self.tail.startswith("/") else f"/{self.tail}"

    @property
    def url(self) -> str:
        """The whole, in the form that is stored: without fragment, and without the port that the scheme has anyway."""
        return f"{self.scheme}://{self.authority}{self.tail}"


def read(url: str, encoding: str) -> Target:
    """Take a URL apart. Raises Refused where it is none that can be sent to, or its port is not allowed.

    `encoding`: of characters beyond ASCII in path and query, `utf-8` for what somebody has typed, `latin-1` for the
    bytes of a captured target. Whether its address is allowed is not looked at.
    """
    if (_CONTROL_BYTE if encoding == "latin-1" else _CONTROL).search(url) or _SURROGATE.search(url):
        raise Refused("the URL holds control characters or line ends, which no URL can have")
    whole = _URL.fullmatch(url)
    if not whole:
        raise Refused("the URL has to start with http:// or https://")
    if "@" in whole["authority"]:
        raise Refused("the URL holds a user name or password; put them into a header, such as Authorization")
    authority = _AUTHORITY.fullmatch(whole["authority"])
    if not authority:
        raise Refused("the URL's host or port cannot be read")
    scheme = whole["scheme"].lower()
    address, host = usual_host(authority["host"])
    port = int(authority["port"] or _PORTS[scheme])
    _check_port(port)
    return Target(scheme, host, address, port, _encoded(whole["tail"], encoding))


def _check_port(port: int) -> None:
    ports = settings.INSTANTLITE.forwarding.ports
    if not any(low <= port <= high for low, high in _ranges(ports)):
        raise Refused(f"port {port} is not among those that this server sends to: {', '.join(ports)}")


@lru_cache(maxsize=16)
def _ranges(ports: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    pairs = (text.partition("-") for text in ports)
    return tuple((int(low), int(high or low)) for low, _, high in pairs)


def usual_host(text: str) -> tuple[Address | None, str]:
    """The address, where a host is one in whatever spelling, and the host in its usual spelling.

    The host comes in ASCII and lower case, without brackets and without a last dot. Raises Refused.
    """
    if text.startswith("["):
        return _ipv6(text[1:-1])
    name = _ascii(text).removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        address = _ipv4(labels)
        return address, str(address)
    if not name:
        raise Refused("the URL has no host")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("the URL's host is no name that DNS can have")
    return None, name


def _ipv6(text: str) -> tuple[Address, str]:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise Refused("the URL's host is no IPv6 address") from None
    if address.scope_id is not None:
        raise Refused("the URL's host has a zone, which means something on one machine only; leave out % and the rest")
    return address, str(address)


def _ipv4(labels: list[str]) -> IPv4Address:
    """What the C library makes of numbers with dots: one to four, decimal, octal after a 0, hexadecimal after 0x.

    The last one fills what the others leave, so 127.1 is 127.0.0.1 (URL Standard, section 3.5, the IPv4 parser).
    """
    try:
        numbers = [_number(label) for label in labels]
    except ValueError:
        numbers = []
    *first, last = numbers or [-1]
    if len(first) > 3 or any(number > 255 for number in first) or not 0 <= last < 256 ** (4 - len(first)):
        raise Refused("the URL's host ends in a number and is no IPv4 address")
    return IPv4Address(sum(number << 24 - 8 * index for index, number in enumerate(first)) + last)


def _number(label: str) -> int:
    if not _NUMBER.fullmatch(label):
        raise ValueError
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8 if label.startswith("0") else 10)


def _ascii(host: str) -> str:
    """A host in lower case, with names in other scripts as A-labels (RFC 5891).

    UTS 46 maps look-alikes first: full-width digits and dots are digits and dots from here on. Raises Refused.
    """
    try:
        mapped = idna.uts46_remap(host, std3_rules=False)
        return ".".join(label if label.isascii() else idna.alabel(label).decode() for label in mapped.split("."))
    except (idna.IDNAError, UnicodeError):
        raise Refused("the URL's host is no name that can be written in ASCII (RFC 5891)") from None


def _encoded(tail: str, encoding: str) -> str:
    try:
        return quote(tail, safe=_KEPT, encoding=encoding, errors="strict")
    except UnicodeEncodeError:
        return quote(tail, safe=_KEPT, encoding="utf-8")
