"""Which addresses nothing is sent to: every special one, also inside another, unless an operator opens it."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.webhooks.receivers import forwarding
from webhooks.addresses import EMBEDDING, TABLE, forbidden

# Where we say no and ipaddress says "global" in some version of Python, and why.
STRICTER = {
    "168.63.129.16/32": "Azure's agent has a public number",
    "192.0.0.0/24": "192.0.0.9 and 192.0.0.10 are anycast of PCP and TURN (RFC 7723, RFC 8155): no place for webhooks",
    "192.31.196.0/24": "AS112, DNS only",
    "192.52.193.0/24": "AMT, multicast tunnels only",
    "192.88.99.0/24": "6to4 relays, abolished; not in Python's list",
    "192.175.48.0/24": "AS112, DNS only",
    "224.0.0.0/4": "ipaddress means 'not private' by global, multicast included",
    "::/96": "not in Python's list",
    "::ffff:0:0/96": "judged by what is inside from Python 3.13 on",
    "::ffff:0:0:0/96": "not in Python's list",
    "64:ff9b:1::/48": "not in the list before Python 3.11.10",
    "100:0:0:1::/64": "newer than Python's list",
    "2001::/23": "AMT, ORCHID, DRIP and anycast are global by the registry",
    "2002::/16": "global before Python 3.11.10",
    "2620:4f:8000::/48": "AS112, DNS only",
    "3fff::/20": "newer than Python's list",
    "5f00::/16": "newer than Python's list",
    "fec0::/10": "site-local has an attribute of its own",
    "ff00::/8": "ipaddress means 'not private' by global, multicast included",
    "::/3": "not given out; not in Python's list",
    "4000::/2": "not given out; not in Python's list",
    "8000::/1": "not given out; not in Python's list",
}

# One of each, or the first and last.
FORBIDDEN = """
0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.255
168.63.129.16 169.254.169.254 169.254.170.2 172.16.0.0 172.31.255.255 192.0.0.8 192.0.0.192 192.0.2.1 192.88.99.1
192.168.0.1 198.18.0.0 198.19.255.255 198.51.100.1 203.0.113.255 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:8.8.8.8 64:ff9b::127.0.0.1 64:ff9b::169.254.169.254
64:ff9b::100.64.0.1 64:ff9b:1::8.8.8.8 100::1 100:0:0:1::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1
2001:10::1 2001:20::1 2001:30::1 2001:db8::1 2002:7f00:1::1 2002:808:808::1 2620:4f:8000::1 3fff::1 5f00::1 fc00::1
fd00:ec2::254 fd20:ce::254 fe80::1 fe80::1%1 febf::1 fec0::1 ff02::1 ff0e::1 4000::1 1fff::1 8000::1 e000::1
2607:f8b0::5efe:10.0.0.1 2607:f8b0::200:5efe:127.0.0.1 2607:f8b0:1:2:0:5efe:a9fe:a9fe
"""

ALLOWED = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15 168.63.129.17
169.253.255.255 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
223.255.255.255 2000::1 2001:200::1 2001:4860:4860::8888 2003::1 2606:4700::1111 2a00:1450::1 3ffe:ffff::1
64:ff9b::8.8.8.8 2607:f8b0::5efe:8.8.8.8 2607:f8b0::200:5efe:8.8.8.8
"""


@pytest.fixture(autouse=True)
def _nothing_is_opened(request: pytest.FixtureRequest) -> None:
    forwarding(request.getfixturevalue("settings"))


@pytest.mark.parametrize("text", FORBIDDEN.split())
def test_special_addresses_are_forbidden(text: str) -> None:
    assert forbidden(ip_address(text))


@pytest.mark.parametrize("text", ALLOWED.split())
def test_addresses_of_the_public_internet_are_not(text: str) -> None:
    assert forbidden(ip_address(text)) is None


@pytest.mark.parametrize("line", TABLE, ids=lambda line: str(line.network))
def test_the_table_differs_from_ipaddress_where_it_is_explained_only(line: Any) -> None:
    assert STRICTER.keys() <= {str(each.network) for each in TABLE}
    if str(line.network) in STRICTER:
        return
    assert not line.network[0].is_global
    assert not line.network[-1].is_global


@hypothesis_settings(deadline=None, max_examples=300)
@given(st.ip_addresses())
def test_whatever_ipaddress_calls_private_is_forbidden(address: Any) -> None:
    known = address in ip_network("64:ff9b::/96") if address.version == 6 else False
    if not known and not address.is_global:
        assert forbidden(address)


INSIDE = st.sampled_from([line.network for line in TABLE if line.network.version == 4]).flatmap(
    lambda network: st.ip_addresses(v=4, network=network)
)
FORMS = {
    "compatible": lambda inside, noise: inside,
    "mapped": lambda inside, noise: 0xFFFF << 32 | inside,
    "translated": lambda inside, noise: 0xFFFF << 48 | inside,
    "NAT64": lambda inside, noise: 0x64FF9B << 96 | inside,
    "local NAT64": lambda inside, noise: 0x64FF9B0001 << 80 | (noise & (1 << 48) - 1) << 32 | inside,
    "6to4": lambda inside, noise: 0x2002 << 112 | inside << 80 | noise & (1 << 80) - 1,
    "Teredo": lambda inside, noise: 0x20010000 << 96 | (noise & (1 << 64) - 1) << 32 | inside ^ 0xFFFFFFFF,
    "ISATAP": lambda inside, noise: 0b001 << 125 | (noise & (1 << 61) - 1) << 64 | 0x5EFE << 32 | inside,
    "global ISATAP": lambda inside, noise: 0b001 << 125 | (noise & (1 << 61) - 1) << 64 | 0x2005EFE << 32 | inside,
}


@pytest.mark.parametrize("form", FORMS)
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(inside=INSIDE, noise=st.integers(0, (1 << 128) - 1))
def test_a_forbidden_ipv4_address_inside_ipv6_is_found(form: str, inside: IPv4Address, noise: int) -> None:
    assert forbidden(IPv6Address(FORMS[form](int(inside), noise)))


def test_an_operator_opens_a_network_and_nothing_beside_it(settings: Any) -> None:
    forwarding(settings, "10.1.0.0/16", "fd00:1::/32")
    assert forbidden(ip_address("10.1.2.3")) is None
    assert forbidden(ip_address("::ffff:10.1.2.3")) is None
    assert forbidden(ip_address("fd00:1::5")) is None
    for text in ("10.2.0.1", "::ffff:10.2.0.1", "fd00:2::1", "127.0.0.1"):
        assert forbidden(ip_address(text))


@pytest.mark.parametrize("text", ["::a01:203", "64:ff9b::a01:203", "2002:a01:203::1", "2607:f8b0::5efe:a01:203"])
def test_an_open_ipv4_network_opens_no_other_form_of_it(settings: Any, text: str) -> None:
    forwarding(settings, "10.1.0.0/16")
    assert forbidden(ip_address(text)) == EMBEDDING


def test_all_of_ipv6_opens_no_ipv4(settings: Any) -> None:
    forwarding(settings, "::/0")
    assert forbidden(ip_address("fd00::1")) is None
    assert forbidden(ip_address("::ffff:127.0.0.1"))
    forwarding(settings, "::ffff:127.0.0.0/104")
    assert forbidden(ip_address("::ffff:127.0.0.1")) is None
