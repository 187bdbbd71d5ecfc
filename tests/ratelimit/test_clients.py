"""Who is asking: forged headers change nothing, trusted proxies are believed as far as they can vouch."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from django.test import RequestFactory
from pytest_django.fixtures import Settings

from ratelimit import clients


def identified(peer: str, forwarded: str | None = None, **headers: str) -> str:
    extra: dict[str, Any] = {"REMOTE_ADDR": peer, **headers}
    if forwarded is not None:
        extra["HTTP_X_FORWARDED_FOR"] = forwarded
    return str(clients.identify(RequestFactory().get("/", **extra)).address)


@pytest.fixture
def behind_proxies(settings: Settings) -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))
    server = replace(settings.INSTANTLITE.server, trusted_proxies=networks)
    settings.INSTANTLITE = replace(settings.INSTANTLITE, server=server)


def test_without_trusted_proxies_headers_change_nothing() -> None:
    forged = {
        "HTTP_FORWARDED": "for=1.2.3.4",
        "HTTP_CF_CONNECTING_IP": "1.2.3.4",
        "HTTP_DO_CONNECTING_IP": "1.2.3.4",
        "HTTP_X_REAL_IP": "1.2.3.4",
    }
    assert identified("192.0.2.1", "1.2.3.4", **forged) == "192.0.2.1"


@pytest.mark.usefixtures("behind_proxies")
@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.1.1.1", "192.0.2.1", "192.0.2.1"),
        ("10.1.1.1", "1.2.3.4, 192.0.2.1", "192.0.2.1"),  # the left one was written by the caller
        ("10.1.1.1", "1.2.3.4, 192.0.2.1, 10.2.2.2", "192.0.2.1"),
        ("10.1.1.1", "10.3.3.3", "10.3.3.3"),
        ("10.1.1.1", None, "10.1.1.1"),
        ("10.1.1.1", "", "10.1.1.1"),
        ("10.1.1.1", "nonsense", "10.1.1.1"),
        ("10.1.1.1", "1.2.3.4, nonsense", "10.1.1.1"),
        ("10.1.1.1", "192.0.2.1:4711", "192.0.2.1"),
        ("10.1.1.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8:ffff::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.1.1.1", "192.0.2.1", "192.0.2.1"),
        ("10.1.1.1", "fe80::1%eth0", "fe80::1"),  # the zone means something on one machine only
        ("192.0.2.9", "1.2.3.4", "192.0.2.9"),  # not one of our proxies
        ("", "1.2.3.4", "None"),
    ],
)
def test_behind_proxies_the_rightmost_address_that_none_vouches_for_counts(
    peer: str, forwarded: str | None, expected: str
) -> None:
    assert identified(peer, forwarded) == expected


def fingerprint(address: str) -> str:
    return clients.identify(RequestFactory().get("/", REMOTE_ADDR=address)).fingerprint


def test_a_subnet_has_one_fingerprint_that_does_not_show_the_address() -> None:
    assert fingerprint("192.0.2.1") == fingerprint("192.0.2.254") == fingerprint("::ffff:192.0.2.7")
    assert fingerprint("192.0.2.1") != fingerprint("192.0.3.1")
    assert fingerprint("2001:db8:1::1") == fingerprint("2001:db8:1:ffff::1")
    assert fingerprint("2001:db8:1::1") != fingerprint("2001:db8:2::1")
    assert len(fingerprint("192.0.2.1")) == 22
    assert "192" not in fingerprint("192.0.2.1")
