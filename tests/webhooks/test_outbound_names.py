"""Names that DNS is not asked for, those of files and of this service itself, and who is asked for the others."""

import os
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.webhooks.dns_server import dns_server, zone
from tests.webhooks.reaching import OPEN, PUBLIC, SOON, send_to
from tests.webhooks.receivers import Receiver, forwarding, ok, receiver
from webhooks import own_addresses, resolving
from webhooks.addresses import Address
from webhooks.outbound import Failed, Outgoing, Refused, send
from webhooks.outbound_errors import Deadline
from webhooks.own_addresses import is_own, of_this_machine


@pytest.fixture
def public() -> Iterator[Receiver]:
    """A receiver that may be reached."""
    with receiver(ok(b"public"), host=PUBLIC) as sink:
        yield sink


@pytest.fixture(autouse=True)
def _nothing_is_known_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_addresses, "_known", own_addresses._Known())


def test_localhost_is_loopback_whatever_dns_says(settings: Any) -> None:
    with dns_server(zone(f"localhost. A {PUBLIC}", f"a.localhost. A {PUBLIC}")) as server:
        forwarding(settings, OPEN, nameservers=(server.where,))
        for name in ("localhost", "a.localhost"):
            with pytest.raises(Refused, match="loopback"):
                send(Outgoing("POST", f"http://{name}:8000/", (), b""), 5.0)
    assert server.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_localhost_is_reached_over_both_families_where_it_is_open(settings: Any, host: str) -> None:
    forwarding(settings, "127.0.0.0/8", "::1/128")
    with receiver(ok(), host=host) as sink:
        assert send(Outgoing("POST", f"http://localhost:{sink.port}/", (), b""), 5.0).status == 200


def test_the_hosts_file_is_read_first_and_again_when_it_changes(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, public: Receiver
) -> None:
    file = tmp_path / "hosts"
    nothing: dict[str, list[Address]] = {}
    monkeypatch.setattr(resolving, "hosts", resolving.Watched(file, resolving._read_hosts, nothing))
    forwarding(settings, OPEN)
    outgoing = Outgoing("POST", f"http://neighbour:{public.port}/", (), b"")
    with pytest.raises(Failed):
        send(outgoing, SOON)
    file.write_text(f"# comment\nnonsense x\n{PUBLIC} other Neighbour # neighbour2\n")
    assert send(outgoing, SOON).body == b"public"
    file.write_text("10.0.0.7 neighbour\n")
    os.utime(file, (1, 1))
    with pytest.raises(Refused):
        send(outgoing, SOON)


def test_the_servers_of_resolv_conf_are_asked(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    watched = resolving.Watched(file, resolving._read_resolv_conf, ["127.0.0.1"])
    monkeypatch.setattr(resolving, "resolv_conf", watched)
    forwarding(settings, nameservers=())
    assert [server.address for server in resolving._servers()] == ["127.0.0.1"]
    file.write_text("search example.com\nnameserver 127.0.9.53 # first\nnameserver ::1\noptions ndots:5\n")
    assert resolving._servers() == [("127.0.9.53", 53), ("::1", 53)]
    file.write_text("# none\n")
    os.utime(file, (1, 1))
    assert [server.address for server in resolving._servers()] == ["127.0.0.1"]


def test_the_address_of_our_own_host_is_no_destination(settings: Any) -> None:
    ours = zone("instant.example. A 8.8.8.8", "alias.example. A 8.8.8.8", "other.example. A 8.8.4.4")
    for name in ("alias.example", "instant.example"):
        with pytest.raises(Refused, match="this service itself"):
            send_to(settings, ours, name, 8000)
    with dns_server(ours) as server:
        forwarding(settings, nameservers=(server.where,))
        assert not is_own(ip_address("8.8.4.4"), Deadline(5.0))
        for _ in range(3):
            assert is_own(ip_address("8.8.8.8"), Deadline(5.0))
        # Ours is the one name whose addresses are believed for a while.
        assert server.asked == []


def test_an_operator_may_open_our_own_address(settings: Any, public: Receiver) -> None:
    with dns_server(zone(f"instant.example. A {PUBLIC}")) as server:
        forwarding(settings, OPEN, nameservers=(server.where,))
        assert send(Outgoing("POST", f"http://instant.example:{public.port}/", (), b""), 5.0).body == b"public"


def test_the_kernel_knows_which_addresses_are_this_machines() -> None:
    assert of_this_machine(ip_address("127.0.0.1"))
    assert of_this_machine(ip_address("::1"))
    assert not of_this_machine(ip_address("8.8.8.8"))
    assert not of_this_machine(ip_address("2001:4860:4860::8888"))
