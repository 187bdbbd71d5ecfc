"""A DNS server of the test's own, on loopback, that answers whatever the test wants it to."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Query = dns.message.QueryMessage
# What a server says to a question: a message, bytes as they are, or nothing.
Says = Callable[[Query], dns.message.Message | bytes | None]


class DnsServer:
    """Over UDP and TCP on one port, which `forwarding.nameservers` takes as `where`."""

    def __init__(self, says: Says) -> None:
        self.asked: list[str] = []
        self._says = says
        # On an address of its own, where nothing else takes the port of one protocol before the other's is bound.
        self._tcp = socket.create_server(("127.0.53.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(self._tcp.getsockname())
        self.where = "{}@{}".format(*self._tcp.getsockname())
        self._ending = False
        self._threads = [threading.Thread(target=loop) for loop in (self._over_udp, self._over_tcp)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._ending = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._udp.getsockname())
        with suppress(OSError):
            socket.create_connection(self._tcp.getsockname()).close()
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _over_udp(self) -> None:
        while True:
            wire, sender = self._udp.recvfrom(65535)
            if self._ending:
                return
            for said in self._answers(wire, 512):
                self._udp.sendto(said, sender)

    def _over_tcp(self) -> None:
        while True:
            taken, _ = self._tcp.accept()
            with taken, suppress(OSError):
                if self._ending:
                    return
                taken.settimeout(5)
                stream = taken.makefile("rb")
                with stream:
                    (length,) = struct.unpack("!H", stream.read(2))
                    for said in self._answers(stream.read(length), 65535):
                        taken.sendall(struct.pack("!H", len(said)) + said)

    def _answers(self, wire: bytes, most: int) -> Iterator[bytes]:
        query = dns.message.from_wire(wire)
        assert isinstance(query, Query)
        self.asked.append(query.question[0].to_text())
        said = self._says(query)
        if said is None:
            return
        whole = said.to_wire(max_size=65535) if isinstance(said, dns.message.Message) else said
        if len(whole) > most:
            cut = dns.message.make_response(query)
            cut.flags |= dns.flags.TC
            whole = cut.to_wire()
        yield whole


@contextmanager
def dns_server(says: Says) -> Iterator[DnsServer]:
    """One for the time of a test."""
    made = DnsServer(says)
    try:
        yield made
    finally:
        made.close()


def records(query: Query, *lines: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> dns.message.Message:
    """An answer of these lines, such as `hook.example. A 192.0.2.1`, of which the questions for A get those with A."""
    response = dns.message.make_response(query)
    response.set_rcode(rcode)
    wanted = dns.rdatatype.to_text(query.question[0].rdtype)
    for line in lines:
        name, kind, *values = line.split()
        if kind in (wanted, "CNAME"):
            response.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *values))
    return response


def zone(*lines: str) -> Says:
    """A server that gives these lines to every question."""
    return lambda query: records(query, *lines)
