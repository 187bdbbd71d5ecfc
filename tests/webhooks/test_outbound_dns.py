"""Names of destinations: whatever DNS says, nothing but an allowed address is connected to, within the time given."""

import threading
from collections.abc import Iterator
from ipaddress import ip_address
from time import monotonic
from typing import Any

import dns.message
import dns.rcode
import pytest

from tests.webhooks.dns_server import Query, Says, dns_server, records, zone
from tests.webhooks.reaching import INSIDE, LATE, OPEN, PUBLIC, SOON, send_to
from tests.webhooks.receivers import Receiver, forwarding, ok, receiver
from webhooks import outbound_socket, outbound_url, reachable, sockets
from webhooks.addresses import Address
from webhooks.outbound import Failed, Outgoing, Refused, send
from webhooks.outbound_errors import Deadline


@pytest.fixture
def public() -> Iterator[Receiver]:
    """A receiver that may be reached."""
    with receiver(ok(b"public"), host=PUBLIC) as sink:
        yield sink


def test_a_name_is_resolved_and_reached(settings: Any, public: Receiver) -> None:
    answer = send_to(settings, zone(f"hook.example. A {PUBLIC}"), "hook.example", public.port)
    assert answer.body == b"public"
    public.close()
    assert b"\r\nHost: hook.example:%d\r\n" % public.port in public.requests[0]


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0"])
def test_a_name_of_a_forbidden_address_is_refused_without_telling_it(settings: Any, address: str) -> None:
    with pytest.raises(Refused) as caught:
        send_to(settings, zone(f"inside.example. A {address}"), "inside.example", 8000)
    assert "inside.example resolves to " in str(caught.value)
    assert "forwarding.allow_networks" in str(caught.value)
    assert address not in str(caught.value)


@pytest.mark.parametrize("address", ["::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "fd00::1", "::"])
def test_a_name_of_a_forbidden_ipv6_address_is_refused(settings: Any, address: str) -> None:
    with pytest.raises(Refused):
        send_to(settings, zone(f"inside.example. AAAA {address}"), "inside.example", 8000)


def test_a_name_that_is_bound_anew_leads_nowhere_else(settings: Any, public: Receiver) -> None:
    answers = iter([PUBLIC, INSIDE, INSIDE])

    def rebinding(query: Query) -> dns.message.Message:
        return records(
            query, f"rebind.example. A {next(answers)}" if "A" in query.question[0].to_text().split() else "x A"
        )

    with receiver(ok(b"inside"), host=INSIDE) as inside, dns_server(rebinding) as server:
        forwarding(settings, OPEN, nameservers=(server.where,))
        url = f"http://rebind.example:{public.port}/"
        assert send(Outgoing("POST", url, (), b""), 5.0).body == b"public"
        with pytest.raises(Refused):
            send(Outgoing("POST", url, (), b""), 5.0)
    assert inside.accepted == 0


def test_exactly_the_address_that_was_looked_at_is_connected_to(
    settings: Any, monkeypatch: pytest.MonkeyPatch, public: Receiver
) -> None:
    dialed: list[str] = []
    dial = sockets.dial

    def to_the_far_side(made: Any, address: Address, port: int, deadline: Deadline) -> None:
        dialed.append(str(address))
        dial(made, address.__class__(int.from_bytes(bytes([127, 0, 9, 1]), "big")), port, deadline)

    monkeypatch.setattr(outbound_socket, "dial", to_the_far_side)
    # The end of the connection is looked at too: that it is another one here is found.
    with pytest.raises(Refused, match="another address than the one that was looked at"):
        send_to(settings, zone("hook.example. A 8.8.8.8"), "hook.example", public.port)
    assert dialed == ["8.8.8.8"]


def test_a_connection_back_to_this_machine_is_dropped_whatever_was_found_before(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound_socket, "allowed_addresses", lambda target, deadline: [ip_address(INSIDE)])
    with receiver(ok(b"inside"), host=INSIDE) as inside:
        with pytest.raises(Refused, match="this service itself"):
            send_to(settings, zone(), "hook.example", inside.port)
        inside.close()
        assert inside.requests in ([], [b""])


def test_of_mixed_addresses_only_the_allowed_ones_are_tried(settings: Any, public: Receiver) -> None:
    mixed = zone(f"mixed.example. A 127.0.0.1 10.0.0.1 {PUBLIC}", "mixed.example. AAAA ::1 fd00::1")
    with receiver(ok(b"inside"), host=INSIDE) as inside:
        assert send_to(settings, mixed, "mixed.example", public.port).body == b"public"
    assert inside.accepted == 0


def test_the_next_address_is_tried_where_one_does_not_answer(settings: Any, public: Receiver) -> None:
    several = zone(f"several.example. A 127.0.9.7 127.0.9.8 {PUBLIC}")
    assert send_to(settings, several, "several.example", public.port).body == b"public"


def test_aliases_are_followed_to_where_they_lead(settings: Any, public: Receiver) -> None:
    good = zone("a.example. CNAME b.example.", "b.example. CNAME c.example.", f"c.example. A {PUBLIC}")
    assert send_to(settings, good, "a.example", public.port).body == b"public"
    bad = zone("a.example. CNAME localhost.", f"localhost. A {INSIDE}")
    with pytest.raises(Refused):
        send_to(settings, bad, "a.example", public.port)


def test_aliases_in_a_circle_or_without_end_are_a_failure(settings: Any) -> None:
    circle = zone("a.example. CNAME b.example.", "b.example. CNAME a.example.")
    endless = zone(*(f"{name}.example. CNAME {name}a.example." for name in ("a" * n for n in range(1, 30))))
    for says in (circle, endless):
        with pytest.raises(Failed, match=r"name a\.example"):
            send_to(settings, says, "a.example", 8000)


def test_a_long_answer_is_fetched_over_tcp(settings: Any, public: Receiver) -> None:
    long = zone(f"big.example. A {PUBLIC} " + " ".join(f"10.0.0.{n}" for n in range(1, 50)))
    assert send_to(settings, long, "big.example", public.port).body == b"public"


def test_a_huge_answer_is_not_looked_at(settings: Any) -> None:
    with pytest.raises(Failed, match="longer than 4096 bytes"):
        send_to(settings, lambda query: query.to_wire() + bytes(60_000), "huge.example", 8000)


def test_few_of_many_addresses_are_tried(settings: Any) -> None:
    with dns_server(zone("many.example. A " + " ".join(f"127.0.9.{n}" for n in range(1, 200)))) as server:
        forwarding(settings, OPEN, nameservers=(server.where,))
        target = outbound_url.read("http://many.example:8000/", "utf-8")
        assert len(reachable.allowed_addresses(target, Deadline(5.0))) == 8


def nxdomain(query: Query) -> dns.message.Message:
    return records(query, rcode=dns.rcode.NXDOMAIN)


def servfail(query: Query) -> dns.message.Message:
    return records(query, rcode=dns.rcode.SERVFAIL)


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (nxdomain, "there is no name hook.example in DNS"),
        (servfail, "no DNS server could answer for the name hook.example"),
        (zone(), "the name hook.example has no address in DNS"),
        (lambda query: None, "no DNS server answered for the name hook.example in time"),
        (lambda query: b"garbage", "no DNS server answered for the name hook.example in time"),
        (lambda query: query.to_wire()[:2] + b"\xff" * 300, "no DNS server answered for the name hook.example in time"),
    ],
)
def test_a_name_that_cannot_be_resolved_is_a_failure_in_time(settings: Any, says: Says, words: str) -> None:
    started = monotonic()
    with pytest.raises(Failed) as caught:
        send_to(settings, says, "hook.example", 8000, SOON)
    assert str(caught.value) == words
    assert 0 < caught.value.duration_ms <= (monotonic() - started) * 1000 < (SOON + LATE) * 1000


def test_an_answer_of_somebody_else_is_passed_over(settings: Any, public: Receiver) -> None:
    def wrong(query: Query) -> bytes:
        other = dns.message.make_query("other.example", "A", id=query.id)
        return records(other, f"other.example. A {PUBLIC}").to_wire()

    with pytest.raises(Failed, match="in time"):
        send_to(settings, wrong, "hook.example", public.port, SOON)


def test_where_ipv6_is_never_answered_ipv4_does(settings: Any, public: Receiver) -> None:
    def four_only(query: Query) -> dns.message.Message | None:
        return None if "AAAA" in query.question[0].to_text() else records(query, f"four.example. A {PUBLIC}")

    assert send_to(settings, four_only, "four.example", public.port, 1.0).body == b"public"


def test_the_next_server_is_asked_where_one_cannot_say(settings: Any, public: Receiver) -> None:
    with dns_server(servfail) as first, dns_server(zone(f"hook.example. A {PUBLIC}")) as second:
        forwarding(settings, OPEN, nameservers=(first.where, second.where))
        assert send(Outgoing("POST", f"http://hook.example:{public.port}/", (), b""), 5.0).body == b"public"
    assert (len(first.asked), len(second.asked)) == (2, 2)


def test_a_name_is_asked_for_again_at_each_connection(settings: Any, public: Receiver) -> None:
    with dns_server(zone(f"hook.example. A {PUBLIC}")) as server:
        forwarding(settings, OPEN, nameservers=(server.where,))
        for _ in range(2):
            send(Outgoing("POST", f"http://hook.example:{public.port}/", (), b""), 5.0)
    assert server.asked == ["hook.example. IN A", "hook.example. IN AAAA"] * 2


def test_names_that_never_resolve_hold_no_others_up(settings: Any, public: Receiver) -> None:
    def some(query: Query) -> dns.message.Message | None:
        return None if "slow" in query.question[0].to_text() else records(query, f"quick.example. A {PUBLIC}")

    outcomes: list[object] = []

    def hang() -> None:
        try:
            send(Outgoing("POST", "http://slow.example:8000/", (), b""), 1.5)
        except Failed as error:
            outcomes.append(error)

    with dns_server(some) as server:
        forwarding(settings, OPEN, nameservers=(server.where,))
        threads = [threading.Thread(target=hang) for _ in range(20)]
        for thread in threads:
            thread.start()
        assert send(Outgoing("POST", f"http://quick.example:{public.port}/", (), b""), 1.0).body == b"public"
        assert outcomes == []
        for thread in threads:
            thread.join()
    assert len(outcomes) == 20
