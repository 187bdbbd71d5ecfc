"""What a destination gets of a request: everything as it came, but for what is of the connection that it came on."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from instantlite.uuid7 import uuid7
from tests.webhooks import couriers
from tests.webhooks.couriers import Forwarding
from tests.webhooks.receivers import answering, ok, receiver
from webhooks import forward, outbound, signatures
from webhooks.forward import Claimed, joined
from webhooks.message import Message, Pair
from webhooks.models import Destination
from webhooks.models.captures import path_below_key
from webhooks.outbound import Outgoing, Refused
from webhooks.outbound_url import read

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
IDS = [uuid7() for _ in range(4)]
TOKEN = "!#$%&'*+-.^_`|~0123456789abcXYZ"

tokens = st.text(TOKEN, min_size=1, max_size=20)
# What gunicorn takes: no control character but tab within, no space around.
values = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40).map(
    lambda text: re.sub("[\x80-\x9f]", "", text).strip(" \xa0")
)
visible = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), max_size=30)
paths = st.just("") | visible.map("/{}".format)
queries = st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=30)
OURS = {
    "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "expect", "http2-settings", "host", "content-length", "x-forwarded-for",
    "x-forwarded-host", "x-forwarded-proto", "instantlite-attempt", "instantlite-request-id",
}  # fmt: skip


def claimed(message: Message, url: str = "https://example.com/hooks", **parts: Any) -> Claimed:
    path = path_below_key(message.target)
    first, second, third, fourth = IDS
    given: dict[str, Any] = {"client": "192.0.2.7", **parts}
    return Claimed(first, second, third, fourth, 3, 1, NOW, url, 10.0, message, path, **given)


def message(headers: tuple[Pair, ...] = (), target: str = "/webhook/receive/key", body: bytes = b"") -> Message:
    return Message("POST", target, "1.1", headers, body)


def outgoing(message: Message, **parts: Any) -> Outgoing:
    return forward.outgoing_of(claimed(message, **parts), message, NOW)


def on_the_wire(sent: Outgoing) -> list[str]:
    """Lines of the head."""
    head = outbound._head(sent, read(sent.url, "latin-1"))
    return head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")


@options(max_examples=60, deadline=None)
@given(
    method=tokens,
    path=paths,
    query=queries,
    headers=st.lists(st.tuples(tokens.filter(lambda name: name.lower() not in OURS), values), max_size=6),
    body=st.binary(max_size=50),
)
def test_every_request_is_sent_as_it_came(
    method: str, path: str, query: str | None, headers: list[Pair], body: bytes
) -> None:
    target = f"/webhook/receive/key{path}" + ("" if query is None else f"?{query}")
    sent = outgoing(Message(method, target, "1.1", tuple(headers), body))
    line, host, close, *lines = on_the_wire(sent)
    # RFC 3986 has no other characters; they are percent-encoded, and nothing is decoded.
    tail = quote(("" if path == "/" else path), safe="%:/?[]@!$&'()*+,;=") + (
        f"?{quote(query, safe='%:/?[]@!$&' + chr(39) + '()*+,;=')}" if query else ""
    )
    assert line == f"{method} /hooks{tail} HTTP/1.1"
    assert (host, close) == ("Host: example.com", "Connection: close")
    if body or method in ("POST", "PUT", "PATCH"):
        assert lines.pop(0) == f"Content-Length: {len(body)}"
    assert lines[: len(headers)] == [f"{name}: {value}" for name, value in headers]
    assert sent.body == body


@pytest.mark.parametrize("name", sorted(OURS - {"instantlite-request-id", "connection"}))
def test_what_is_of_the_connection_or_ours_is_not_handed_on(name: str) -> None:
    spelt = name.title()
    lines = on_the_wire(outgoing(message(((spelt, "theirs"), (name.upper(), "theirs"), ("X-Kept", "theirs")))))
    assert [line for line in lines if "theirs" in line] == ["X-Kept: theirs"]


def test_nor_is_what_connection_names() -> None:
    headers = (
        ("Connection", "close, X-Hop"),
        ("connection", " x-other ,"),
        ("x-hop", "a"),
        ("X-OTHER", "b"),
        ("X", "c"),
    )
    lines = on_the_wire(outgoing(message(headers)))
    assert not [line for line in lines if line.lower().startswith(("x-hop", "x-other"))]
    assert "X: c" in lines


def test_what_is_added(settings: Settings) -> None:
    server = replace(settings.INSTANTLITE.server, app_url="https://instant.example:8443")
    settings.INSTANTLITE = replace(settings.INSTANTLITE, server=server)
    lines = on_the_wire(outgoing(message()))
    assert lines[-5:] == [
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Host: instant.example:8443",
        "X-Forwarded-Proto: https",
        f"Instantlite-Request-Id: {IDS[2]}",
        "Instantlite-Attempt: 3",
    ]
    assert not [line for line in on_the_wire(outgoing(message(), client=None)) if line.startswith("X-Forwarded-For")]


@pytest.mark.parametrize(
    ("url", "path", "query", "sent"),
    [
        ("https://a/", "", "", "https://a/"),
        ("https://a", "", "", "https://a"),
        ("https://a", "/x", "", "https://a/x"),
        ("https://a/", "/x", "", "https://a/x"),
        ("https://a/b", "", "", "https://a/b"),
        ("https://a/b", "/", "", "https://a/b"),
        ("https://a/b/", "/", "", "https://a/b/"),
        ("https://a/b/", "/x/", "", "https://a/b/x/"),
        ("https://a/b", "//x", "", "https://a/b//x"),
        ("https://a/b?k=1", "/x", "q=2", "https://a/b/x?k=1&q=2"),
        ("https://a/b?k=1", "", "", "https://a/b?k=1"),
        ("https://a/b?", "", "", "https://a/b?"),
        ("https://a/b?", "/x", "q", "https://a/b/x?q"),
        ("https://a/b?k", "", "?", "https://a/b?k&?"),
        ("https://a/b", "/%2F%3f", "a=%26", "https://a/b/%2F%3f?a=%26"),
        ("https://a/b", "/../c", "", "https://a/b/../c"),
        ("https://a/b", "/x#y", "z#w", "https://a/b/x%23y?z%23w"),
        ("https://a/b", "/\x01", "\x7f\t", "https://a/b/%01?%7F%09"),
    ],
)
def test_path_and_query_are_added_to_the_destinations(url: str, path: str, query: str, sent: str) -> None:
    assert joined(url, path, query) == sent


@pytest.mark.parametrize("target", ["/k/x", "http://host/webhook/receive/k/x", "/webhook/receive/k/x"])
def test_every_form_of_a_target_has_its_path_below_the_key(target: str) -> None:
    assert path_below_key(target.replace("/k", "/webhook/receive/k", 1) if target == "/k/x" else target) == "/x"


@pytest.mark.parametrize(
    "target",
    [
        "x.evil.test://a/webhook%2Freceive/k/x",
        "/webhook%2Freceive/k/x",
        "/webhook/receive%2Fk/x",
        "//evil.test/%77ebhook/receive/k",
        "@evil.test/webhook%2freceive/k",
    ],
)
def test_a_target_that_hides_the_way_to_the_key_has_nothing_below_it(target: str) -> None:
    """A sender, who knows no more than the receive URL, would else choose the host behind a URL without a path."""
    assert path_below_key(target) == ""
    assert joined("https://there.example", path_below_key(target), "") == "https://there.example"


@pytest.mark.parametrize("path", ["x", ".evil.test/x", "@evil.test/x", ":81/x"])
def test_no_path_becomes_a_part_of_the_host(path: str) -> None:
    with pytest.raises(Refused):
        joined("https://there.example", path, "")


@pytest.mark.parametrize("raw", ["\xc3\xa9", "\xc3\x80", "\xff\xfe", "\xe2\x82\xac"])
def test_bytes_beyond_ascii_are_percent_encoded_as_they_are(raw: str) -> None:
    """UTF-8 has bytes from 0x80 to 0x9f, which are no control characters there."""
    encoded = quote(raw.encode("latin-1"))
    line = on_the_wire(outgoing(message(target=f"/webhook/receive/key/{raw}?q={raw}")))[0]
    assert line == f"POST /hooks/{encoded}?q={encoded} HTTP/1.1"


@pytest.mark.parametrize("provider", ["standard-webhooks", "stripe", "github", "slack", "shopify"])
def test_a_request_is_signed_anew_with_the_destinations_secret(provider: str) -> None:
    """What came signed with another secret, long ago, is what a receiver with this one takes now."""
    secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLwSw"
    signing = signatures.store(IDS[3], {"provider": provider, "secret": secret})
    old = (
        ("Webhook-Id", "msg_1"), ("Webhook-Timestamp", "1"), ("Webhook-Signature", "v1,old"), ("Stripe-Signature", "t"),
        ("X-Hub-Signature-256", "sha256=old"), ("X-Slack-Request-Timestamp", "1"), ("X-Slack-Signature", "v0=old"),
        ("X-Shopify-Hmac-SHA256", "old"),
    )  # fmt: skip
    body = b'{"a": 1}'
    sent = outgoing(message(old, body=body), signing=signing)
    arrived = Message("POST", "/hooks", "1.1", tuple(sent.headers), sent.body)
    config = signatures.opened(IDS[3], signing)
    assert signatures.verify(config, arrived, NOW, sent.url).verified
    names = [name.lower() for name, _ in sent.headers]
    assert len(names) == len(set(names))
    assert sent.body == body


def test_a_secret_that_cannot_be_read_any_more_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    signing = signatures.store(uuid7(), {"provider": "github", "secret": "of another row"})
    outcome = forward.deliver(claimed(message(), signing=signing), NOW)
    assert (outcome.state, outcome.effect) == ("dead", "none")
    assert "Set it again" in outcome.error


def test_bytes_arrive_over_a_real_connection_as_they_came(transactional_db: None, settings: Settings) -> None:
    couriers.to_loopback(settings)
    body = bytes(range(256)) * 300
    with couriers.running(), receiver(answering(ok())) as there:
        inbox = Forwarding()
        made = inbox.to(there, "/in?token=1", signature={"provider": "github", "secret": "s3cret"})
        assert "s3cret" not in str(made)
        inbox.one(inbox.sent("/a//b%2F?x=1&x=2", body, "REPORT", X_A="1", content_type="a/b; c=d"))
        (got,) = there.requests
    head, _, arrived = got.partition(b"\r\n\r\n")
    assert head.startswith(b"REPORT /in/a//b%2F?token=1&x=1&x=2 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nContent-Type: a/b; c=d\r\n" in head + b"\r\n"
    assert b"\r\nX-Hub-Signature-256: sha256=" in head
    assert arrived == body
    signing = Destination.objects.get().signing
    assert signing
    assert "s3cret" not in str(signing)
