"""listen.py beside a running service: what it hands on, prints and reports."""

import re
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.service import Service, free_port, wait_for
from tests.webhooks.listening import (
    OK,
    Inbox,
    Listen,
    Listener,
    Received,
    Receiver,
    inbox,
    listen,
    pause,
    program,
    receiver,
)

__all__ = ["inbox", "listen", "program", "receiver"]


def test_a_request_arrives_as_it_came(service: Service, inbox: Inbox, receiver: Receiver, listen: Listen) -> None:
    listen(inbox.token, "--forward", f"{receiver.url}/hooks/?own=1").connected()
    path = inbox.receive_url.removeprefix(service.url)
    with socket.create_connection(("127.0.0.1", service.port)) as sender:
        sender.sendall(
            f"pUrGe {path}/a%2Fb//c?x=1&x=2 HTTP/1.1\r\nHost: sender.example\r\nX-Two: b\r\nx-one: caf\xe9\r\n"
            "X-Two: a\r\nContent-Length: 5\r\nContent-Type: x/y\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nTE: gzip\r\n"
            "Instantlite-Request-Id: forged\r\n\r\n\0\xff\r\n\x7f".encode("latin-1")
        )
        assert sender.recv(1000).startswith(b"HTTP/1.1 200")
    received = wait_for(lambda: list(receiver.received))[0]
    assert received.lines[:7] == [
        "pUrGe /hooks/a%2Fb//c?own=1&x=1&x=2 HTTP/1.1",
        f"Host: 127.0.0.1:{receiver.port}",
        "X-Two: b",
        "x-one: caf\xe9",
        "X-Two: a",
        "Content-Length: 5",
        "Content-Type: x/y",
    ]
    assert received.body == b"\0\xff\r\n\x7f"
    assert [received.all(f"X-Forwarded-{name}") for name in ("For", "Host", "Proto")] == [
        ["127.0.0.1"],
        ["sender.example"],
        ["http"],
    ]
    assert [line for line in received.lines if line.startswith(("X-Hop", "TE", "Transfer"))] == []
    assert received.id != "forged"


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1 << 20])
def test_every_byte_of_a_body_arrives(inbox: Inbox, receiver: Receiver, listen: Listen, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    listen(inbox.page, "--forward", receiver.url).connected()
    inbox.send(body=body[:size])
    assert wait_for(lambda: list(receiver.received))[0].body == body[:size]


def test_a_chunked_body_has_a_length_again(inbox: Inbox, receiver: Receiver, listen: Listen) -> None:
    listen(inbox.page, "--forward", receiver.url).connected()
    inbox.send(body=iter([b"ab", b"c"]))  # type: ignore[arg-type]  # requests sends chunks of it
    (received,) = wait_for(lambda: list(receiver.received))
    assert (received.all("Transfer-Encoding"), received.all("Content-Length"), received.body) == ([], ["3"], b"abc")


def test_requests_arrive_in_order_and_their_outcome_is_an_attempt(
    inbox: Inbox, receiver: Receiver, listen: Listen
) -> None:
    def answer(connection: socket.socket, received: Received) -> None:
        connection.sendall(OK if received.body != b"3" else b"HTTP/1.1 500 No\r\nSet-Cookie: a\r\n\r\n" + b"x" * 70_000)

    receiver.answer = answer
    listener = listen(inbox.status_url, "--forward", receiver.url).connected()
    ids = [inbox.send(f"/{number}", str(number)) for number in range(10)]
    attempts = wait_for(lambda: len(inbox.attempts()) == 10 and inbox.attempts())
    assert receiver.ids == ids == [attempt.request_id for attempt in attempts]
    assert [attempt.status for attempt in attempts] == [200] * 3 + [500] + [200] * 6
    fine, failed = attempts[0], attempts[3]
    assert (fine.url, fine.state, fine.origin, fine.error) == (f"{receiver.url}/0", "delivered", "listen", "")
    assert (fine.answer_headers[1], fine.answer_body, fine.answer_truncated) == (["X-Answer", "yes"], b"ok", False)
    assert (failed.state, failed.answer_body, failed.answer_truncated) == ("dead", b"x" * 65_536, True)
    assert fine.duration_ms > 0
    assert [line.split()[1:4] for line in listener.lines[2:4]] == [["POST", "/2", "200"], ["POST", "/3", "500"]]
    assert listener.end() == 0
    assert "10 requests handed on, 1 of them failed" in listener.remarks[-1]


def test_what_was_not_told_yet_is_told_at_the_end(inbox: Inbox, receiver: Receiver, listen: Listen) -> None:
    listener = listen(inbox.token, "--forward", receiver.url).connected()
    inbox.send()
    listener.says("200")
    assert listener.end() == 0
    assert len(inbox.attempts()) == 1


def test_nothing_is_told_where_that_is_not_wanted(inbox: Inbox, receiver: Receiver, listen: Listen) -> None:
    listener = listen(inbox.token, "--forward", receiver.url, "--no-report").connected()
    inbox.send()
    listener.says("200")
    assert listener.end() == 0
    assert inbox.attempts() == []


def _refuses(connection: socket.socket, _: Received) -> None:
    # A reset: data that was never read, and no linger.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _sends(data: bytes) -> Callable[[socket.socket, Received], None]:
    return lambda connection, _: connection.sendall(data)


def _drips(connection: socket.socket, _: Received) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: y\r\n")
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (_refuses, "the connection was reset"),
        (_sends(b""), "the connection was closed before the answer was complete"),
        (_sends(b"SSH-2.0\r\n\r\n"), "the answer is not HTTP"),
        (_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), "closed before the answer was complete"),
        (_drips, "no whole answer within 0.7 s"),
        (_sends(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000), "the answer is not HTTP"),
    ],
)
def test_a_server_that_fails_is_reported_and_the_next_request_goes_on(
    inbox: Inbox, receiver: Receiver, listen: Listen, answer: Any, said: str
) -> None:
    listener = listen(inbox.token, "--forward", receiver.url, "--timeout", "0.7").connected()
    receiver.answer = answer
    inbox.send("/one")
    listener.says(said)
    receiver.answer = _sends(OK)
    inbox.send("/two")
    one, two = wait_for(lambda: len(inbox.attempts()) == 2 and inbox.attempts())
    assert said in one.error
    assert (one.status, one.state, two.status) == (None, "dead", 200)


def test_a_server_that_is_not_there_is_reported(inbox: Inbox, listen: Listen) -> None:
    listener = listen(inbox.token, "--forward", f"http://localhost:{free_port()}").connected()
    inbox.send()
    listener.says("connection refused: nothing listens there")
    (attempt,) = wait_for(inbox.attempts)
    assert (attempt.status, attempt.error) == (None, "connection refused: nothing listens there")


def test_what_was_too_large_is_shown_and_not_sent(inbox: Inbox, receiver: Receiver, listen: Listen) -> None:
    listener = listen(inbox.token, "--forward", receiver.url).connected()
    answer = inbox.service.post(inbox.receive_url.removeprefix(inbox.service.url), data=b"x" * ((1 << 20) + 1))
    assert answer.status_code == 413
    listener.says("too large")
    inbox.send("/after")
    assert wait_for(lambda: list(receiver.received))[0].lines[0] == "POST /after HTTP/1.1"


def test_a_command_gets_the_body_and_says_how_it_went(inbox: Inbox, listen: Listen) -> None:
    command = (
        'cat; echo " $INSTANTLITE_METHOD $INSTANTLITE_PATH $INSTANTLITE_QUERY $INSTANTLITE_HEADER_X_EVENT_ID";'
        ' test "$INSTANTLITE_METHOD" = PUT || exit 3'
    )
    listener = listen(inbox.token, "--exec", command).connected()
    one = inbox.send("/a?b=c", b"\x1b[2Jbody", "PUT", x_event_id="7; $(exit 9)")
    inbox.send("/", b"", "POST")
    listener.says("exit status 3")
    assert "done" in listener.lines[0]
    assert listener.lines[1] == r"  \x1b[2Jbody PUT /a b=c 7; $(exit 9)"
    attempts = wait_for(lambda: len(inbox.attempts()) == 2 and inbox.attempts())
    assert [(attempt.state, attempt.status, attempt.error) for attempt in attempts] == [
        ("delivered", None, ""),
        ("dead", None, "exit status 3"),
    ]
    assert attempts[0].request_id == one
    assert attempts[0].url == f"exec:{command}"
    assert attempts[0].answer_body == b"\x1b[2Jbody PUT /a b=c 7; $(exit 9)\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("there-is-no-such-command", "exit status 127"),
        ("sleep 60 & sleep 60", "still running after 0.5 s, so it was killed"),
        ("kill -9 $$", "killed by signal 9"),
        ("yes | head -c 3000000; exit 1", "exit status 1"),
    ],
)
def test_a_command_that_fails_is_reported(inbox: Inbox, listen: Listen, command: str, said: str) -> None:
    listener = listen(inbox.token, "--exec", command, "--timeout", "0.5").connected()
    # More than a pipe takes, which none of them reads.
    inbox.send(body=b"x" * 300_000)
    listener.says(said)
    (attempt,) = wait_for(inbox.attempts)
    assert (attempt.error, attempt.state) == (said, "dead")
    assert len(attempt.answer_body) <= 65_536


def test_forwarding_printing_and_commands_go_together(inbox: Inbox, receiver: Receiver, listen: Listen) -> None:
    listener = listen(
        inbox.token, "--forward", receiver.url, "--print", "--exec", "true", "--exec", "false"
    ).connected()
    inbox.send("/a", '{"a":[1.10,{}],"b":"\\u001b"}', x_evil="caf\xe9\x9b31m")
    listener.says("exit status 1")
    assert r"x-evil: café\x9b31m" in listener.lines
    shown = "\n".join(listener.lines)
    assert '{\n  "a": [\n    1.10,\n    {}\n  ],\n  "b": "\\u001b"\n}' in shown
    assert [re.split("  +", line)[3:4] for line in listener.lines if line.endswith(" ms")] == [
        ["200"],
        ["done"],
        ["exit status 1"],
    ]
    assert len(wait_for(lambda: len(inbox.attempts()) == 3 and inbox.attempts())) == 3


def test_without_anything_to_do_a_line_is_shown(inbox: Inbox, listen: Listen) -> None:
    listener = listen(inbox.token).connected()
    inbox.send("/a\u202e?b", b"{}", content_type="application/json")
    listener.says("2 bytes application/json")
    assert "POST   /a%E2%80%AE?b" in listener.lines[0]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["method=PUT,DELETE"], ["/two", "/three"]),
        (["path=/t*"], ["/two", "/three"]),
        (["path=/t*", "method=PUT"], ["/two"]),
        (["header:X-Event=push"], ["/one"]),
        (["header:x-event"], ["/one", "/two"]),
        (["json:$.items[0].type=invoice.*"], ["/one"]),
        (['json:$["odd=name"]=7'], ["/three"]),
        (["json:$.paid=true"], ["/two"]),
    ],
)
def test_only_what_matches_is_handed_on(
    inbox: Inbox, receiver: Receiver, listen: Listen, filters: list[str], expected: list[str]
) -> None:
    arguments = [part for text in filters for part in ("--filter", text)]
    listen(inbox.token, "--forward", receiver.url, "--since", "all", *arguments)
    inbox.send("/one", '{"items": [{"type": "invoice.paid"}]}', x_event="push")
    inbox.send("/two", '{"paid": true}', "PUT", x_event="pull")
    inbox.send("/three", b'{"odd=name": 7, "long": "' + b"x" * 70_000 + b'"}', "DELETE")
    wait_for(lambda: len(receiver.received) >= len(expected))
    assert [received.lines[0].split(" ")[1] for received in receiver.received] == expected


def test_it_runs_in_colour_on_a_terminal(inbox: Inbox, program: bytes, tmp_path: Path, receiver: Receiver) -> None:
    # A terminal of Python's own: script(1) is not everywhere.
    file = tmp_path / "listen.py"
    file.write_bytes(program)
    terminal = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))"
    arguments = ["-", inbox.token, "--forward", receiver.url, "--print"]
    script = f"{terminal.replace('sys.argv[1:]', repr(['python3', str(file), *arguments[1:]]))}"
    listener = Listener(script.encode(), [], tmp_path, NO_COLOR="", TERM="xterm")
    try:
        listener.says("connected")
        inbox.send("/a", b"\x1b[31mred")
        listener.says("\x1b[32m200\x1b[0m")
        assert any(r"\x1b[31mred" in line for line in listener.lines)
        assert not any("\x1b[31mred" in line for line in listener.lines)
    finally:
        listener.process.kill()
        listener.wait()


def test_it_works_on_the_oldest_python(inbox: Inbox, program: bytes, tmp_path: Path, receiver: Receiver) -> None:
    pythons = sorted(Path("~/.pyenv/versions").expanduser().glob("3.9.*/bin/python3"))
    if not pythons:
        pytest.skip("Python 3.9 is not installed here")
    arguments = [inbox.token, "--forward", receiver.url, "--exec", "cat", "--print", "--filter", "json:$.a=*"]
    listener = Listener(program, arguments, tmp_path, pythons[0], PYTHONWARNINGS="error")
    try:
        listener.connected()
        inbox.send("/a", b'{"a": "' + b"x" * 70_000 + b'"}')
        wait_for(lambda: len(inbox.attempts()) == 2)
        receiver.answer = pause(3)
        inbox.send("/b", b'{"a": 1}')
        wait_for(lambda: len(receiver.received) == 2)
        assert listener.end() == 0
        assert listener.remarks[1:] == ["listen.py: 1 request handed on"]
    finally:
        listener.process.kill()
        listener.wait()
