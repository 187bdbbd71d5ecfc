"""Who is asking: the address behind trusted proxies, its subnet, and the fingerprint that stands for it.

An address is never stored, logged or traced; only its fingerprint is, and that cannot be turned back without the key.
"""

import ipaddress
from dataclasses import dataclass
from functools import cached_property, lru_cache

from django.conf import settings
from django.http import HttpRequest

from instantlite import keys

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# More than any address with its zone and port has.
_LONGEST = 100


@dataclass(frozen=True)
class Client:
    """A caller. `address` is None where the server could not tell (a Unix socket without a proxy that says)."""

    address: Address | None

    @property
    def subnet(self) -> str:
        """The network in CIDR notation that stands for this client."""
        if self.address is None:
            return "unknown"
        limits = settings.INSTANTLITE.limits
        prefix = limits.client_ipv4_prefix if self.address.version == 4 else limits.client_ipv6_prefix
        return str(ipaddress.ip_network(f"{self.address}/{prefix}", strict=False))

    @cached_property
    def fingerprint(self) -> str:
        """22 characters: the form in which a client may be stored and traced."""
        return keys.base64url(keys.derive("fingerprint", self.subnet)[:16])


def identify(request: HttpRequest) -> Client:
    """The client of a request: the rightmost address in X-Forwarded-For that no trusted proxy vouches for.

    Each proxy appends the address that it was called from, so that everything to the left of the first address which
    is not a trusted proxy's was written by somebody who may lie.
    """
    address = _parse(request.META.get("REMOTE_ADDR", ""))
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    while _trusted(address) and forwarded:
        hop = _parse(forwarded.pop())
        if hop is None:
            break
        address = hop
    return Client(address)


def _trusted(address: Address | None) -> bool:
    networks = settings.INSTANTLITE.server.trusted_proxies
    return address is not None and any(address.version == net.version and address in net for net in networks)


def _parse(text: str) -> Address | None:
    text = text.strip()
    return _address(text) if len(text) <= _LONGEST else None


# Nearly every request comes from one of a few proxies, and what an address is takes longer to say than to remember.
@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    if text.startswith("["):  # [2001:db8::1]:4711
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 192.0.2.1:4711, as some proxies write it
        text = text.partition(":")[0]
    # fe80::1%eth0: the zone is an interface of the machine that saw it (RFC 4007, section 11), no part of an address.
    text = text.partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # ::ffff:192.0.2.1 is the IPv4 client, seen through a socket that speaks both.
    return getattr(address, "ipv4_mapped", None) or address
