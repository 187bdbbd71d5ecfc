"""Connections to destinations: to an address that was looked at, over TLS where the URL says so, within a deadline."""

import errno
import os
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import IPv4Address, ip_address

from webhooks.addresses import OWN, Address, opened
from webhooks.outbound_errors import Deadline, Failed, Refused
from webhooks.outbound_url import Target
from webhooks.reachable import allowed_addresses
from webhooks.sockets import dial, wait

PIECE = 64 * 1024
# How long an address may take while there is another one to try (seconds).
_PATIENCE = 1.0

_CONNECTING = {
    errno.ECONNREFUSED: "the connection was refused",
    errno.ECONNRESET: "the connection was reset while it was opened",
    errno.ETIMEDOUT: "nothing answers at its address",
    errno.EHOSTUNREACH: "there is no way to its address",
    errno.ENETUNREACH: "there is no way to its address",
    errno.EADDRNOTAVAIL: "there is no way to its address",
    errno.EACCES: "a firewall of this server does not let the connection through",
    errno.EMFILE: "this server has no sockets left",
    errno.ENFILE: "this server has no sockets left",
    errno.ENOBUFS: "this server has no memory left for sockets",
    errno.EPERM: "a firewall of this server does not let the connection through",
}
# X509_V_ERR_… of OpenSSL's x509_vfy.h, see X509_STORE_CTX_get_error(3).
_CERTIFICATE = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is self-signed",
    19: "its certificate was signed by an authority that this server does not know",
    20: "its certificate was signed by an authority that this server does not know, or one in between is missing",
    62: "its certificate is for another host name",
    64: "its certificate is for another address",
}
_TLS = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS at this port; is it http:// that is meant?",
    "HTTP_REQUEST": "it does not speak TLS at this port; is it http:// that is meant?",
    "RECORD_LAYER_FAILURE": "it does not speak TLS at this port; is it http:// that is meant?",
    "PACKET_LENGTH_TOO_LONG": "it does not speak TLS at this port; is it http:// that is meant?",
    "UNSUPPORTED_PROTOCOL": "it speaks no version of TLS from 1.2 on",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks no version of TLS from 1.2 on",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it has no way of TLS in common with this server",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it asks for a client certificate, and this server has none",
    "TLSV1_UNRECOGNIZED_NAME": "it does not know its own host name (SNI)",
}


class Wire:
    """An open connection that never blocks, and waits no longer than until its deadline."""

    def __init__(self, opened_socket: socket.socket, deadline: Deadline) -> None:
        self._socket = opened_socket
        self.deadline = deadline
        # TLS may have to write before it can read, and the other way round (SSL_get_error(3)).
        self._reading = select.POLLIN
        self._writing = select.POLLOUT

    def receive(self) -> bytes | None:
        """What has come, up to PIECE; `b""` at the end, None where nothing is there yet. Raises OSError."""
        self._reading = select.POLLIN
        try:
            return self._socket.recv(PIECE)
        except ssl.SSLWantWriteError:
            self._reading = select.POLLOUT
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        return None

    def write(self, piece: memoryview) -> int:
        """Send a piece, and return how many of its bytes went; after a 0 the same piece has to come. Raises OSError."""
        self._writing = select.POLLOUT
        try:
            return self._socket.send(piece)
        except ssl.SSLWantReadError:
            self._writing = select.POLLIN
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        return 0

    def wait(self, *, writing: bool) -> None:
        """Wait until something can be read, or written where `writing`. Raises TimeoutError at the deadline."""
        wait(self._socket, self._reading | (self._writing if writing else 0), self.deadline)


@contextmanager
def connected(target: Target, deadline: Deadline) -> Iterator[Wire]:
    """A connection to a target. Raises Refused and Failed, from itself only."""
    opened_socket = _connect_to_one(target, deadline)
    try:
        if target.scheme == "https":
            opened_socket = _under_tls(opened_socket, target.host, deadline)
        yield Wire(opened_socket, deadline)
    finally:
        opened_socket.close()


def _connect_to_one(target: Target, deadline: Deadline) -> socket.socket:
    """A connection to the first address that takes one. Raises Refused and Failed."""
    addresses = allowed_addresses(target, deadline)
    problem = ""
    while addresses:
        address = addresses.pop(0)
        # The last one has all the time that is left, the others leave some to those behind.
        share = min(_PATIENCE, deadline.left / (len(addresses) + 1)) if addresses else deadline.left
        try:
            return _connect(address, target.port, deadline.part(share))
        except TimeoutError:
            problem = f"no connection within {deadline}" if deadline.left <= 0 else "nothing answers at its address"
        except OSError as error:
            # A machine without IPv6 has no way to such addresses: what the others say tells more.
            words = _CONNECTING.get(error.errno or 0, f"it could not be connected to ({os.strerror(error.errno or 0)})")
            problem = problem if problem and error.errno in (errno.ENETUNREACH, errno.EADDRNOTAVAIL) else words
        if deadline.left <= 0:
            break
    raise Failed(problem)


def _connect(address: Address, port: int, deadline: Deadline) -> socket.socket:
    """A connection to exactly this address. Raises Refused, and OSError, of which TimeoutError is one."""
    deadline.check()
    four = isinstance(address, IPv4Address)
    made = socket.socket(socket.AF_INET if four else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        dial(made, address, port, deadline)
        _check_ends(made, address)
    except BaseException:
        made.close()
        raise
    return made


def _check_ends(made: socket.socket, address: Address) -> None:
    """Look at a connection itself: that it leads to the address that was allowed, and not back to this machine."""
    there, here = (ip_address(end[0]) for end in (made.getpeername(), made.getsockname()))
    if there != address:
        raise Refused("the connection leads to another address than the one that was looked at")
    if here == there and not opened(address):
        raise Refused(f"it is {OWN}, which this server does not send to")


def _under_tls(plain: socket.socket, host: str, deadline: Deadline) -> ssl.SSLSocket:
    """The connection with TLS on it, once the certificate is the host's. Raises Failed, with the socket closed."""
    try:
        secure = tls_context().wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        plain.close()
        raise Failed(_tls_words(error)) from None
    try:
        while True:
            try:
                secure.do_handshake()
                return secure
            except ssl.SSLWantReadError:
                wait(secure, select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                wait(secure, select.POLLOUT, deadline)
    except TimeoutError:
        secure.close()
        raise Failed(f"TLS was not agreed upon within {deadline}") from None
    except (OSError, ValueError) as error:
        secure.close()
        raise Failed(_tls_words(error)) from None
    except BaseException:
        secure.close()
        raise


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """What all connections share: certificates are verified, with OpenSSL's own authorities or SSL_CERT_FILE's."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _tls_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code, f"its certificate is not accepted: {error.verify_message}")
    if isinstance(error, ssl.SSLEOFError | ConnectionError):
        return "it closed the connection while TLS was agreed upon"
    reason = getattr(error, "reason", None)
    if isinstance(reason, str):
        return _TLS.get(reason, f"TLS could not be agreed upon: {reason.replace('_', ' ').lower()}")
    return "TLS could not be agreed upon"
