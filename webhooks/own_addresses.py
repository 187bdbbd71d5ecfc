"""Which addresses are this service's own: a request that is sent on to us would be captured, and sent on, and so on."""

import socket
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, ip_address
from time import monotonic
from urllib.parse import urlsplit

from django.conf import settings

from webhooks.addresses import Address
from webhooks.outbound_errors import Deadline, Failed, Refused
from webhooks.outbound_url import usual_host
from webhooks.resolving import addresses_of

# How long the addresses of `server.app_url` are believed, and how long looking them up may hold a request up (seconds).
_BELIEVED = 60.0
_PATIENCE = 1.0


@dataclass(frozen=True)
class _Known:
    """The addresses of our host, and until when they are believed on the monotonic clock."""

    host: str = ""
    addresses: frozenset[Address] = frozenset()
    until: float = 0.0


_known = _Known()


def our_host() -> str:
    """The host of `server.app_url` in its usual spelling; a name, or an address without brackets."""
    return _host_of(settings.INSTANTLITE.server.app_url)


@lru_cache(maxsize=4)
def _host_of(app_url: str) -> str:
    host = urlsplit(app_url).hostname or ""
    try:
        return usual_host(f"[{host}]" if ":" in host else host)[1]
    except Refused:
        return ""


def is_own(address: Address, deadline: Deadline) -> bool:
    """Whether it is this machine's, or the one under which the outside reaches this service."""
    return of_this_machine(address) or address in _of_our_host(deadline)


def of_this_machine(address: Address) -> bool:
    """Whether the kernel has this address itself: it would then be the sender's address too.

    connect() on a UDP socket sends nothing, it only looks for a way (connect(2), udp(7)).
    """
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0]) == address
    except OSError:
        # There is no way to it, so it is not here either.
        return False


def _of_our_host(deadline: Deadline) -> frozenset[Address]:
    """Those of `server.app_url`; the last known ones where they cannot be found in time.

    Several threads may look them up at once, which does no harm.
    """
    global _known  # noqa: PLW0603 - one value that is replaced as a whole
    host, known = our_host(), _known
    if known.host != host or known.until < monotonic():
        before = known.addresses if known.host == host else frozenset()
        known = _known = _Known(host, _look_up(host, deadline) or before, monotonic() + _BELIEVED)
    return known.addresses


def _look_up(host: str, deadline: Deadline) -> frozenset[Address]:
    try:
        return frozenset([ip_address(host)])
    except ValueError:
        pass
    try:
        return frozenset(addresses_of(host, deadline.part(_PATIENCE)))
    except Failed:
        return frozenset()
