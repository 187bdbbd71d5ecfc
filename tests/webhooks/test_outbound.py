"""Sending a request on: what arrives is exact to the byte, and what is answered is told as it came."""

import sys
from typing import Any

import pytest

from tests.webhooks.receivers import Connection, Receiver, answering, forwarding, ok, receiver
from webhooks.outbound import KEPT_BYTES, Answer, Failed, Outgoing, Refused, send

PATIENT = 5.0
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def _loopback_is_open(settings: Any) -> None:
    forwarding(settings, "127.0.0.0/8", "::1/128")


def outgoing(url: str, body: bytes = b"", method: str = "POST", *headers: tuple[str, str]) -> Outgoing:
    return Outgoing(method, url, headers, body)


def answer_of(*pieces: bytes, method: str = "POST") -> Answer:
    with receiver(answering(*pieces)) as sink:
        return send(outgoing(f"{sink.url}/", method=method), PATIENT)


def arrived(sink: Receiver) -> bytes:
    """The first request, once its connection is done with."""
    sink.close()
    return sink.requests[0]


def test_a_request_arrives_exactly_as_it_is_given() -> None:
    headers = (("X-B", "2"), ("x-a", "1"), ("X-B", "3 "), ("X-Old", "caf\xe9 \x80"), ("Content-Type", "a/b"))
    with receiver(ok()) as sink:
        send(outgoing(f"{sink.url}/a//b%2Fc/../?q=1&q=%zz&[]", b"\x00\xff\r\n", "PoST", *headers), PATIENT)
        request = arrived(sink)
    assert (
        request
        == (
            b"PoST /a//b%%2Fc/../?q=1&q=%%zz&[] HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
            b"Content-Length: 4\r\nX-B: 2\r\nx-a: 1\r\nX-B: 3 \r\nX-Old: caf\xe9 \x80\r\nContent-Type: a/b\r\n"
            b"\r\n\x00\xff\r\n"
        )
        % sink.port
    )


@pytest.mark.parametrize(("given", "target"), [("", b"/"), ("?a=b", b"/?a=b"), ("/#part", b"/"), ("//", b"//")])
def test_the_target_is_in_origin_form(given: str, target: bytes) -> None:
    with receiver(ok()) as sink:
        send(outgoing(sink.url + given), PATIENT)
        assert arrived(sink).split(b" ")[1] == target


def test_bytes_that_no_url_may_have_are_percent_encoded_as_they_came() -> None:
    with receiver(ok()) as sink:
        send(outgoing(f'{sink.url}/caf\xe9?"<x>|y z"'), PATIENT)
        assert arrived(sink).startswith(b"POST /caf%E9?%22%3Cx%3E%7Cy%20z%22 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("method", "body", "said"),
    [
        ("GET", b"", b""),
        ("DELETE", b"", b""),
        ("WHATEVER", b"", b""),
        ("GET", b"x", b"Content-Length: 1\r\n"),
        ("POST", b"", b"Content-Length: 0\r\n"),
        ("PUT", b"", b"Content-Length: 0\r\n"),
        ("PATCH", b"", b"Content-Length: 0\r\n"),
    ],
)
def test_a_length_is_said_where_there_is_a_body_or_usually_one(method: str, body: bytes, said: bytes) -> None:
    with receiver(ok()) as sink:
        send(outgoing(sink.url, body, method), PATIENT)
        head = arrived(sink).partition(b"\r\n\r\n")[0] + b"\r\n"
    assert head.partition(b"Connection: close\r\n")[2] == said


def test_what_frames_a_message_is_never_taken_from_its_headers() -> None:
    given = ("Host", "HOST"), ("content-length", "99"), ("Transfer-Encoding", "chunked"), ("Expect", "100-continue")
    with receiver(ok()) as sink:
        send(outgoing(sink.url, b"x", "POST", *given, ("Connection", "keep-alive"), ("Upgrade", "h2c")), PATIENT)
        lines = arrived(sink).partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert lines[1:] == [b"Host: 127.0.0.1:%d" % sink.port, b"Connection: close", b"Content-Length: 1"]


@pytest.mark.parametrize(
    ("method", "header"),
    [
        ("GET /\r\nX:", ("A", "b")),
        ("", ("A", "b")),
        ("G\xcbT", ("A", "b")),
        ("GET", ("A", "b\r\nC: d")),
        ("GET", ("A", "b\nC: d")),
        ("GET", ("A", "\0")),
        ("GET", ("A\r\nB", "c")),
        ("GET", ("A:", "c")),
        ("GET", ("", "c")),
        ("GET", ("A", "\u20ac")),
    ],
)
def test_nothing_can_be_smuggled_in_a_line(method: str, header: tuple[str, str]) -> None:
    with receiver(ok()) as sink, pytest.raises(Refused):
        send(outgoing(sink.url, b"", method, header), PATIENT)
    assert sink.accepted == 0


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 3_000_000])
def test_a_body_of_any_size_arrives_whole(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with receiver(ok()) as sink:
        send(outgoing(sink.url, body), PATIENT)
        assert arrived(sink).partition(b"\r\n\r\n")[2] == body


@pytest.mark.parametrize("size", [10, 100_000, 2_000_000])
def test_the_body_is_let_go_of_once_it_is_written(size: int) -> None:
    held = [b"x" * size]
    references: list[int] = []

    def sent() -> None:
        references.append(sys.getrefcount(held[0]))

    with receiver(ok()) as sink:
        send(Outgoing("POST", sink.url, (), held[0]), PATIENT, sent)
    # The list's own, and the argument of getrefcount().
    assert references == [2]


def test_a_body_that_was_not_wanted_is_let_go_of_too() -> None:
    held = [b"x" * 5_000_000]
    references: list[int] = []

    def refuse(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\n")
        connection.until_closed()

    with receiver(refuse) as sink:
        answer = send(Outgoing("POST", sink.url, (), held[0]), 0.3, lambda: references.append(sys.getrefcount(held[0])))
    assert (answer.status, references) == (413, [2])


def test_an_answer_is_told_as_it_came() -> None:
    answer = answer_of(b"HTTP/1.1 201 Made\r\nX-B: 1\r\nx-a:2\r\nX-B: caf\xe9\r\nContent-Length: 5\r\n\r\nab\x00cdxx")
    assert (answer.status, answer.body, answer.truncated) == (201, b"ab\x00cd", False)
    assert answer.headers == (("X-B", "1"), ("x-a", "2"), ("X-B", "caf\xe9"), ("Content-Length", "5"))
    assert 0 < answer.duration_ms < PATIENT * 1000


def test_a_redirect_is_an_answer_like_any_other() -> None:
    with receiver(ok()) as other:
        answer = answer_of(b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % other.url.encode())
    assert (answer.status, answer.headers[0][0]) == (302, "Location")
    assert other.accepted == 0


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (CHUNKED + b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n", b"abcde"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200\r\n\r\nno reason, no length", b"no reason, no length"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok"),
        (b"HTTP/1.1 204 None\r\nContent-Length: 3\r\n\r\nabc", b""),
        (b"HTTP/1.1 304 Same\r\nContent-Length: 3\r\n\r\nabc", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x00", b"\x1f\x8b\x00"),
        (b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok(b"!"), b"!"),
        (b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
def test_every_framing_of_a_body_is_read(sent: bytes, body: bytes) -> None:
    whole = answer_of(sent)
    bytewise = answer_of(*(sent[at : at + 1] for at in range(len(sent))))
    assert (whole.body, whole.truncated) == (bytewise.body, bytewise.truncated) == (body, False)


def test_the_answer_to_head_has_no_body() -> None:
    answer = answer_of(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", method="HEAD")
    assert (answer.status, answer.body, answer.truncated) == (200, b"", False)


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"short"),
        (CHUNKED + b"3\r\nabc\r\nXYZ\r\n", b"abc"),
        (CHUNKED + b"3\r\nabcdef\r\n", b"abc"),
        (CHUNKED + b"-3\r\nabc\r\n", b""),
        (CHUNKED + b"ffffffffffffffffffffff\r\nabc", b""),
        (CHUNKED + b"5\r\nab", b"ab"),
    ],
)
def test_a_body_that_lies_about_its_framing_does_not_undo_the_status(sent: bytes, body: bytes) -> None:
    answer = answer_of(sent)
    assert (answer.status, answer.body, answer.truncated) == (200, body, True)


@pytest.mark.parametrize(("size", "truncated"), [(KEPT_BYTES, False), (KEPT_BYTES + 1, True)])
def test_a_body_is_kept_up_to_a_limit(size: int, truncated: bool) -> None:
    answer = answer_of(ok(b"y" * size))
    assert (answer.body, answer.truncated) == (b"y" * KEPT_BYTES, truncated)


def test_an_address_of_ipv6_is_reached_and_named() -> None:
    with receiver(ok(), host="::1") as sink:
        assert send(outgoing(sink.url), PATIENT).status == 200
        assert b"\r\nHost: [::1]:%d\r\n" % sink.port in arrived(sink)


def test_proxies_of_the_environment_are_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(ok()) as proxy, receiver(ok(b"straight")) as sink:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        assert send(outgoing(sink.url), PATIENT).body == b"straight"
    assert proxy.accepted == 0


def test_nothing_is_sent_to_a_closed_port() -> None:
    with receiver(ok()) as sink:
        pass
    with pytest.raises(Failed, match="the connection was refused") as caught:
        send(outgoing(sink.url), PATIENT)
    assert caught.value.duration_ms > 0
