"""Sending under gevent, as in gunicorn's workers: who waits lets everybody else go on."""

import json
import subprocess
import sys

import dns.message

from tests.service import PROJECT
from tests.webhooks.dns_server import Query, dns_server, records
from tests.webhooks.receivers import ok, receiver


def slow_or_quick(query: Query) -> dns.message.Message | None:
    return None if "slow" in query.question[0].to_text() else records(query, "quick.example. A 127.0.9.1")


def test_names_that_hang_in_dns_hold_nobody_up() -> None:
    with dns_server(slow_or_quick) as server, receiver(ok(), host="127.0.9.1") as sink:
        arguments = [server.where, str(sink.port), "60", "40", "4"]
        command = [sys.executable, "-m", "tests.webhooks.outbound_greenlets", *arguments]
        ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "answers": {"200": 40},
        "hung meanwhile": 60,
        "failures": {"no DNS server answered for": 60},
    }
