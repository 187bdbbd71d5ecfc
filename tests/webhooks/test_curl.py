"""The command is run by a real shell and a real curl, and what arrives is compared with what was captured."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.webhooks.messages import data
from webhooks.curl import curl_command
from webhooks.message import Message, Pair

SKIPPED = {"host", "content-length", "connection", "expect"}


class Recorder:
    """Takes one HTTP/1 request after the other from a raw socket, keeps its bytes, and answers 204."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.received: list[Message] = []
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            connection, _ = self.socket.accept()
            with connection, connection.makefile("rb") as stream:
                if not (start := stream.readline()):
                    return
                method, target, version = start.decode("latin-1").rstrip("\r\n").split(" ", 2)
                headers = tuple(self._headers(iter(stream.readline, b"\r\n")))
                length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
                self.received.append(Message(method, target, version[5:], headers, stream.read(length)))
                connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    def _headers(self, lines: Iterator[bytes]) -> Iterator[Pair]:
        for line in lines:
            name, _, value = line.decode("latin-1").partition(":")
            yield name, value.strip(" \t\r\n")

    def close(self) -> None:
        """An empty connection ends the thread."""
        socket.create_connection(self.socket.getsockname()).close()
        self.thread.join(5)
        self.socket.close()


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    if not shutil.which("curl"):
        if os.environ.get("CI") == "true":
            pytest.fail("curl is not installed, and CI must have it")
        pytest.skip("curl is not installed here; CI has it")
    running = Recorder()
    yield running
    running.close()


def sent_again(recorder: Recorder, message: Message) -> Message:
    """What arrives when the command is run by sh, as a script: a long one is no argument."""
    recorder.received.clear()
    command = curl_command(message, recorder.origin)
    done = subprocess.run(
        ["sh"],
        input=command.encode() + b"\n",
        capture_output=True,
        timeout=20,
        check=False,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, (command, done.stderr)
    (arrived,) = recorder.received
    return arrived


def kept(message: Message) -> list[Pair]:
    return [pair for pair in message.headers if pair[0].lower() not in SKIPPED]


def post(body: bytes, *headers: Pair, target: str = "/webhook/receive/key", method: str = "POST") -> Message:
    return Message(method, target, "1.1", headers, body)


def assert_same(arrived: Message, message: Message) -> None:
    assert (arrived.method, arrived.target, arrived.version) == (message.method, message.target, message.version)
    assert kept(arrived) == kept(message)
    assert arrived.body == message.body


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "it\'s $(id) `id` ${HOME} !! \\\\ \\n %s %d"}',
        b"line 1\nline 2\n\n",
        b"\n",
        b"@/etc/passwd",
        b"@-",
        b"--head",
        b"-",
        b"a\r\nb\r\n",
        b"a\0b",
        b"\x1b[201~; id\n",
        "é 日本 🎉".encode(),
        "hidden \u202e direction \u200b".encode(),
        b"caf\xe9 \xff\xfe",
        bytes(range(256)),
        b"END\n" * 3 + b"\0",
        b"x" * 99_999,
        b"x" * 200_000,
        bytes(range(256)) * 4096,
        b"\n" * 50_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_every_body_arrives_as_it_came(recorder: Recorder, body: bytes) -> None:
    message = post(body, ("Content-Type", "text/plain"))
    assert_same(sent_again(recorder, message), message)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("User-Agent", "a/1"), ("Accept", "*/*"), ("Content-Type", "x/y")],
        [("accept", "b"), ("ACCEPT", "a"), ("Accept", "b")],
        [("X-B", "1"), ("x-a", "2"), ("X-B", "1")],
        [("X-Empty", ""), ("X-Space", " \t"), ("X-Semicolon", ";"), ("X", "a;")],
        [("X-At", "@/etc/passwd"), ("X-Dash", "--head"), ("X-Colon", ": :")],
        [("X-Quote", 'it\'s "$(id)" `id` \\ !! %s *')],
        [("X-Utf8", "é 日本".encode().decode("latin-1")), ("X-Latin", "caf\xe9"), ("X-Tab", "a\tb")],
        [("X-Control", "\x01\x1b[31m'!$(id)\x7f")],
        [("X-Hidden", "\u202e".encode().decode("latin-1"))],
        [("!#$%&'*+.^_`|~", "v"), ("-H", "v"), ("-", "\x1f")],
        [("Authorization", "Bearer a'b"), ("Cookie", "a=1"), ("Cookie", "b=2"), ("Referer", "r")],
        [("Accept-Encoding", "gzip, br"), ("Content-Encoding", "br"), ("Date", "now"), ("If-Match", '"x"')],
        [("Host", "other"), ("Content-Length", "3"), ("Connection", "close"), ("Expect", "100-continue")],
        [("X-Long", "v" * 8_000)],
    ],
    ids=repr,
)
def test_headers_arrive_in_order_and_nothing_is_added(recorder: Recorder, headers: list[Pair]) -> None:
    for method, body in [("POST", b"a=1"), ("GET", b"")]:
        message = post(body, *[pair for pair in headers if body or pair[0] != "Content-Length"], method=method)
        arrived = sent_again(recorder, message)
        expected = [(name, value.strip(" \t")) for name, value in kept(message)]
        assert kept(arrived) == expected
        assert arrived.first("Host") == recorder.origin.removeprefix("http://")
        assert not arrived.all("Expect")


def test_headers_of_the_connection_and_impossible_ones_are_left_out() -> None:
    message = post(
        b"a",
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("@file", "v"),
        ("X", "a\r\nY: b"),
        ("", "v"),
        ("X-Kept", "v"),
    )
    command = curl_command(message, "http://localhost")
    assert "--header 'X-Kept: v'" in command
    assert not any(word in command for word in ("chunked", "h2c", "@file", "Y: b", "': v'"))


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a/../b/./c//d",
        "/a%2Fb/%2e%2e/c",
        "/?a=1&b=%20&a=1&c=[1]{x,y}",
        "/a[1-3]{b,c}",
        "/it's$(id)`id`!*",
        "/caf\xc3\xa9",
        "/caf\xe9",
        "/a#b?c#d",
        "/a|b\\c^d\"e<f>",
        "//double",
        "/?",
        "/??a=?",
        "*",
        "http://other.example/path?x=1",
        "other.example:443",
    ],
)  # fmt: skip
def test_every_target_arrives_as_it_came(recorder: Recorder, target: str) -> None:
    message = post(b"a", ("Content-Type", "x/y"), target=target)
    assert_same(sent_again(recorder, message), message)


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "get", "PURGE", "M-'`$!"]
)
@pytest.mark.parametrize("body", [b"", b"a=1"])
def test_every_method_arrives(recorder: Recorder, method: str, body: bytes) -> None:
    message = post(body, method=method)
    assert_same(sent_again(recorder, message), message)


def test_a_length_of_zero_is_said_again(recorder: Recorder) -> None:
    assert sent_again(recorder, post(b"", ("Content-Length", "0"))).all("Content-Length") == ["0"]
    assert sent_again(recorder, post(b"")).all("Content-Length") == []


def test_the_version_is_kept(recorder: Recorder) -> None:
    message = Message("GET", "/", "1.0", (), b"")
    assert_same(sent_again(recorder, message), message)


def test_nothing_that_a_terminal_obeys_is_in_the_command() -> None:
    hostile = "".join(map(chr, [*range(10), *range(11, 32), 127, 0x9B]))
    message = post(hostile.encode(), ("X", hostile.replace("\r", "").replace("\0", "")), target="/" + hostile)
    for text in (curl_command(message, "http://localhost"), curl_command(post(b"\0\x1b" * 9_000), "http://localhost")):
        assert text.replace("\n", "").isprintable()


# Form feeds and vertical tabs are no field content (RFC 9110, section 5.5), and curl takes them for spaces.
wire = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0\v\f"), max_size=20)
tokens = st.text("!#$%&'*+.^_`|~09azAZ-", min_size=1, max_size=8).filter(
    lambda name: name.lower() not in SKIPPED | {"te"}
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=data, headers=st.lists(st.tuples(tokens, wire), max_size=4), path=wire)
def test_anything_arrives_as_it_came(recorder: Recorder, body: bytes, headers: list[Pair], path: str) -> None:
    stripped = [(name, value.strip(" \t")) for name, value in headers]
    message = post(body, *stripped, target="/" + path.replace(" ", ""))
    assert_same(sent_again(recorder, message), message)
