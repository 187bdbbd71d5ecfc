"""Receivers that hang, break off, lie or never end: each costs a bounded time and memory, and is told in words."""

import socket
import tracemalloc
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.webhooks.receivers import Connection, Handler, answering, forwarding, ok, receiver
from webhooks.outbound import KEPT_BYTES, Answer, Failed, Outgoing, send
from webhooks.outbound_answer import AnswerReader

SOON = 0.3
PATIENT = 5.0
# How late an answer may be on a machine that is busy with other things (seconds).
LATE = 2.0
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(autouse=True)
def _loopback_is_open(request: pytest.FixtureRequest) -> None:
    forwarding(request.getfixturevalue("settings"), "127.0.0.0/8", "::1/128")


def sent_to(handle: Handler, timeout: float = PATIENT, body: bytes = b"x") -> Answer:
    with receiver(handle) as sink:
        return send(Outgoing("POST", f"{sink.url}/", (), body), timeout)


def failed(handle: Handler, timeout: float = PATIENT, body: bytes = b"x") -> str:
    started = monotonic()
    with pytest.raises(Failed) as caught:
        sent_to(handle, timeout, body)
    assert caught.value.duration_ms <= (monotonic() - started) * 1000 <= (timeout + LATE) * 1000
    return str(caught.value)


def hang(connection: Connection) -> None:
    connection.until_closed()


def drip(piece: bytes, first: bytes = b"") -> Handler:
    """Send one piece after the other, each long before any timeout, until the other end goes away."""

    def handle(connection: Connection) -> None:
        connection.request()
        connection.send(first)
        for _ in repeat(None):
            connection.send(piece)
            sleep(0.01)

    return handle


def flood(first: bytes, piece: bytes) -> Handler:
    def handle(connection: Connection) -> None:
        connection.request()
        connection.send(first)
        for _ in repeat(None):
            connection.send(piece)

    return handle


def test_one_that_says_nothing_is_given_up() -> None:
    assert failed(hang, SOON) == "no answer within 0.3 s"


def test_one_that_does_not_read_is_given_up() -> None:
    words = failed(hang, SOON, b"x" * 20_000_000)
    assert words.startswith("only ")
    assert words.endswith(" bytes of the request could be sent within 0.3 s")


def test_one_that_never_accepts_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = []
        try:
            while True:
                waiting.append(socket.create_connection(address, 0.1))
        except OSError:
            pass
        with pytest.raises(Failed, match=r"no connection within 0\.3 s|no answer within 0\.3 s"):
            send(Outgoing("POST", f"http://127.0.0.1:{address[1]}/", (), b""), SOON)
        for each in waiting:
            each.close()


def test_slow_headers_do_not_get_past_the_deadline() -> None:
    assert failed(drip(b"a"), SOON).startswith("it sent ")
    assert failed(drip(b"A: b\r\n", HEAD), SOON) == "the headers of its answer were not complete within 0.3 s"


@pytest.mark.parametrize(
    ("headers", "piece"),
    [(b"\r\n", b"."), (b"Content-Length: 99999\r\n\r\n", b"."), (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n.\r\n")],
)
def test_a_slow_body_is_cut_off_and_the_status_counts(headers: bytes, piece: bytes) -> None:
    answer = sent_to(drip(piece, HEAD + headers), SOON)
    assert (answer.status, answer.truncated) == (200, True)
    assert 1 <= len(answer.body) < 100
    assert answer.body.strip(b".") == b""
    assert answer.duration_ms < (SOON + LATE) * 1000


@pytest.mark.parametrize("headers", [b"Content-Length: 5000000000\r\n\r\n", b"\r\n"])
def test_an_answer_of_five_gigabytes_costs_no_more_than_its_beginning(headers: bytes) -> None:
    tracemalloc.start()
    try:
        answer = sent_to(flood(HEAD + headers, b"z" * 50_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (answer.status, answer.body, answer.truncated) == (200, b"z" * KEPT_BYTES, True)
    assert peak < 5_000_000


@pytest.mark.parametrize("chunk", [b"1\r\n.\r\n", b"1;" + b"e" * 60_000 + b"\r\n.\r\n", b"f" * 70_000])
def test_chunks_that_cost_more_than_they_hold_are_not_read_on_and_on(chunk: bytes) -> None:
    answer = sent_to(flood(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk * 20))
    assert (answer.status, answer.truncated) == (200, True)
    assert len(answer.body) <= 4097


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"A: b\r\n" * 201 + b"\r\n",
        HEAD + b"A: " + b"b" * 70_000 + b"\r\n\r\n",
        HEAD + b"A: b" * 70_000,
        b"HTTP/1.1 100 Continue\r\nA: " + b"b" * 30_000 + b"\r\n\r\n" + HEAD + b"A: " + b"b" * 40_000 + b"\r\n\r\n",
    ],
    ids=["lines", "bytes", "endless", "interim"],
)
def test_headers_are_bounded(head: bytes) -> None:
    assert failed(answering(head)) == "its answer has more than 200 header lines, or 65536 bytes of them"


def test_headers_up_to_the_bound_are_read() -> None:
    answer = sent_to(answering(HEAD + b"A: b\r\n" * 199 + b"Content-Length: 300\r\n\r\n" + b"\n" * 300))
    assert (len(answer.headers), len(answer.body)) == (200, 300)


def test_interim_answers_are_bounded() -> None:
    assert failed(flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n")).startswith("it sent more than 10 interim answers")


@pytest.mark.parametrize(
    ("garbage", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", r"it sent 21 bytes that are no HTTP/1.1: SSH-2.0-OpenSSH_9.6\r\n"),
        (b"\x15\x03\x01\x00\x02\x02\x16", r"it sent 7 bytes that are no HTTP/1.1: \x15\x03\x01\x00\x02\x02\x16"),
        (b"HTTP/2 200\r\n\r\n", r"it sent 14 bytes that are no HTTP/1.1: HTTP/2 200\r\n\r\n"),
        (b"\r\n", r"it sent 2 bytes that are no HTTP/1.1: \r\n"),
        (b"HTTP/1.1 099 Odd\r\n\r\n", "its answer is no proper HTTP ("),
        (b"HTTP/1.1 two OK\r\n\r\n", "its answer is no proper HTTP (illegal status line)"),
        (HEAD + b"no colon\r\n\r\n", "its answer is no proper HTTP (illegal header line)"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "its answer is no proper HTTP (conflicting"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "its answer is no proper HTTP ("),
    ],
)
def test_garbage_is_told_as_garbage(garbage: bytes, words: str) -> None:
    assert failed(answering(garbage)).startswith(words)


def test_a_line_that_goes_on_and_on_is_not_quoted_whole() -> None:
    assert len(failed(answering(HEAD + b"x" * 50_000 + b"\r\n\r\n"))) < 200


def closing(*pieces: bytes) -> Handler:
    return answering(*pieces)


def resetting(*pieces: bytes) -> Handler:
    def handle(connection: Connection) -> None:
        connection.request()
        connection.send(*pieces)
        sleep(0.05)
        connection.reset()

    return handle


@pytest.mark.parametrize(("ends", "word"), [(closing, "closed"), (resetting, "reset")])
def test_a_connection_that_breaks_off_is_told_by_where(ends: Any, word: str) -> None:
    assert failed(ends()) == f"it {word} the connection without an answer"
    assert failed(ends(b"HTTP/1.1 2")) == f"it {word} the connection before its headers were complete"
    answer = sent_to(ends(HEAD + b"Content-Length: 9\r\n\r\nabc"))
    assert (answer.status, answer.body, answer.truncated) == (200, b"abc", True)


def test_one_that_resets_at_once_is_told() -> None:
    assert "the connection" in failed(Connection.reset)
    assert "the connection" in failed(Connection.reset, body=b"x" * 5_000_000)


def test_one_that_closes_amid_the_request_is_told() -> None:
    def handle(connection: Connection) -> None:
        connection.socket.recv(1000)

    assert "the connection without an answer" in failed(handle, body=b"x" * 5_000_000)


def test_an_answer_before_the_whole_request_was_read_counts() -> None:
    def handle(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\ntoo large")

    answer = sent_to(handle, body=b"x" * 5_000_000)
    assert (answer.status, answer.body) == (413, b"too large")


def test_an_early_answer_does_not_stop_a_request_that_is_still_read() -> None:
    read: list[int] = []

    def handle(connection: Connection) -> None:
        connection.send(ok(b"y" * 100_000))
        read.append(len(connection.request()))

    assert sent_to(handle, body=b"x" * 5_000_000).status == 200
    assert read[0] > 5_000_000


def test_one_that_sends_back_what_it_reads_does_not_lock_up() -> None:
    read: list[int] = []

    def echo(connection: Connection) -> None:
        connection.send(HEAD + b"\r\n")
        count = 0
        with suppress(OSError):
            while piece := connection.socket.recv(65536):
                count += len(piece)
                if count > 8_000_000:
                    break
                connection.send(piece)
        read.append(count)

    answer = sent_to(echo, body=b"x" * 8_000_000)
    assert (answer.status, answer.truncated, read[0] > 8_000_000) == (200, True, True)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_stays_open() -> None:
    before = descriptors()
    for handle in (hang, Connection.reset, closing(), closing(b"junk"), resetting(HEAD), drip(b".", HEAD + b"\r\n")):
        with suppress(Failed):
            sent_to(handle, 0.1)
    assert descriptors() == before


PARTS = [
    HEAD,
    b"\r\n",
    b"\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n",
    b"5\r\n",
    b"0\r\n",
    b": ",
    b" ",
]


@settings(deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40) | st.sampled_from([*PARTS, b"HTTP/1.1 100 C\r\n\r\n"]), max_size=12),
    st.sampled_from(["GET", "HEAD", "CONNECT"]),
)
def test_whatever_comes_is_an_answer_or_a_failure(pieces: list[bytes], method: str) -> None:
    reader = AnswerReader(method)
    try:
        for piece in pieces:
            reader.take(piece)
        reader.end("closed the connection")
    except Failed:
        assert reader.status is None
        return
    assert reader.done
    assert 200 <= (reader.status or 0) <= 999
