"""Which IP addresses requests may be sent to: those of the public internet, and what an operator has opened.

The table is our own, because `ipaddress.is_global` differs between Python's versions and is silent on what stands
inside an address. Sources: the IANA registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890, RFC 8190), and
for each line the document that it names.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import NamedTuple

from django.conf import settings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# What an address is, as it completes "resolves to …". A message says no more than this: not where a network has what.
PRIVATE = "an address of a private network"
LOOPBACK = "a loopback address"
LINK_LOCAL = "a link-local address"
SHARED = "an address of a provider's inner network"
MULTICAST = "a multicast address"
RESERVED = "a reserved address"
EXAMPLE = "an address for documentation or measurements"
PROTOCOL = "an address that belongs to a protocol"
PLATFORM = "an address of the hosting platform"
EMBEDDING = "an IPv6 address that stands for an IPv4 address"
OWN = "an address of this service itself"


class Line(NamedTuple):
    """A network that nothing is sent to, what it is in words, and the document that says so."""

    network: Network
    words: str
    source: str


TABLE = tuple(
    Line(ip_network(network), words, source)
    for network, words, source in (
        ("0.0.0.0/8", LOOPBACK, "RFC 1122, section 3.2.1.3: this host; Linux connects 0.0.0.0 to loopback"),
        ("10.0.0.0/8", PRIVATE, "RFC 1918"),
        ("100.64.0.0/10", SHARED, "RFC 6598; Alibaba's metadata are at 100.100.100.200"),
        ("127.0.0.0/8", LOOPBACK, "RFC 1122, section 3.2.1.3"),
        (
            "168.63.129.16/32",
            PLATFORM,
            "Microsoft, 'What is IP address 168.63.129.16?': Azure's agent, public by number",
        ),
        ("169.254.0.0/16", LINK_LOCAL, "RFC 3927; cloud metadata are at 169.254.169.254"),
        ("172.16.0.0/12", PRIVATE, "RFC 1918"),
        ("192.0.0.0/24", PROTOCOL, "RFC 6890; Oracle's metadata are at 192.0.0.192"),
        ("192.0.2.0/24", EXAMPLE, "RFC 5737"),
        ("192.31.196.0/24", PROTOCOL, "RFC 7535: AS112"),
        ("192.52.193.0/24", PROTOCOL, "RFC 7450: AMT"),
        ("192.88.99.0/24", PROTOCOL, "RFC 7526: relays of 6to4, abolished"),
        ("192.168.0.0/16", PRIVATE, "RFC 1918"),
        ("192.175.48.0/24", PROTOCOL, "RFC 7534: AS112"),
        ("198.18.0.0/15", EXAMPLE, "RFC 2544"),
        ("198.51.100.0/24", EXAMPLE, "RFC 5737"),
        ("203.0.113.0/24", EXAMPLE, "RFC 5737"),
        ("224.0.0.0/4", MULTICAST, "RFC 5771"),
        ("255.255.255.255/32", MULTICAST, "RFC 919: broadcast"),
        ("240.0.0.0/4", RESERVED, "RFC 1112, section 4"),
        ("::/128", LOOPBACK, "RFC 4291, section 2.5.2: unspecified; Linux connects it to loopback"),
        ("::1/128", LOOPBACK, "RFC 4291, section 2.5.3"),
        ("::/96", EMBEDDING, "RFC 4291, section 2.5.5.1: IPv4-compatible"),
        ("::ffff:0:0/96", EMBEDDING, "RFC 4291, section 2.5.5.2: IPv4-mapped"),
        ("::ffff:0:0:0/96", EMBEDDING, "RFC 2765, section 2.1: IPv4-translated"),
        ("64:ff9b:1::/48", EMBEDDING, "RFC 8215: NAT64 within one network"),
        ("100::/64", PROTOCOL, "RFC 6666: discard-only"),
        ("100:0:0:1::/64", PROTOCOL, "RFC 9780: dummy prefix"),
        ("2001::/32", EMBEDDING, "RFC 4380: Teredo"),
        ("2001:2::/48", EXAMPLE, "RFC 5180: measurements"),
        ("2001::/23", PROTOCOL, "RFC 2928: assignments to protocols; ORCHID, AMT, DRIP, anycast of PCP and TURN"),
        ("2001:db8::/32", EXAMPLE, "RFC 3849"),
        ("2002::/16", EMBEDDING, "RFC 3056: 6to4; nobody relays it any more (RFC 7526)"),
        ("2620:4f:8000::/48", PROTOCOL, "RFC 7534: AS112"),
        ("3fff::/20", EXAMPLE, "RFC 9637"),
        ("5f00::/16", PROTOCOL, "RFC 9602: segment routing"),
        ("fc00::/7", PRIVATE, "RFC 4193; AWS's metadata are at fd00:ec2::254, Google's at fd20:ce::254"),
        ("fe80::/10", LINK_LOCAL, "RFC 4291, section 2.5.6"),
        ("fec0::/10", PRIVATE, "RFC 3879: site-local, abolished"),
        ("ff00::/8", MULTICAST, "RFC 4291, section 2.7"),
        # Last, for what no line above names: global unicast is 2000::/3, the rest is not given out (RFC 4291, 2.4).
        ("::/3", RESERVED, "IANA, IPv6 address space"),
        ("4000::/2", RESERVED, "IANA, IPv6 address space"),
        ("8000::/1", RESERVED, "IANA, IPv6 address space"),
    )
)

# NAT64's well-known prefix (RFC 6052, section 2.1): how a machine without IPv4 reaches IPv4, so a public address within
# is let through. Of all prefixes outside 2000::/3 this is the only one.
NAT64 = IPv6Network("64:ff9b::/96")
MAPPED = IPv6Network("::ffff:0:0/96")
# The interface identifiers of ISATAP, ahead of the IPv4 address (RFC 5214, section 6.1): bits 64 to 95.
_ISATAP = (0x00005EFE, 0x02005EFE)


def forbidden(address: Address) -> str | None:
    """What the address is, in words, where nothing may be sent to it; None where it may.

    Whether it is this service's own is not looked at, see own_addresses.py.
    """
    return None if opened(address) else _by_table(address)


def opened(address: Address) -> bool:
    """Whether an operator lets requests to it through, in `forwarding.allow_networks`.

    An IPv4-mapped address is that IPv4 address to the kernel. So what opens one opens the other, and a wide IPv6
    network, `::/0` even, does not open IPv4 by the back door. No other form of an IPv4 address is opened with it.
    """
    return _opened(address, settings.INSTANTLITE.forwarding.allow_networks)


@lru_cache(maxsize=1024)
def _opened(address: Address, networks: tuple[Network, ...]) -> bool:
    if isinstance(address, IPv6Address) and (mapped := address.ipv4_mapped):
        within = [network for network in networks if isinstance(network, IPv4Network) or network.subnet_of(MAPPED)]
        return any(mapped in network or address in network for network in within)
    return any(address in network for network in networks)


@lru_cache(maxsize=1024)
def _by_table(address: Address) -> str | None:
    if isinstance(address, IPv6Address):
        if address.scope_id:
            return LINK_LOCAL
        # In these forms the IPv4 address is the last 32 bits.
        inside = IPv4Address(int(address) & 0xFFFFFFFF)
        if address in NAT64:
            return EMBEDDING if _by_table(inside) else None
        if int(address) >> 32 & 0xFFFFFFFF in _ISATAP and _by_table(inside):
            return EMBEDDING
    for line in TABLE:
        if address in line.network:
            return line.words
    return None
