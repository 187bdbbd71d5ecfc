"""What tests of destinations' names share: addresses of loopback that stand for the internet, and for the inside."""

from typing import Any

from tests.webhooks.dns_server import Says, dns_server
from tests.webhooks.receivers import forwarding
from webhooks.outbound import Answer, Outgoing, send

OPEN = "127.0.9.0/24"
PUBLIC, INSIDE = "127.0.9.1", "127.0.0.1"
SOON = 0.3
# How much later than its deadline something may end on a machine that is busy with other things (seconds).
LATE = 2.0


def send_to(settings: Any, says: Says, host: str, port: int, timeout: float = 5.0) -> Answer:
    """Send to a host of which DNS says this, with OPEN opened and nothing else."""
    with dns_server(says) as server:
        forwarding(settings, OPEN, nameservers=(server.where,))
        return send(Outgoing("POST", f"http://{host}:{port}/", (), b""), timeout)
