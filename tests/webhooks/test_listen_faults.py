"""listen.py when things end in the middle: itself, the server, the connection; and where it goes on after that."""

import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import requests

from tests.service import Service, free_port, wait_for
from tests.webhooks.listening import Cutter, Inbox, Listen, Listener, Receiver, inbox, listen, pause, program, receiver

__all__ = ["inbox", "listen", "program", "receiver"]


@pytest.fixture
def cutter(service: Service) -> Iterator[Cutter]:
    made = Cutter(service.port)
    yield made
    made.close()


def first_arrivals(ids: list[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def cursor_file(home: Path) -> Path:
    (file,) = (home / ".cache" / "instantlite").glob("*.cursor")
    return file


def test_killed_in_the_middle_it_loses_nothing_and_keeps_the_order(
    inbox: Inbox, receiver: Receiver, listen: Listen
) -> None:
    receiver.answer = pause(0.01)
    listener = listen(inbox.token, "--forward", receiver.url).connected()
    sent: list[str] = []
    sender = threading.Thread(target=lambda: sent.extend(inbox.send() for _ in range(90)))
    sender.start()
    for count in (10, 30, 50):
        wait_for(lambda count=count: len(receiver.received) >= count)
        listener.process.send_signal(signal.SIGKILL)
        listener.wait()
        listener = listen(inbox.token, "--forward", receiver.url)
    sender.join()
    wait_for(lambda: len(set(receiver.ids)) == 90, what="every request")
    assert first_arrivals(receiver.ids) == sent
    # What was under way came again, and nothing else.
    assert len(receiver.ids) <= 90 + 3


def test_what_came_between_two_runs_comes_with_the_second(
    inbox: Inbox, receiver: Receiver, listen: Listen, tmp_path: Path
) -> None:
    inbox.send("/before")
    first = listen(inbox.token, "--forward", receiver.url).connected()
    wait_for(lambda: list(tmp_path.rglob("*.cursor")))
    first.process.send_signal(signal.SIGKILL)
    first.wait()
    between = inbox.send("/between")
    listen(inbox.token, "--forward", receiver.url)
    wait_for(lambda: receiver.ids == [between])


def test_a_service_that_restarts_is_found_again(own_service: Service, tmp_path: Path, receiver: Receiver) -> None:
    own_service.start()
    inbox = Inbox(own_service)
    listener = Listener(own_service.get("/listen.py").content, [inbox.token, "--forward", receiver.url], tmp_path)
    try:
        listener.connected()
        ids = [inbox.send()]
        wait_for(lambda: receiver.ids == ids)
        own_service.kill()
        listener.says("the inbox cannot be reached")
        own_service.start()
        ids.append(inbox.send())
        wait_for(lambda: receiver.ids == ids)
        assert listener.end(signal.SIGINT) == 0
        assert "2 requests handed on" in listener.remarks[-1]
        assert len(inbox.attempts()) == 2
        assert "Traceback" not in "".join(listener.remarks)
    finally:
        listener.process.kill()
        listener.wait()


def test_a_connection_that_is_cut_leaves_no_gap_and_no_duplicate(
    inbox: Inbox, receiver: Receiver, listen: Listen, cutter: Cutter
) -> None:
    listener = listen(f"http://127.0.0.1:{cutter.port}/webhooks/{inbox.token}", "--forward", receiver.url).connected()
    sent = []
    for count in (5, 10, 15):
        sent += [inbox.send(body=b"x" * 3000) for _ in range(5)]
        cutter.cut()
        wait_for(lambda count=count: len(receiver.received) >= count)
    assert receiver.ids == sent
    assert listener.end() == 0


def test_a_connection_that_says_nothing_is_given_up(
    inbox: Inbox, receiver: Receiver, program: bytes, tmp_path: Path, cutter: Cutter
) -> None:
    impatient = program.replace(b"QUIET_SECONDS = 45.0", b"QUIET_SECONDS = 0.7")
    assert impatient != program
    page = f"http://127.0.0.1:{cutter.port}/webhooks/{inbox.token}"
    listener = Listener(impatient, [page, "--forward", receiver.url], tmp_path)
    try:
        listener.connected()
        cutter.quiet.set()
        listener.says("no answer in time")
        cutter.quiet.clear()
        request_id = inbox.send()
        wait_for(lambda: request_id in receiver.ids)
    finally:
        listener.process.kill()
        listener.wait()


def test_an_end_does_not_wait_for_a_server_that_hangs(inbox: Inbox, receiver: Receiver, listen: Listen) -> None:
    receiver.answer = pause(3)
    listener = listen(inbox.token, "--forward", receiver.url).connected()
    request_id = inbox.send()
    wait_for(lambda: receiver.ids == [request_id])
    assert listener.end(signal.SIGINT) == 0
    assert "0 requests handed on" in listener.remarks[-1]
    receiver.answer = pause(0)
    listen(inbox.token, "--forward", receiver.url)
    wait_for(lambda: receiver.ids == [request_id] * 2)


def test_an_end_takes_a_command_with_it(inbox: Inbox, listen: Listen, tmp_path: Path) -> None:
    listener = listen(inbox.token, "--exec", "echo $$ > pid; sleep 60").connected()
    inbox.send()
    pid = wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    assert listener.end() == 0
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text())


def test_an_inbox_that_is_deleted_ends_it_with_what_came_before(
    inbox: Inbox, receiver: Receiver, listen: Listen
) -> None:
    listener = listen(inbox.token, "--forward", receiver.url).connected()
    request_id = inbox.send()
    wait_for(lambda: receiver.ids == [request_id])
    requests.delete(inbox.status_url, timeout=10)
    assert listener.wait() == 1
    assert listener.remarks[-1] == "listen.py: the inbox has expired or was deleted"
    again = listen(inbox.token)
    assert again.wait() == 1
    assert "expired or was deleted" in again.remarks[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "inbox"),
        (["webhook_x"], "this is no inbox"),
        (["http://[::1/"], "not a URL"),
        (["{receive}"], "this is the receive URL, which can send and not read"),
        (["{token}", "--forward", "localhost:3000"], "write a URL such as http://localhost:3000/hooks"),
        (["{token}", "--forward", "http://a:b@localhost/"], "leave them out"),
        (["{token}", "--filter", "colour=red"], "--filter colour=red: write"),
        (["{token}", "--since", "yesterday"], "--since yesterday: write"),
        (["{token}", "--timeout", "0"], "--timeout"),
        (["{token}", "--timeout", "x"], "--timeout"),
        (["{token}", "--forwards", "x"], "unrecognized arguments"),
    ],
)
def test_arguments_that_are_not_right_are_told_in_one_line(
    inbox: Inbox, listen: Listen, arguments: list[str], said: str
) -> None:
    values = {"receive": inbox.receive_url, "token": inbox.token}
    listener = listen(*(argument.format(**values) for argument in arguments))
    assert listener.wait() == 2
    assert (len(listener.remarks), listener.lines) == (1, [])
    assert said in listener.remarks[0]


def test_a_token_that_opens_nothing_and_a_server_that_is_none(inbox: Inbox, listen: Listen, receiver: Receiver) -> None:
    wrong = listen(f"webhook_{'x' * 43}")
    assert wrong.wait() == 1
    assert "No webhook inbox has this token" in wrong.remarks[-1]
    elsewhere = listen(f"{receiver.url}/webhooks/{inbox.token}")
    assert elsewhere.wait() == 1
    assert "not an inbox of instantlite" in elsewhere.remarks[-1]


def test_a_server_that_is_not_there_yet_is_waited_for(inbox: Inbox, listen: Listen) -> None:
    listener = listen(f"http://127.0.0.1:{free_port()}/webhooks/{inbox.token}")
    listener.says("connection refused: nothing listens there); trying again in", 2)
    assert listener.end() == 0


def test_where_it_starts(inbox: Inbox, receiver: Receiver, listen: Listen) -> None:
    ids = [inbox.send() for _ in range(3)]
    past = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.1Z")
    future = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for since, expected in [("all", ids), ("5m", ids), (past, ids), (ids[1], ids[1:]), (future, [])]:
        receiver.received.clear()
        listener = listen(inbox.token, "--forward", receiver.url, "--since", since, "--no-cursor").connected()
        wait_for(lambda expected=expected: len(receiver.received) == len(expected))
        listener.end()
        assert receiver.ids == expected


@pytest.mark.parametrize("content", [b"", b"\xff\0", b"01a2119e\n"])
def test_a_cursor_that_is_broken_is_said_and_replaced(
    inbox: Inbox, receiver: Receiver, listen: Listen, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "here" / "cursor"
    file.parent.mkdir()
    file.write_bytes(content)
    listener = listen(inbox.token, "--forward", receiver.url, "--cursor", str(file)).connected()
    assert "cannot be read (it does not hold the id of a request)" in listener.remarks[0]
    request_id = inbox.send()
    wait_for(lambda: file.read_text().strip() == request_id)
    assert [entry.name for entry in file.parent.iterdir()] == ["cursor"]


def test_a_cursor_that_cannot_be_written_is_said_once(
    inbox: Inbox, receiver: Receiver, listen: Listen, tmp_path: Path
) -> None:
    # A file where a folder is needed: root may write into anything else.
    (tmp_path / ".cache").write_text("")
    listener = listen(inbox.token, "--forward", receiver.url).connected()
    ids = [inbox.send() for _ in range(3)]
    wait_for(lambda: receiver.ids == ids)
    assert sum("cannot be" in line for line in listener.remarks) <= 2
    assert sum("cannot be written" in line for line in listener.remarks) == 1
    assert listener.end() == 0


def test_the_cursor_moves_with_what_is_done_and_its_name_tells_nothing(
    inbox: Inbox, receiver: Receiver, listen: Listen, tmp_path: Path
) -> None:
    listen(inbox.token, "--forward", receiver.url).connected()
    request_id = inbox.send()
    wait_for(lambda: receiver.ids)
    wait_for(lambda: cursor_file(tmp_path).read_text() == f"{request_id}\n")
    assert UUID(inbox.id).hex[:8] not in cursor_file(tmp_path).name


def test_whoever_reads_its_lines_may_go(inbox: Inbox, program: bytes, tmp_path: Path) -> None:
    file = tmp_path / "listen.py"
    file.write_bytes(program)
    command = f"python3 {file} {inbox.token} --since all; echo status $? >&2"
    shell = Listener(f"import os; os.system({f'({command}) | head -n 1'!r})".encode(), [], tmp_path)
    shell.connected()
    for _ in range(3):
        inbox.send()
    shell.wait()
    assert len(shell.lines) == 1
    assert "Traceback" not in "".join(shell.remarks)
