"""Destinations over TLS: the certificate has to be the host's, and what is wrong with it is told in words."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.webhooks.certificates import Authority
from tests.webhooks.dns_server import dns_server, zone
from tests.webhooks.receivers import Connection, answering, forwarding, ok, receiver
from webhooks.outbound import KEPT_BYTES, Answer, Failed, Outgoing, send
from webhooks.outbound_socket import tls_context

SOON = 0.3
LATE = 2.0


@pytest.fixture(autouse=True)
def _loopback_is_open(settings: Any) -> None:
    forwarding(settings, "127.0.0.0/8")


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """One that this server believes, as an operator would tell it."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    tls_context.cache_clear()
    yield made
    tls_context.cache_clear()


def send_to(url: str, body: bytes = b"x", timeout: float = 5.0) -> Answer:
    return send(Outgoing("POST", url, (), body), timeout)


def failed(url: str, body: bytes = b"x", timeout: float = 5.0) -> str:
    with pytest.raises(Failed) as caught:
        send_to(url, body, timeout)
    return str(caught.value)


@pytest.mark.parametrize("size", [1, 3_000_000])
def test_a_request_arrives_over_tls(authority: Authority, size: int) -> None:
    with receiver(ok(b"z" * 50_000), context=authority.server("127.0.0.1")) as sink:
        answer = send_to(sink.url, b"x" * size)
        sink.close()
        assert sink.requests[0].partition(b"\r\n\r\n")[2] == b"x" * size
    assert (answer.status, answer.body, answer.truncated) == (200, b"z" * 50_000, False)


def test_the_host_of_the_url_is_asked_for_and_verified(authority: Authority, settings: Any) -> None:
    seen: list[str | None] = []
    context = authority.server("hook.example")
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    spoken: list[str | None] = []

    def handle(connection: Connection) -> None:
        assert isinstance(connection.socket, ssl.SSLSocket)
        spoken.extend([connection.socket.selected_alpn_protocol(), connection.socket.version()])
        answering(ok())(connection)

    names = zone("hook.example. A 127.0.0.1", "other.example. A 127.0.0.1")
    with dns_server(names) as server, receiver(handle, context=context) as sink:
        forwarding(settings, "127.0.0.0/8", nameservers=(server.where,))
        assert send_to(f"https://hook.example:{sink.port}/").status == 200
        assert failed(f"https://other.example:{sink.port}/") == "its certificate is for another host name"
    assert seen == ["hook.example", "other.example"]
    assert spoken == ["http/1.1", "TLSv1.3"]


def test_a_certificate_that_is_not_to_be_believed_is_told_why(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger")
    for context, words in (
        (authority.server("127.0.0.1", days=-1), "its certificate has expired"),
        (authority.server("127.0.0.1", days=20), "its certificate is not valid yet"),
        (authority.server("127.0.0.1", self_signed=True), "its certificate is self-signed"),
        (authority.server("127.0.0.2"), "its certificate is for another address"),
        (stranger.server("127.0.0.1"), "its certificate was signed by an authority that this server does not know"),
    ):
        with receiver(ok(), context=context) as sink:
            assert failed(sink.url).startswith(words)
        assert sink.requests == []


def test_a_receiver_without_tls_is_told_from_one_with_it(authority: Authority) -> None:
    with receiver(lambda connection: connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as plain:
        assert "is it http:// that is meant?" in failed(plain.url.replace("http:", "https:"))
    with receiver(ok(), context=authority.server("127.0.0.1")) as secure:
        assert "the connection" in failed(secure.url.replace("https:", "http:"))


def test_old_versions_of_tls_are_not_spoken(authority: Authority) -> None:
    context = authority.server("127.0.0.1")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with receiver(ok(), context=context) as sink:
        assert failed(sink.url) == "it speaks no version of TLS from 1.2 on"


def test_a_handshake_that_hangs_or_breaks_off_is_given_up(authority: Authority) -> None:
    started = monotonic()
    with receiver(Connection.until_closed) as hanging:
        assert failed(hanging.url.replace("http:", "https:"), timeout=SOON) == "TLS was not agreed upon within 0.3 s"
    assert monotonic() - started < SOON + LATE
    with receiver(lambda connection: None) as closing:
        words = failed(closing.url.replace("http:", "https:"))
    assert words == "it closed the connection while TLS was agreed upon"


def test_slow_receivers_are_given_up_over_tls_too(authority: Authority) -> None:
    with receiver(Connection.until_closed, context=authority.server("127.0.0.1")) as sink:
        assert failed(sink.url, timeout=SOON) == "no answer within 0.3 s"
        assert " bytes of the request could be sent within" in failed(sink.url, b"x" * 20_000_000, SOON)


def test_an_endless_answer_is_cut_off_over_tls_too(authority: Authority) -> None:
    def flood(connection: Connection) -> None:
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.send(b"z" * 50_000)

    with receiver(flood, context=authority.server("127.0.0.1")) as sink:
        answer = send_to(sink.url)
    assert (answer.body, answer.truncated) == (b"z" * KEPT_BYTES, True)


def test_an_early_answer_counts_over_tls_too(authority: Authority) -> None:
    def refuse(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        connection.socket.shutdown(socket.SHUT_WR)
        connection.until_closed()

    with receiver(refuse, context=authority.server("127.0.0.1")) as sink:
        assert send_to(sink.url, b"x" * 5_000_000).status == 413


def test_a_connection_that_is_cut_off_under_tls_ends_the_answer(authority: Authority) -> None:
    def cut(connection: Connection) -> None:
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        # Without TLS's own farewell.
        connection.socket.close()

    with receiver(cut, context=authority.server("127.0.0.1")) as sink:
        answer = send_to(sink.url)
    assert (answer.status, answer.truncated) == (200, True)
