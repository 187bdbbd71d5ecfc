"""A process as gunicorn's gevent workers are, which sends requests of which some hang in DNS; see its test.

Arguments: the DNS server (`address@port`), the port of a receiver on 127.0.9.1, how many hang, how many do not, and the
timeout of those that hang in seconds. Prints as JSON how many were answered while the others hung, and how those ended.
"""

# ruff: noqa: E402 - what is imported below has to find gevent's sockets and threads

from gevent import monkey  # isort: skip

monkey.patch_all()

import json
import sys
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_network

import gevent
from django.conf import settings

from instantlite.config import ForwardingConfig, ServerConfig


@dataclass(frozen=True)
class Options:
    """The two sections that are read."""

    forwarding: ForwardingConfig
    server: ServerConfig


def main(where: str, port: str, hanging: str, quick: str, timeout: str) -> None:
    networks = (ip_network("127.0.9.0/24"),)
    options = Options(
        ForwardingConfig(allow_networks=networks, nameservers=(where,)), ServerConfig(app_url="https://instant.example")
    )
    settings.configure(INSTANTLITE=options)
    hung = [gevent.spawn(outcome, f"http://slow{n}.example:{port}/", float(timeout)) for n in range(int(hanging))]
    gevent.sleep(0)
    quickly = gevent.joinall([gevent.spawn(outcome, f"http://quick.example:{port}/", 5.0) for _ in range(int(quick))])
    meanwhile = sum(not each.ready() for each in hung)
    gevent.joinall(hung)
    print(
        json.dumps(
            {
                "answers": Counter(each.value for each in quickly),
                "hung meanwhile": meanwhile,
                "failures": Counter(each.value for each in hung),
            }
        )
    )


def outcome(url: str, timeout: float) -> str:
    try:
        return str(outbound.send(outbound.Outgoing("POST", url, (), b"x" * 100_000), timeout).status)
    except outbound.Failed as error:
        return str(error).partition(" the name")[0]


if __name__ == "__main__":
    from webhooks import outbound

    main(*sys.argv[1:])
