"""From a host name to its addresses: /etc/hosts, then DNS, within a deadline and without threads.

getaddrinfo() has no deadline, and under gevent it runs in a small pool of threads that a few names whose servers never
answer would fill. So the questions are asked here, over plain sockets, with dnspython's messages. Nothing is kept: a
name is asked for again at each connection, because the one that was checked has to be the one that is connected to.
"""

import os
import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import chain, repeat
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver
from django.conf import settings

from webhooks.addresses import Address
from webhooks.outbound_errors import Deadline, Failed
from webhooks.sockets import dial, read_exactly

T = TypeVar("T")

# A server gets this long for its first answer, and longer with each round over all of them (in seconds).
_PATIENCE = (1.0, 2.0, 4.0)
# Servers of some names never answer a question for IPv6. With an IPv4 address in hand the wait for it is short.
_PATIENCE_FOR_MORE = 1.0
# To take an answer of 64 KiB apart needs half a second of CPU, in which a gevent worker does nothing else.
_LONGEST = 4096
_LOOPBACK = (IPv6Address("::1"), IPv4Address("127.0.0.1"))


class Server(NamedTuple):
    """A DNS server."""

    address: str
    port: int = 53


class _TooLong(Exception):
    """An answer is longer than any that a host needs."""


class Watched(Generic[T]):
    """What is read from a file, read again when the file has changed; `absent` where it cannot be read."""

    def __init__(self, path: Path, read: Callable[[Path], T], absent: T) -> None:
        self._path, self._read, self._absent = path, read, absent
        self._kept: tuple[tuple[int, ...], T] | None = None

    def get(self) -> T:
        """The content, as it is now."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - Path.stat() costs twice as much, and this is at each send
            version = (status.st_mtime_ns, status.st_ino, status.st_size)
            kept = self._kept
            if kept is None or kept[0] != version:
                self._kept = kept = (version, self._read(self._path))
        except OSError:
            return self._absent
        return kept[1]


def addresses_of(host: str, deadline: Deadline) -> list[Address]:
    """The addresses of an absolute name in ASCII, without its last dot; at least one.

    `localhost` and what ends in `.localhost` is loopback whatever DNS says (RFC 6761, section 6.3). Raises Failed.
    """
    found = list(hosts.get().get(host, ()))
    if host == "localhost" or host.endswith(".localhost"):
        found += [address for address in _LOOPBACK if address not in found]
    return found or _ask(host, deadline)


def _ask(host: str, deadline: Deadline) -> list[Address]:
    """The addresses that DNS has, IPv6 and IPv4 in turn (RFC 8305, section 4)."""
    four: list[Address] = []
    six: list[Address] = []
    problem: Failed | None = None
    try:
        four = _query(host, dns.rdatatype.A, deadline)
    except Failed as error:
        problem = error
    try:
        patience = min(_PATIENCE_FOR_MORE, deadline.left / 2) if four else deadline.left
        six = _query(host, dns.rdatatype.AAAA, deadline.part(patience))
    except Failed as error:
        problem = problem or error
    both = zip(six, four, strict=False)
    even = min(len(six), len(four))
    found = [*chain.from_iterable(both), *six[even:], *four[even:]]
    if not found:
        raise problem or Failed(f"the name {host} has no address in DNS")
    return found


def _query(host: str, kind: dns.rdatatype.RdataType, deadline: Deadline) -> list[Address]:
    """One question, put to each server in turn until one answers; empty where the name has no such address."""
    query = dns.message.make_query(dns.name.from_text(f"{host}."), kind)
    servers = _servers()
    for server, patience in _turns(servers):
        if deadline.left <= 0:
            break
        if server not in servers:
            continue
        try:
            return _addresses(host, _response(query, server, deadline.part(patience)))
        except (dns.exception.Timeout, TimeoutError):
            continue
        except _TooLong:
            raise Failed(f"what DNS says of the name {host} is longer than {_LONGEST} bytes") from None
        except (OSError, EOFError, ValueError, dns.exception.DNSException):
            # It is away, or what it says cannot be used. Another one may know better.
            servers.remove(server)
            if not servers:
                raise Failed(f"no DNS server could answer for the name {host}") from None
    raise Failed(f"no DNS server answered for the name {host} in time")


def _turns(servers: list[Server]) -> Iterator[tuple[Server, float]]:
    for patience in chain(_PATIENCE, repeat(_PATIENCE[-1])):
        yield from ((server, patience) for server in tuple(servers))


def _response(query: dns.message.Message, server: Server, deadline: Deadline) -> dns.message.Message:
    """What one server answers, over UDP, and over TCP where it says that the answer is longer.

    Anything that is no answer to this question is passed over: somebody else may have sent it. Raises
    dns.exception.Timeout or TimeoutError, OSError, and what dnspython raises for a message that it cannot read.
    """
    try:
        return dns.query.udp(
            query,
            server.address,
            timeout=deadline.left,
            port=server.port,
            ignore_unexpected=True,
            raise_on_truncation=True,
            ignore_errors=True,
        )
    except dns.message.Truncated:
        return _over_tcp(query, server, deadline)


def _over_tcp(query: dns.message.Message, server: Server, deadline: Deadline) -> dns.message.Message:
    """The same over TCP (RFC 1035, section 4.2.2). Raises _TooLong as well, before anything of it is looked at."""
    address = ip_address(server.address)
    with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM) as made:
        made.setblocking(False)
        dial(made, address, server.port, deadline)
        made.send(query.to_wire(prepend_length=True))
        length = int.from_bytes(read_exactly(made, 2, deadline), "big")
        if length > _LONGEST:
            raise _TooLong
        response = dns.message.from_wire(read_exactly(made, length, deadline))
    if not query.is_response(response):
        raise dns.query.BadResponse
    return response


def _addresses(host: str, response: dns.message.Message) -> list[Address]:
    """Those at the end of the answer's chain of CNAMEs (at most 16). Raises Failed, or ValueError or DNSException."""
    if response.rcode() == dns.rcode.NXDOMAIN:
        raise Failed(f"there is no name {host} in DNS")
    if response.rcode() != dns.rcode.NOERROR or not isinstance(response, dns.message.QueryMessage):
        raise ValueError(dns.rcode.to_text(response.rcode()))
    answer = response.resolve_chaining().answer
    return [ip_address(record.address) for record in answer or ()]


def _servers() -> list[Server]:
    given = settings.INSTANTLITE.forwarding.nameservers
    return [_server(text) for text in given] or [Server(address) for address in resolv_conf.get()]


def _server(text: str) -> Server:
    address, _, port = text.partition("@")
    return Server(address, int(port or 53))


def _read_hosts(path: Path) -> dict[str, list[Address]]:
    """The addresses of each name, as hosts(5) has it: an address, names, and comments after a `#`."""
    names: dict[str, list[Address]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        address, *given = line.partition("#")[0].split() or [""]
        try:
            parsed = ip_address(address)
        except ValueError:
            continue
        for name in given:
            known = names.setdefault(name.lower().removesuffix("."), [])
            if parsed not in known:
                known.append(parsed)
    return names


def _read_resolv_conf(path: Path) -> list[str]:
    """The servers; without any it is the one on this machine, as resolv.conf(5) has it."""
    try:
        return [str(server) for server in dns.resolver.Resolver(str(path)).nameservers]
    except dns.exception.DNSException:
        return ["127.0.0.1"]


hosts: Watched[dict[str, list[Address]]] = Watched(Path("/etc/hosts"), _read_hosts, {})
resolv_conf: Watched[list[str]] = Watched(Path("/etc/resolv.conf"), _read_resolv_conf, ["127.0.0.1"])
