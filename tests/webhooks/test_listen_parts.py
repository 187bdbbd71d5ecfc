"""The parts of listen.py: what it makes of its arguments, of requests, and of text that strangers sent."""

import ast
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks import listen_page
from webhooks.listen_client import listen
from webhooks.listen_client.listen import Forward, Request, Trouble, condition_of, inbox_of, shown, since_of
from webhooks.models.captures import first_id

TOKEN = "webhook_AaIRnldGffCXhhII38OvV34p3j9xum9_cS5GlB13kP8"
SERVER = "https://hooks.example"


def request(**fields: Any) -> Request:
    """One with a JSON body."""
    plain = Request(
        id="01a2119e-5a07-7687-96e1-e533df829e68",
        method="POST",
        path="/a",
        query="",
        headers=[("Host", "hooks.example"), ("X-Event", "push")],
        size=2,
        too_large=False,
        client="192.0.2.1",
        received_at="2026-11-25T07:32:00.135051Z",
        content_type="application/json",
        body=b"{}",
    )
    return replace(plain, **fields)


@pytest.mark.parametrize(
    ("given", "api"),
    [
        (TOKEN, f"{SERVER}/webhook/{TOKEN}"),
        (f" {SERVER}/webhooks/{TOKEN}\n", f"{SERVER}/webhook/{TOKEN}"),
        (f"http://localhost:8000/webhook/{TOKEN}", f"http://localhost:8000/webhook/{TOKEN}"),
        (f"http://[::1]:8000/webhook/{TOKEN}/", f"http://[::1]:8000/webhook/{TOKEN}"),
        (f"https://a.example/below/webhooks/{TOKEN}?q=x#r", f"https://a.example/below/webhook/{TOKEN}"),
        (f"{SERVER}/webhooks/{TOKEN}/01a2119e-5a07-7687-96e1-e533df829e68", f"{SERVER}/webhook/{TOKEN}"),
        (f"{SERVER}/webhook/{TOKEN}/events", f"{SERVER}/webhook/{TOKEN}"),
    ],
)
def test_what_names_an_inbox(given: str, api: str) -> None:
    inbox = inbox_of(given, f"{SERVER}/")
    assert (inbox.api, inbox.id) == (api, UUID("01a2119e-5746-7df0-9786-1208dfc3af57"))


@pytest.mark.parametrize(
    ("given", "server", "said"),
    [
        ("https://a.example/webhook/receive/AaIRnldGffCXhhII38OvV6DyZhxY9pDV/x", "", "this is the receive URL"),
        ("AaIRnldGffCXhhII38OvV6DyZhxY9pDV", SERVER, f"{SERVER}/webhooks/webhook_"),
        (TOKEN, "", "give the URL of the inbox's page"),
        (f"{TOKEN}x", SERVER, "this is no inbox"),
        (f"ftp://a.example/webhook/{TOKEN}", SERVER, "this is no inbox"),
        (f"//a.example/webhook/{TOKEN}", SERVER, "this is no inbox"),
        (f"http://a.example:x/webhook/{TOKEN}", SERVER, "not a URL"),
        ("db_AaINkfNwfoKoTnfjjsddWCGNLRcjhqESMSTozRuAVzg", SERVER, "this is no inbox"),
    ],
)
def test_what_does_not_is_told_what_to_give(given: str, server: str, said: str) -> None:
    with pytest.raises(Trouble, match=said) as refused:
        inbox_of(given, server)
    assert refused.value.status == 2


@pytest.mark.parametrize(
    ("url", "path", "query", "target"),
    [
        ("http://localhost:3000", "", "", "/"),
        ("http://localhost:3000", "", "?", "/?"),
        ("http://localhost:3000", "/a/", "?b", "/a/?b"),
        ("http://localhost:3000/", "/a", "", "/a"),
        ("http://localhost:3000/hooks", "", "", "/hooks"),
        ("http://localhost:3000/hooks", "/", "", "/hooks/"),
        ("http://localhost:3000/hooks/", "", "", "/hooks/"),
        ("http://localhost:3000/hooks/", "//a%2F", "?x=1&x=", "/hooks//a%2F?x=1&x="),
        ("http://localhost:3000/hooks?k=v", "/a", "?x", "/hooks/a?k=v&x"),
    ],
)
def test_path_and_query_go_behind_those_of_the_url(url: str, path: str, query: str, target: str) -> None:
    assert Forward(url, 1, SERVER).target(request(path=path, query=query)) == target


@pytest.mark.parametrize("place", ["method", "path", "query"])
@pytest.mark.parametrize("evil", ["a\r\nX: y", "a\nb", "a\0"])
def test_a_line_break_in_a_head_is_never_sent(place: str, evil: str) -> None:
    given = f"/{evil}" if place == "path" else evil
    with pytest.raises(ValueError, match="line break"):
        Forward("http://localhost", 1, SERVER).head(request(**{place: given}))


def test_what_could_pass_for_an_address_is_no_target() -> None:
    """A server on this machine that is a proxy too would fetch it."""
    head = Forward("http://localhost", 1, SERVER).head(request(path="http://169.254.169.254/webhook%2Freceive/key"))
    assert head.startswith(b"POST / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("method=POST", True),
        ("method=GET,POST", True),
        ("method=post", False),
        ("path=/a", True),
        ("path=/", False),
        ("path=/a*", True),
        ("path=*a*", True),
        ("path=/a*a", False),
        ("header:x-event=push", True),
        ("header:X-Event=pu", False),
        ("header:X-Event=p*s*", True),
        ("header:X-Event", True),
        ("header:X-Other", False),
        ("json:$.type=invoice.paid", True),
        ("json:$.type=invoice.*", True),
        ("json:$.items[1].id=7", True),
        ("json:$.items[2].id=7", False),
        ('json:$["a=b"]["c]"]=x=y', True),
        ("json:$.paid=true", True),
        ("json:$.none=null", True),
        ("json:$.none", True),
        ("json:$.type.x", False),
        ("json:$.type[0]=i", True),
        ("json:$=x", False),
    ],
)
def test_what_a_filter_lets_through(text: str, matching: bool) -> None:
    value = {"type": "invoice.paid", "items": [{}, {"id": 7}], "a=b": {"c]": "x=y"}, "paid": True, "none": None}
    assert condition_of(text).matches(request(body=json.dumps(value).encode())) is matching


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"7" * 5000, None])
def test_a_body_that_is_no_json_matches_nothing(body: bytes | None) -> None:
    assert condition_of("json:$.a").matches(request(body=body)) is False


@pytest.mark.parametrize(
    "text", ["", "x", "method", "method=", "method:x=y", "json:a=b", "json:$a", "json:$.", "header:"]
)
def test_a_filter_that_is_none_is_told_how(text: str) -> None:
    with pytest.raises(Trouble, match="write method=POST"):
        condition_of(text)


@given(st.text(), st.text(alphabet="ab*"))
def test_a_star_stands_for_any_text(value: str, wanted: str) -> None:
    assert condition_of(f"path=/{wanted}*").matches(request(path=f"/{wanted.replace('*', value)}{value}"))


@given(st.text())
def test_whatever_strangers_send_moves_no_cursor(text: str) -> None:
    printable = shown(text)
    assert printable.isprintable() or not text.isprintable()
    assert not any(c in printable for c in "\x1b\x9b\r\n\t\0\x7f\u202e\u2066\u200b\u2028\ud800")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a":1}', '{\n  "a": 1\n}'),
        (b'[1.10, {"b" : [] }, "}{"]', '[\n  1.10,\n  {\n    "b": []\n  },\n  "}{"\n]'),
        (b"7", "7"),
        (b'{"a"', '{"a"'),
        ("é\u202e\x1b[m\ta".encode(), "é\\u202e\\x1b[m\ta"),
        (b"\xff\xfe", "(2 bytes of application/json)"),
        (b"a\0", "(2 bytes of application/json)"),
        (b"", ""),
        (b"x" * 65_540, "x" * 65_536 + "\n… and 4 bytes more"),
        (b"x" * 65_535 + "é".encode(), "x" * 65_535 + "\n… and 1 bytes more"),
    ],
)
def test_how_a_body_is_shown(body: bytes, expected: str) -> None:
    assert listen.shown_body(request(body=body)) == expected


def test_where_a_time_is_in_the_order_of_ids() -> None:
    now = 1_800_000_000.0
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    for text, expected in [
        ("10m", datetime.fromtimestamp(now - 600, UTC)),
        ("2h", datetime.fromtimestamp(now - 7200, UTC)),
        ("2026-01-31T12:00:00Z", moment),
        ("2026-01-31T12:00:00.0000000z", moment),
        ("2026-01-31T13:00:00+01:00", moment),
        ("2026-01-31T12:00", moment),
    ]:
        assert UUID(since_of(text, now)).int == first_id(expected).int - 1, text
    for text in ("", "10", "-5m", "10y", "9999999999m", "2026-13-01", "all of it"):
        with pytest.raises(Trouble, match="--since"):
            since_of(text, now)


def test_ids_of_outcomes_are_in_the_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for now in (1.0, 1.5, 2e9):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        made.append(listen._uuid7())
    assert made == sorted(made)
    assert {(key.version, key.variant) for key in made} == {(7, "specified in RFC 4122")}


def test_outcomes_that_cannot_be_told_are_let_go_beyond_a_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        def tell(self, *_: Any) -> None:
            raise OSError("away")

    class Silent:
        def remark(self, *_: Any) -> None:
            raise AssertionError

    teller = listen.Teller(Away(), Silent())  # type: ignore[arg-type]  # all that it uses of them
    outcome = listen.Outcome("http://localhost", 1.0, 200)
    for _ in range(1200):
        teller.add(outcome.report(request()))
    assert len(teller._waiting) == 1000
    teller.start()
    teller.finish(5)
    assert not teller.is_alive()
    assert threading.active_count() < 50


# What it may use: all of it is in the standard library of Python 3.9, on Windows too.
MODULES = {
    *("argparse", "base64", "codecs", "collections.abc", "collections", "contextlib", "dataclasses", "datetime"),
    *("hashlib", "http.client", "io", "json", "os", "pathlib", "queue", "random", "re", "signal", "socket", "ssl"),
    *("subprocess", "sys", "tempfile", "threading", "time", "typing", "unicodedata", "urllib.error", "urllib.parse"),
    *("urllib.request", "uuid", "__future__"),
}


def test_its_syntax_and_its_modules_are_those_of_python_3_9() -> None:
    tree = ast.parse(listen_page.FILE.read_text(), feature_version=(3, 9))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= MODULES
    assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.13"])
def test_it_runs_on_that_python(version: str, tmp_path: Path) -> None:
    found = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python3"))
    if not found:
        pytest.skip(f"Python {version} is not installed here")
    for arguments, status, said in [(["--help"], 0, "json:$.type=invoice"), ([TOKEN], 2, "does not know its server")]:
        ran = subprocess.run(
            [found[0], "-W", "error", "-", *arguments],
            input=listen_page.FILE.read_bytes(),
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"]},
        )
        assert (ran.returncode, ran.stderr.count(b"\n") <= 1) == (status, True)
        assert said.encode() in ran.stdout + ran.stderr


def test_its_types_hold_for_the_oldest_python_that_the_checker_knows(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--python-version=3.10",
        str(listen_page.FILE),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=listen_page.FILE.parent)
    assert ran.returncode == 0, ran.stdout
