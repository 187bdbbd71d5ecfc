"""Sockets that never block: every wait ends at a deadline. It is the same in threads and in gevent's greenlets."""

import os
import select
import socket

from webhooks.addresses import Address
from webhooks.outbound_errors import Deadline


def wait(waited_for: socket.socket, events: int, deadline: Deadline) -> None:
    """Wait for poll(2)'s events. Raises TimeoutError at the deadline."""
    deadline.check()
    poll = select.poll()
    poll.register(waited_for, events)
    # Rounded up: a wait that ends a moment early would be repeated without rest.
    if not poll.poll(max(0.0, deadline.left) * 1000 + 1):
        raise TimeoutError


def dial(made: socket.socket, address: Address, port: int, deadline: Deadline) -> None:
    """Connect a socket that does not block (connect(2), EINPROGRESS). Raises OSError, of which TimeoutError is one.

    The address is numeric, so nothing is resolved on the way.
    """
    try:
        made.connect((str(address), port))
    except BlockingIOError:
        wait(made, select.POLLOUT, deadline)
        number = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number)) from None


def read_exactly(connected: socket.socket, count: int, deadline: Deadline) -> bytes:
    """So many bytes. Raises OSError, EOFError where there are fewer."""
    read = b""
    while len(read) < count:
        try:
            piece = connected.recv(count - len(read))
        except BlockingIOError:
            wait(connected, select.POLLIN, deadline)
            continue
        if not piece:
            raise EOFError
        read += piece
    return read
