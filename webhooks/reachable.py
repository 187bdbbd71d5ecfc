"""Where a request may go: each address of a destination is looked at before anything is sent to it."""

from ipaddress import IPv4Address, IPv6Address

from django.conf import settings

from webhooks.addresses import OWN, Address, forbidden, opened
from webhooks.outbound_errors import Deadline, Refused
from webhooks.outbound_url import Target
from webhooks.own_addresses import is_own, of_this_machine, our_host
from webhooks.resolving import addresses_of

_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
# A name may have thousands of addresses; a receiver that is there answers at one of its first.
_MOST_LOOKED_AT = 64
_MOST_TRIED = 8


def check_known(target: Target) -> None:
    """Raise Refused for a target of which it is known without asking DNS that nothing can be sent to it."""
    if target.address:
        words = forbidden(target.address)
        if not words and not opened(target.address) and (_is_ours(target) or of_this_machine(target.address)):
            words = OWN
        if words:
            raise Refused(_refusal(target.host, "is", words))
    elif target.host == "localhost" or target.host.endswith(".localhost"):
        words = forbidden(_LOOPBACK[0])
        if words and forbidden(_LOOPBACK[1]):
            raise Refused(_refusal(target.host, "is", words))
    elif _is_ours(target) and not settings.INSTANTLITE.forwarding.allow_networks:
        raise Refused(_refusal(target.host, "leads to", OWN))


def allowed_addresses(target: Target, deadline: Deadline) -> list[Address]:
    """The addresses to connect to, in the order in which to try them: at least one, and only such as are allowed.

    Raises Refused where the target has none that is, Failed where its name cannot be resolved.
    """
    check_known(target)
    found = [target.address] if target.address else addresses_of(target.host, deadline)
    allowed = []
    words = ""
    for address in found[:_MOST_LOOKED_AT]:
        why = _why_not(address, target, deadline)
        if not why:
            allowed.append(address)
            if len(allowed) == _MOST_TRIED:
                break
        words = words or why
    if not allowed:
        raise Refused(_refusal(target.host, "is" if target.address else "resolves to", words))
    return allowed


def _why_not(address: Address, target: Target, deadline: Deadline) -> str:
    """What speaks against an address, in words; empty where nothing does."""
    if opened(address):
        return ""
    return forbidden(address) or (OWN if _is_ours(target) or is_own(address, deadline) else "")


def _is_ours(target: Target) -> bool:
    return target.host == our_host()


def _refusal(host: str, verb: str, words: str) -> str:
    return (
        f"{host} {verb} {words}, which this server does not send to;"
        " an operator of it can allow that in forwarding.allow_networks"
    )
