"""The section of config.yaml on what inboxes send on to other servers."""

# ruff: noqa: RUF009 - option() is dataclasses.field() with the option's metadata

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network

from instantlite.config.read import option
from instantlite.config.values import BadValue, Duration, Integer, Listing, Network, Text


@dataclass(frozen=True)
class ForwardingConfig:
    """What webhook inboxes send on: where to it may go, how often it is tried, and how much at a time."""

    allow_networks: tuple[IPv4Network | IPv6Network, ...] = option(
        Listing(Network(), "networks"),
        (),
        "Networks that requests may be sent to although they are private, loopback or this server's own.",
        env="FORWARDING_ALLOW_NETWORKS",
    )
    ports: tuple[str, ...] = option(
        Listing(Text("port, or range such as 1024-65535", r"[0-9]{1,5}(-[0-9]{1,5})?", required=True), "ports"),
        ("80", "443", "1024-65535"),
        "Ports that requests may be sent to.",
    )
    nameservers: tuple[str, ...] = option(
        Listing(Text("IP address, or address@port", r"[0-9A-Fa-f.:]+(@[0-9]{1,5})?", required=True), "nameservers"),
        (),
        "DNS servers that are asked for destinations' names; empty means those of /etc/resolv.conf.",
        env="FORWARDING_NAMESERVERS",
    )
    destinations: int = option(Integer(1, 1000), 20, "Most destinations of an inbox.")
    retry_for: timedelta = option(
        Duration("1m", "30d"), timedelta(days=1), "How long a delivery is tried again before it counts as dead."
    )
    first_retry: timedelta = option(
        Duration("1s", "1h"), timedelta(seconds=5), "Wait before the second try; each further wait is twice as long."
    )
    longest_retry: timedelta = option(Duration("1s", "1d"), timedelta(hours=3), "Longest wait between two tries.")
    concurrency: int = option(
        Integer(1, 1000), 8, "Most requests at a time to one destination that answers well, over all processes."
    )
    in_flight: int = option(
        Integer(1, 10_000),
        400,
        "Most requests at a time that one process sends, each with a connection; of one inbox an eighth of that.",
    )
    in_flight_mb: int = option(
        Integer(1, 4096),
        64,
        "Megabytes (10^6 bytes) of bodies that those may hold in memory until they are sent; of one inbox an eighth.",
    )
    proxied: int = option(
        Integer(0, 10_000),
        100,
        "Senders of one process that may wait for a destination's answer, a quarter of them of one inbox; further ones "
        "get their inbox's own at once.",
    )
    backlog: int = option(
        Integer(0, 1_000_000),
        1000,
        "Requests an inbox keeps beyond `webhooks.requests_stored` because a delivery of them is not done yet.",
    )

    def __post_init__(self) -> None:
        """Raise BadValue where a port or a range of them cannot be."""
        for index, given in enumerate(self.ports):
            low, _, high = given.partition("-")
            if not 1 <= int(low) <= int(high or low) <= 65535:
                raise BadValue("expected a port from 1 to 65535, or a range of them", at=f"ports[{index}]")
