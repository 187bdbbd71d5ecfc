"""URLs of destinations: one form that is stored, and what can never be sent to is refused when it is saved."""

import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.webhooks.receivers import forwarding
from webhooks.outbound import Outgoing, Refused, check_url, send
from webhooks.outbound_url import read


@pytest.fixture(autouse=True)
def _nothing_is_opened(request: pytest.FixtureRequest) -> None:
    forwarding(request.getfixturevalue("settings"), ports=("80", "443", "1024-65535"))


def refused(url: str) -> str:
    with pytest.raises(Refused) as caught:
        check_url(url)
    with pytest.raises(Refused):
        send(Outgoing("POST", url, (), b""), 0.2)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("https://example.com", "https://example.com"),
        ("  HTTPS://EXAMPLE.com/A/b ", "https://example.com/A/b"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:00443/", "https://example.com/"),
        ("https://example.com:/", "https://example.com/"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("https://example.com./x", "https://example.com/x"),
        ("https://example.com/a//b%2fc/./..?q=%zz&x[]=1#part", "https://example.com/a//b%2fc/./..?q=%zz&x[]=1"),
        ("https://example.com?q", "https://example.com?q"),
        ('https://example.com/caf\xe9 "x"|y', "https://example.com/caf%C3%A9%20%22x%22%7Cy"),
        ("https://b\xfccher.example/", "https://xn--bcher-kva.example/"),
        ("https://B\xdcCHER\u3002example/", "https://xn--bcher-kva.example/"),
        ("https://\uff45xample.com/", "https://example.com/"),
        ("https://my_service.example/", "https://my_service.example/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://0x08080808/", "https://8.8.8.8/"),
        ("https://[2001:4860:4860:0:0::8888]/", "https://[2001:4860:4860::8888]/"),
        ("http://intranet:8080/hook", "http://intranet:8080/hook"),
    ],
)
def test_a_url_has_one_form(given: str, stored: str) -> None:
    assert check_url(given) == stored
    assert check_url(stored) == stored


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "//example.com", "ftp://example.com", "file:///etc/passwd", "http:/x", "http:example.com",
        "javascript:alert(1)", "gopher://example.com", "httpss://x",
    ],
)  # fmt: skip
def test_other_schemes_are_refused(url: str) -> None:
    assert refused(url) == "the URL has to start with http:// or https://"


@pytest.mark.parametrize(
    "url",
    [
        "http://", "http:///path", "http://?q", "http://.", "http://a..b/", "http://:80/", "http://[::1", "http://::1/",
        "http://[]/", "http://[v1.x]/", "http://a b/", "http://a%20b/", "http://a\\b/", "http://a<b/", "http://a:b/",
        "http://a:1:2/", "http://[::1]x/", "http://a:-1/", "http://a:\uff11/", "http://1.2.3.4.5/", "http://1.2.3.256/",
        "http://256.1/", "http://0x100000000/", "http://a.1/", "http://08.1/", "http://1..2/", "http://\u2603\ud83d/",
        f"http://{'a' * 64}.example/", f"http://{'a.' * 127}example/", "http://xn--a\u0308/", "http://\u00ad/",
    ],
)  # fmt: skip
def test_a_host_that_can_be_none_is_refused(url: str) -> None:
    refused(url)


@pytest.mark.parametrize("url", ["http://user@example.com", "http://u:p@example.com/", "http://example.com:80@[::1]/"])
def test_a_password_in_the_url_is_refused(url: str) -> None:
    assert "header" in refused(url)


@pytest.mark.parametrize("character", ["\r", "\n", "\0", "\t", "\x7f", "\ud800"])
def test_control_characters_are_refused(character: str) -> None:
    refused(f"http://exam{character}ple.com/")
    refused(f"http://example.com/{character}")
    refused(f"http://example.com/\r\nHost: x{character}")


def test_a_control_character_of_latin_1_is_refused_where_a_destination_is_saved() -> None:
    """In a path that came over the wire it is a byte of UTF-8, and is percent-encoded; a host never has one."""
    refused("http://exam\x85ple.com/")
    with pytest.raises(Refused, match="control characters"):
        check_url("http://example.com/\x85")
    assert read("http://example.com/\xc3\x85", "latin-1").origin_form == "/%C3%85"


def test_a_url_is_at_most_2000_characters_long() -> None:
    start = "https://example.com/"
    longest = start + "x" * (2000 - len(start))
    assert check_url(longest) == longest
    for url in (longest + "x", start + "\u20ac" * 700):
        with pytest.raises(Refused, match="longer than 2000"):
            check_url(url)


@pytest.mark.parametrize("port", [0, 22, 25, 81, 1023, 65536, 99999])
def test_only_some_ports_are_allowed(port: int) -> None:
    assert refused(f"http://example.com:{port}/").startswith(f"port {port} is not among those")


def test_an_operator_chooses_the_ports(settings: Any) -> None:
    forwarding(settings, ports=("8000-8002",))
    assert check_url("http://example.com:8002/") == "http://example.com:8002/"
    refused("http://example.com/")
    refused("https://example.com/")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0X7F.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1",
        "00000177.0.0.1", "127.0.0.1.", "0", "0x", "0x.0x.0x.0x", "127.0x0.0.1", "\uff11\uff12\uff17.0.0.1",
        "127\u30020\uff0e0\uff611", "\u2460\u2461\u2466.0.0.1", "\U0001d7cf27.0.0.1", "10.0.0.1", "169.254.169.254",
        "0xa9fea9fe", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]",
        "[64:ff9b::127.0.0.1]", "[fd00:ec2::254]", "[FE80::1]", "localhost", "LOCALHOST.", "a.b.localhost",
        "\uff4cocalhost", "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",
    ],
)  # fmt: skip
def test_forbidden_hosts_are_known_in_whatever_spelling(host: str) -> None:
    words = refused(f"http://{host}/")
    assert words.endswith("an operator of it can allow that in forwarding.allow_networks")


@pytest.mark.parametrize("host", ["[fe80::1%25eth0]", "[fe80::1%eth0]", "[2001:4860:4860::8888%1]"])
def test_zones_are_refused(host: str) -> None:
    refused(f"http://{host}/")


def test_a_network_that_is_opened_may_be_saved(settings: Any) -> None:
    forwarding(settings, "127.0.0.0/8")
    assert check_url("http://localhost:3000/") == "http://localhost:3000/"
    assert check_url("http://127.1:3000/hook") == "http://127.0.0.1:3000/hook"
    refused("http://[::1]:3000/")


def test_this_service_is_no_destination(settings: Any) -> None:
    assert "this service itself" in refused("https://INSTANT.example/webhook/receive/x")
    forwarding(settings, app_url="https://b\xfccher.example")
    assert "this service itself" in refused("http://xn--bcher-kva.example:8080/")
    forwarding(settings, app_url="http://8.8.8.8:8000")
    assert "this service itself" in refused("http://8.8.8.8:9000/")


def test_an_address_of_this_machine_is_no_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    class Probe(socket.socket):
        """The kernel's answer, had it this public address: it would send from there."""

        def connect(self, address: Any) -> None:
            assert self.type == socket.SOCK_DGRAM

        def getsockname(self) -> Any:
            return ("8.8.4.4", 40000)

    monkeypatch.setattr("webhooks.own_addresses.socket.socket", Probe)
    assert "this service itself" in refused("http://8.8.4.4/")
    assert check_url("http://8.8.8.8/")


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.text(max_size=40) | st.from_regex(r"https?://[^/]{0,20}(:[0-9]{0,6})?(/.*)?", fullmatch=True))
def test_any_text_is_refused_or_has_a_form_that_stays(text: str) -> None:
    try:
        stored = check_url(text)
    except Refused:
        return
    assert stored.isascii()
    assert stored.isprintable()
    assert check_url(stored) == stored
