"""Listens to a webhook inbox and hands each request to your own machine. No tunnel, nothing to install.

    curl -s SERVER/listen.py | python3 - INBOX --forward http://localhost:3000/hooks

Python 3.9 or newer, its standard library alone. `--help` says the rest.
"""

from __future__ import annotations

import argparse
import base64
import codecs
import hashlib
import http.client
import io
import json
import os
import queue
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

# The address that this copy came from: a bare token is enough then.
SERVER = ""

# The server says something at least every 15 s: a connection that is quiet for so long is dead.
QUIET_SECONDS = 45.0
CALL_SECONDS = 20.0
# Waits between two tries to reach the server, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LONGEST_RETRY_AFTER = 300.0
# What is kept of an answer, and shown of a body, in bytes.
KEPT_BYTES = 65_536
# Outcomes that wait to be told; beyond that the oldest are let go.
MOST_UNTOLD = 1000
TOLD_AT_ONCE, TOLD_BYTES = 100, 500_000
# What an end may take: for what is under way, and for telling the rest.
ENDING_SECONDS, TELLING_SECONDS = 0.4, 0.5

Pairs = Sequence[Sequence[str]]

HELP = """\
examples:
  listen.py INBOX --forward http://localhost:3000/hooks
  listen.py INBOX --forward http://localhost:3000 --filter method=POST --filter 'path=/stripe*'
  listen.py INBOX --filter 'header:X-GitHub-Event=push' --exec './deploy.sh'
  listen.py INBOX --print --since all

filters (all of them must match; * stands for anything):
  method=POST,PUT            one of these methods
  path=/stripe*              the path below the receive URL
  header:X-Event=push        a header of this name has this value; without =value: there is one
  json:$.type=invoice.*      a value in a JSON body: $.a.b, $.items[0], $["odd name"]

Requests are handed on one after the other, in the order in which they came. One that your server does not take is
reported and not tried again: send it once more from the inbox's page. Where this was left off is kept in a file, so
that after a restart nothing is missed; the request that was under way comes again. Two that listen to one inbox at a
time need a --cursor each. Proxies of the environment (https_proxy, no_proxy) are for the inbox, not for --forward.

--exec runs a command with the shell for each request: its body is on standard input, INSTANTLITE_METHOD, _PATH, _QUERY,
_REQUEST_ID, _RECEIVED_AT, _CLIENT and _HEADER_NAME (INSTANTLITE_HEADER_X_EVENT) are in its environment.
"""


class Trouble(Exception):
    """Why it cannot go on, in words. `status` is what the program exits with."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


# --- What is shown, in a terminal that strangers must not command


def shown(text: str, keep: str = "") -> str:
    r"""Text of a stranger, as printable characters: what moves the cursor, changes colours or turns the direction of
    writing is written as `\x1b`. Characters of `keep` stay."""
    return "".join(c if c in keep or _is_plain(c) else c.encode("unicode_escape").decode() for c in text)


def _is_plain(character: str) -> bool:
    return " " <= character <= "~" or (character > "\xa0" and unicodedata.category(character)[0] not in "CZ")


def wire_text(text: str) -> str:
    """Text of the wire, which comes as Latin-1, as what its bytes are most likely to mean."""
    data = text.encode("latin-1", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return text


class Screen:
    """Lines on standard output, remarks on standard error. Used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        self.coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        if self.coloured and os.name == "nt":
            os.system("")  # noqa: S605 — Windows consoles understand colours from then on.

    def colour(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.coloured else text

    def line(self, text: str) -> None:
        """Raises OSError where nobody reads any more."""
        with self._lock:
            print(text, flush=True)

    def remark(self, text: str) -> None:
        with self._lock, suppress(OSError, ValueError):
            print(f"listen.py: {text}", file=sys.stderr, flush=True)


# --- Which inbox


_TOKEN = re.compile(r"webhook_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Inbox:
    """`api` is the URL of its API; it holds the token, and is never printed."""

    api: str
    server: str
    id: uuid.UUID


def inbox_of(given: str, server: str = SERVER) -> Inbox:
    """What was given: the URL of the inbox's page or of its API, or the token alone. Raises Trouble."""
    given = given.strip()
    if _TOKEN.fullmatch(given):
        if not server:
            raise Trouble(
                "this copy does not know its server: give the URL of the inbox's page instead of the token", 2
            )
        return _inbox(server, given)
    try:
        parts = urllib.parse.urlsplit(given)
        _ = parts.port
    except ValueError:
        raise Trouble("the inbox is not a URL; give that of its page, or its token", 2) from None
    if "/webhook/receive/" in parts.path or re.fullmatch(r"[A-Za-z0-9_-]{32}", given):
        raise Trouble(
            "this is the receive URL, which can send and not read; give the URL of the inbox's page (inbox_url in the "
            f"answer of POST /webhook/new): {server or 'https://…'}/webhooks/webhook_…",
            2,
        )
    found = re.match(rf"(.*?)/webhooks?/({_TOKEN.pattern})(?:/|$)", parts.path)
    if parts.scheme not in ("http", "https") or not parts.hostname or not found:
        raise Trouble(
            f"this is no inbox; give the URL of its page ({server or 'https://…'}/webhooks/webhook_…) or its token", 2
        )
    return _inbox(f"{parts.scheme}://{parts.netloc}{found[1]}", found[2])


def _inbox(server: str, token: str) -> Inbox:
    # A token is its inbox's id and a proof (RFC 4648, section 5).
    raw = base64.urlsafe_b64decode(token[len("webhook_") :] + "=")
    return Inbox(f"{server.rstrip('/')}/webhook/{token}", server.rstrip("/"), uuid.UUID(bytes=raw[:16]))


# --- One request


@dataclass(frozen=True)
class Request:
    """As the stream tells of it. Text is Latin-1 of the wire; `body` is None until it is read, or was not kept."""

    id: str
    method: str
    path: str
    query: str
    headers: Pairs
    size: int
    too_large: bool
    client: str
    received_at: str
    content_type: str
    body: bytes | None

    @classmethod
    def of(cls, data: dict[str, Any]) -> Request:
        """Raises KeyError, ValueError and TypeError for what is not of this shape."""
        encoded = data["body_base64"]
        return cls(
            id=str(uuid.UUID(data["id"])),
            method=data["method"],
            path=data["path"],
            query=f"?{data['target'].partition('?')[2]}" if "?" in data["target"] else "",
            headers=[(name, value) for name, value in data["headers"]],
            size=data["size"] or 0,
            too_large=data["too_large"],
            client=data["client"] or "",
            received_at=data["received_at"],
            content_type=data["content_type"],
            body=None if encoded is None else base64.b64decode(encoded),
        )

    def all(self, name: str) -> list[str]:
        """The values of header lines of this name."""
        return [value for given, value in self.headers if given.lower() == name.lower()]


# --- Filters


@dataclass(frozen=True)
class Condition:
    """`what` is method, path, header or json; `name` that of a header or the steps of a path into JSON."""

    what: str
    name: str
    steps: Sequence[str | int]
    wanted: str | None

    def matches(self, request: Request) -> bool:
        """Whether it is so. The body has been read where `what` is json."""
        if self.what == "method":
            return request.method in (self.wanted or "").split(",")
        if self.what == "path":
            return _fits(request.path or "/", self.wanted)
        if self.what == "header":
            return any(_fits(wire_text(value), self.wanted) for value in request.all(self.name))
        try:
            value = json.loads(request.body or b"")
            for step in self.steps:
                value = value[step]
        except (ValueError, LookupError, TypeError, RecursionError):
            return False
        return _fits(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), self.wanted)


def _fits(value: str, wanted: str | None) -> bool:
    """`*` stands for any text; nothing else is special."""
    if wanted is None:
        return True
    first, *others = wanted.split("*")
    if not others:
        return value == wanted
    *middle, last = others
    if not value.startswith(first) or not value.endswith(last):
        return False
    at, end = len(first), len(value) - len(last)
    for part in middle:
        at = value.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return at <= end


_STEP = re.compile(r"""\.([A-Za-z0-9_$@-]+)|\[(\d{1,9})\]|\[("(?:[^"\\]|\\.)*")\]""")


def condition_of(text: str) -> Condition:
    """Raises Trouble for what is none."""
    what, equals, wanted = _split(text)
    kind, colon, name = what.partition(":")
    if kind in ("method", "path") and not colon and equals and wanted:
        return Condition(kind, "", (), wanted)
    if kind == "header" and name:
        return Condition(kind, name.strip(), (), wanted.strip() if equals else None)
    if kind == "json" and name.startswith("$"):
        steps, at = [], 1
        while at < len(name):
            found = _STEP.match(name, at)
            if not found:
                break
            steps.append(found[1] or (int(found[2]) if found[2] else json.loads(found[3])))
            at = found.end()
        else:
            return Condition(kind, name, steps, wanted if equals else None)
    raise Trouble(
        f"--filter {shown(text)}: write method=POST, path=/x*, header:X-Event=push or json:$.type=invoice.paid", 2
    )


def _split(text: str) -> tuple[str, str, str]:
    """At the first `=` that is not inside of `["…"]`."""
    found = re.match(r"""((?:\["(?:[^"\\]|\\.)*"\]|[^=])*)(=?)(.*)""", text, re.DOTALL)
    return (found[1], found[2], found[3]) if found else (text, "", "")


# --- What is done with a request


@dataclass(frozen=True)
class Outcome:
    """`status` is that of an HTTP answer; `error` says in words what went wrong, and is empty where nothing did."""

    url: str
    milliseconds: float
    status: int | None = None
    error: str = ""
    headers: Pairs = ()
    body: bytes = b""
    truncated: bool = False
    output: bytes = b""

    def report(self, request: Request) -> dict[str, Any]:
        """What the inbox is told."""
        return {
            "id": str(_uuid7()),
            "request_id": request.id,
            "url": shown(self.url)[:500],
            "status": self.status,
            "duration_ms": round(self.milliseconds, 3),
            "error": shown(self.error)[:1000],
            "answer_headers": _bounded(self.headers),
            "answer_body_base64": base64.b64encode(self.body).decode(),
            "answer_truncated": self.truncated,
        }


def _bounded(headers: Pairs) -> list[list[str]]:
    """As many of the first lines as are kept."""
    kept, size = [], 0
    for name, value in headers[:100]:
        size += len(name) + len(value)
        if size > KEPT_BYTES:
            break
        kept.append([name.replace("\0", ""), value.replace("\0", "")])
    return kept


def _uuid7() -> uuid.UUID:
    """RFC 9562, section 5.7: in the order of time."""
    rest = uuid.uuid4().int & ((1 << 80) - 1) & ~(0xF << 76) | 7 << 76
    return uuid.UUID(int=int(time.time() * 1000) << 80 | rest)


# Of one connection only (RFC 9110, section 7.6.1), or what we say ourselves.
_LEFT_OUT = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "host", "expect", "instantlite-request-id",
    }
)  # fmt: skip


class Forward:
    """Sends each request on to a URL, as it came."""

    def __init__(self, url: str, seconds: float, server: str) -> None:
        """Raises Trouble for a URL that is none."""
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
            url.encode("ascii")
        except ValueError:
            raise Trouble(f"--forward {shown(url)}: this is not a URL", 2) from None
        if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\x00-\x20\x7f]", url):
            raise Trouble(f"--forward {shown(url)}: write a URL such as http://localhost:3000/hooks", 2)
        if parts.username is not None:
            raise Trouble("--forward: a name and a password in the URL are not sent; leave them out", 2)
        self.url = url
        self._secure = parts.scheme == "https"
        self._host, self._netloc = parts.hostname, parts.netloc
        self._port = port or (443 if self._secure else 80)
        self._path, self._query = parts.path, parts.query
        self._seconds = seconds
        self._scheme = urllib.parse.urlsplit(server).scheme

    def target(self, request: Request) -> str:
        """Path and query: what the request has below the receive URL, behind our own."""
        # A server that is a proxy too would take anything else for an address.
        below = request.path if request.path.startswith("/") else ""
        path = self._path.rstrip("/") + below if below else self._path
        query = "&".join(part for part in (self._query, request.query[1:]) if part)
        return (path or "/") + (f"?{query}" if query or request.query else "")

    def head(self, request: Request) -> bytes:
        """Request line and header lines: theirs in their order, and ours. Raises ValueError for what none can be."""
        named = {name.strip().lower() for value in request.all("Connection") for name in value.split(",")}
        named |= _LEFT_OUT
        length = str(len(request.body or b""))
        if request.all("Content-Length") != [length]:
            named.add("content-length")
        lines = [f"{request.method} {self.target(request)} HTTP/1.1", f"Host: {self._netloc}"]
        lines += [f"{name}: {value}" for name, value in request.headers if name.lower() not in named]
        if "content-length" in named and (request.body or request.all("Transfer-Encoding")):
            lines.append(f"Content-Length: {length}")
        forwarded = {
            "X-Forwarded-For": request.client,
            "X-Forwarded-Host": next(iter(request.all("Host")), ""),
            "X-Forwarded-Proto": self._scheme,
        }
        lines += [f"{name}: {value}" for name, value in forwarded.items() if value and not request.all(name)]
        lines += [f"Instantlite-Request-Id: {request.id}", "Connection: close"]
        if any(re.search(r"[\r\n\0]", line) for line in lines):
            raise ValueError("a line of its head holds a line break")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def run(self, request: Request) -> Outcome:
        began = time.monotonic()
        url = f"{'https' if self._secure else 'http'}://{self._netloc}{self.target(request)}"
        status: int | None = None
        headers: Pairs = ()
        body, error = b"", ""
        try:
            status, headers, body = self._send(request)
        except Exception as problem:  # noqa: BLE001 — whatever a server that is being written may answer
            error = _words(problem)
            if time.monotonic() - began >= self._seconds:
                error = f"no whole answer within {self._seconds:g} s"
        milliseconds = (time.monotonic() - began) * 1000
        kept = body[:KEPT_BYTES]
        return Outcome(url, milliseconds, status, error, headers, kept, truncated=len(body) > len(kept))

    def _send(self, request: Request) -> tuple[int, Pairs, bytes]:
        deadline = time.monotonic() + self._seconds
        connection = socket.create_connection((self._host, self._port), self._seconds)
        try:
            if self._secure:
                connection = ssl.create_default_context().wrap_socket(connection, server_hostname=self._host)
            return self._exchange(Timed(connection, deadline), request)
        finally:
            connection.close()

    def _exchange(self, connection: Timed, request: Request) -> tuple[int, Pairs, bytes]:
        early: OSError | None = None
        try:
            connection.send(self.head(request) + (request.body or b""))
        except (BrokenPipeError, ConnectionResetError) as problem:
            # A server may answer before it has read all, and close: its answer counts.
            early = problem
        answer = http.client.HTTPResponse(cast(Any, connection), method=request.method)
        try:
            answer.begin()
        except (OSError, http.client.HTTPException):
            if early:
                raise early from None
            raise
        with answer:
            body = answer.read(KEPT_BYTES + 1)
            if answer.length and len(body) <= KEPT_BYTES:
                raise http.client.IncompleteRead(body, answer.length)
            return answer.status, answer.getheaders(), body


class Timed(io.RawIOBase):
    """A connection that is over at its deadline: by a socket's own timeout a byte now and then would never be slow."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def makefile(self, _: str) -> io.BufferedReader:
        """What HTTPResponse asks a socket for."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._set()
        return self._connection.recv_into(buffer)

    def send(self, data: bytes) -> None:
        # Its timeout is for all of it.
        self._set()
        self._connection.sendall(data)

    def _set(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self._connection.settimeout(left)


def _words(problem: BaseException) -> str:
    """What an exception of a connection means."""
    if isinstance(problem, urllib.error.URLError) and isinstance(problem.reason, BaseException):
        return _words(problem.reason)
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {problem.verify_message}"
    if "timed out" in str(problem):
        return "no answer in time"
    for kind, words in _WORDS.items():
        if isinstance(problem, kind):
            return words
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__


# The first that fits.
_WORDS: dict[type[BaseException], str] = {
    ConnectionRefusedError: "connection refused: nothing listens there",
    http.client.RemoteDisconnected: "the connection was closed before the answer was complete",
    http.client.IncompleteRead: "the connection was closed before the answer was complete",
    ConnectionError: "the connection was reset",
    http.client.HTTPException: "the answer is not HTTP",
    socket.gaierror: "its name is not known",
}


class Exec:
    """Runs a command with the shell for each request."""

    def __init__(self, command: str, seconds: float) -> None:
        self.command = command
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, request: Request) -> Outcome:
        began = time.monotonic()
        error, output = "", b""
        try:
            error, output = self._run(request)
        except (OSError, ValueError) as problem:
            error = f"the command could not be started: {problem}"
        milliseconds = (time.monotonic() - began) * 1000
        kept = output[:KEPT_BYTES]
        return Outcome(
            f"exec:{self.command}", milliseconds, None, error, (), kept, len(output) > len(kept), output=kept
        )

    def _run(self, request: Request) -> tuple[str, bytes]:
        output = bytearray()
        with tempfile.TemporaryFile() as body:
            # A file, not a pipe: a command that does not read it holds nobody up.
            body.write(request.body or b"")
            body.seek(0)
            process = subprocess.Popen(  # noqa: S602 — a shell line is what --exec takes
                self.command,
                shell=True,
                stdin=body,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment(request)},
                start_new_session=os.name == "posix",
            )
        self._process = process
        assert process.stdout  # noqa: S101 — for the types: it is a pipe
        reader = threading.Thread(target=_drain, args=(process.stdout, output), daemon=True)
        reader.start()
        try:
            status = process.wait(self._seconds)
        except subprocess.TimeoutExpired:
            self.cancel()
            process.wait()
            return f"still running after {self._seconds:g} s, so it was killed", bytes(output)
        finally:
            self._process = None
            # What it left behind may hold its output open; that is not waited for.
            reader.join(0.5)
        if status < 0:
            return f"killed by signal {-status}", bytes(output)
        return (f"exit status {status}" if status else ""), bytes(output)

    def cancel(self) -> None:
        process = self._process
        if process is None:
            return
        with suppress(OSError):
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()


def _drain(pipe: BinaryIO, output: bytearray) -> None:
    with suppress(OSError, ValueError), pipe:
        while chunk := pipe.read1(KEPT_BYTES):  # type: ignore[attr-defined]  # a pipe of Popen's is buffered
            if len(output) <= KEPT_BYTES:
                output += chunk


def environment(request: Request) -> dict[str, str]:
    """What a command is told of a request; header lines of one name are joined by commas."""
    told = {
        "INSTANTLITE_METHOD": request.method,
        "INSTANTLITE_PATH": request.path or "/",
        "INSTANTLITE_QUERY": request.query[1:],
        "INSTANTLITE_REQUEST_ID": request.id,
        "INSTANTLITE_RECEIVED_AT": request.received_at,
        "INSTANTLITE_CLIENT": request.client,
        "INSTANTLITE_CONTENT_TYPE": request.content_type,
    }
    for name, value in request.headers:
        key = "INSTANTLITE_HEADER_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
        told[key] = f"{told[key]}, {value}" if key in told else value
    # A variable has no NUL, and Linux takes 128 KiB of one.
    return {key: wire_text(value.replace("\0", ""))[:30_000] for key, value in told.items()}


# --- Showing a request


def printed(request: Request) -> str:
    """All of it, for a terminal."""
    first = f"{request.method} {wire_text(request.path) or '/'}{wire_text(request.query)}"
    lines = [shown(first), *(shown(f"{name}: {wire_text(value)}") for name, value in request.headers)]
    body = shown_body(request)
    return "\n".join([*lines, "", *([body, ""] if body else [])])


def shown_body(request: Request) -> str:
    """Text as it is, JSON indented; of anything else how much there is."""
    if request.too_large:
        return f"({request.size or 'too many'} bytes: more than the inbox keeps)"
    body = request.body or b""
    try:
        # Cut within a character the last one is left out.
        text = codecs.getincrementaldecoder("utf-8")().decode(body[:KEPT_BYTES])
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return f"({len(body):,} bytes of {shown(request.content_type) or 'something that is not text'})"
    more = f"\n… and {len(body) - KEPT_BYTES:,} bytes more" if len(body) > KEPT_BYTES else ""
    pretty = text if more else indented(text)
    return shown(pretty, keep="\n\t") + more


_JSON_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


def indented(text: str) -> str:
    """JSON with line breaks, every value spelled as it was; other text as it is."""
    try:
        if not isinstance(json.loads(text), (dict, list)):
            return text
    except (ValueError, RecursionError):
        return text
    lines, depth, before = [""], 0, ""
    for word in _JSON_WORD.findall(text):
        if word in ("]", "}"):
            depth -= 1
            if before not in ("[", "{"):
                lines.append("  " * depth)
        elif before in ("[", "{", ","):
            lines.append("  " * depth)
        lines[-1] += ": " if word == ":" else word
        depth += word in ("[", "{")
        before = word
    return "\n".join(lines)


# --- The server


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would be handed the token."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Refused(Exception):
    """The server's answer is an error. `seconds` is what it asks us to wait, None where it does not say."""

    def __init__(self, status: int, message: str, code: str, seconds: float | None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.seconds = seconds

    @property
    def final(self) -> bool:
        """Whether asking again is of no use."""
        if self.status in (404, 410):
            return self.code in ("not_found", "gone")
        return self.status < 500 and self.status not in (408, 425, 429) and self.seconds is None


class Server:
    """Calls on one inbox. Proxies are those of the environment; certificates are verified."""

    def __init__(self, inbox: Inbox) -> None:
        self._api = inbox.api
        self._opener = urllib.request.build_opener(NoRedirect)

    def open(self, path: str, headers: dict[str, str], seconds: float, data: bytes | None = None) -> Any:
        """An answer to be read. Raises Refused, OSError, HTTPException."""
        headers = {"User-Agent": "instantlite-listen", **headers}
        request = urllib.request.Request(f"{self._api}{path}", data, headers)  # noqa: S310 — inbox_of() takes http(s)
        try:
            return self._opener.open(request, timeout=seconds)
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(error) from None

    def body(self, request_id: str) -> bytes:
        """That of a request, whole. Raises as open() does."""
        with self.open(f"/requests/{request_id}/raw", {}, CALL_SECONDS) as answer:
            found: bytes = answer.read()
            return found

    def tell(self, reports: list[dict[str, Any]], seconds: float) -> None:
        """Raises as open() does."""
        data = json.dumps({"attempts": reports}).encode()
        with self.open("/attempts", {"Content-Type": "application/json"}, seconds, data) as answer:
            answer.read()


def _refused(error: urllib.error.HTTPError) -> Refused:
    try:
        told = json.loads(error.read(KEPT_BYTES))
        message, code = str(told["message"]), str(told["error"])
    except (ValueError, LookupError, TypeError, OSError, http.client.HTTPException):
        message, code = f"it answered {error.code} {error.reason}", ""
    if 300 <= error.code < 400:
        message = f"it redirects to {error.headers.get('Location', 'elsewhere')}; use the URL of the inbox's page there"
    given = error.headers.get("Retry-After", "")
    seconds = min(float(given), LONGEST_RETRY_AFTER) if given.isdigit() else None
    return Refused(error.code, shown(message), code, seconds)


class Pauses:
    """How long to wait before the next try: longer each time, and not the same for everybody."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE

    def reset(self) -> None:
        self._next = FIRST_PAUSE

    def after(self, problem: Exception) -> float:
        """Seconds; as many as the server asks for, where it does."""
        pause, self._next = self._next, min(self._next * 2, LONGEST_PAUSE)
        asked = problem.seconds if isinstance(problem, Refused) else None
        return (asked or 0.0) + pause * random.uniform(0.5, 1.0)  # noqa: S311 — no secret


# --- Where it was left off


class Cursor:
    """The id of the last request whose outcome is known, in a file. `path` None: it is kept nowhere."""

    def __init__(self, path: Path | None, screen: Screen) -> None:
        self._path = path
        self._screen = screen

    def read(self) -> str | None:
        """None where there is none; says so where what is there is none."""
        if self._path is None:
            return None
        try:
            text = self._path.read_text("utf-8").strip()
            return str(uuid.UUID(text))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else "it does not hold the id of a request"
            self._screen.remark(
                f"{self._path} cannot be read ({why}): starting with what comes from now on; --since 1h, or --since "
                "all, starts with what came before"
            )
            return None

    def write(self, request_id: str) -> None:
        """As a whole or not at all. Where it cannot be written that is said once."""
        if self._path is None:
            return
        beside = self._path.parent / f"{self._path.name}.new"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(f"{request_id}\n", "utf-8")
            beside.replace(self._path)
        except OSError as problem:
            self._screen.remark(
                f"{self._path} cannot be written ({problem.strerror}): a restart will begin with what comes from then "
                "on; --cursor FILE names another place"
            )
            with suppress(OSError):
                beside.unlink()
            self._path = None


def default_cursor(inbox: Inbox) -> Path:
    """Named by a hash: who sees the folder learns of no inbox."""
    home = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home else Path(os.path.expanduser("~")) / ".cache"  # noqa: PTH111 — Path's own fails where there is no home
    return base / "instantlite" / f"{hashlib.sha256(inbox.id.bytes).hexdigest()[:24]}.cursor"


BEGINNING = str(uuid.UUID(int=0))
_DURATION = re.compile(r"(\d{1,9})([smhd])")


def since_of(text: str, now: float) -> str:
    """The id behind which a stream begins, for --since. `now` is in seconds since the Unix epoch. Raises Trouble."""
    if text == "all":
        return BEGINNING
    with suppress(ValueError):
        return str(uuid.UUID(int=max(0, uuid.UUID(text).int - 1)))
    duration = _DURATION.fullmatch(text)
    if duration:
        return _id_at(now - int(duration[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[duration[2]])
    with suppress(ValueError, OverflowError):
        # Python 3.9 reads no Z, and of a second three or six digits.
        digits = re.sub(r"\.(\d+)", lambda found: f".{found[1]:0<6.6}", text)
        moment = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", digits))
        return _id_at((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp())
    raise Trouble(f'--since {shown(text)}: write 10m, 2h, 2026-01-31T12:00:00Z, "all", or the id of a request', 2)


def _id_at(seconds: float) -> str:
    """No id of a request that came then or later is less or equal (RFC 9562, section 5.7)."""
    return str(uuid.UUID(int=max(0, (int(seconds * 1000) << 80) - 1)))


# --- The stream


@dataclass
class Event:
    """One of server-sent events (WHATWG HTML, section 9.2). An id without data only moves the place in the order."""

    name: str = "message"
    id: str = ""
    data: list[str] = field(default_factory=list)


def events(lines: Iterator[bytes], told: list[float]) -> Iterator[Event]:
    """Those of a stream, and an empty one for each comment. `retry` goes to `told`, in seconds."""
    event = Event()
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if not line:
            yield event
            event = Event()
        elif name == "id":
            event.id = value
        elif name == "event":
            event.name = value
        elif name == "data":
            event.data.append(value)
        elif name == "retry" and value.isdigit():
            told[:] = [min(int(value), 60_000) / 1000]


class Stream(threading.Thread):
    """Follows the inbox, whatever becomes of connections; puts what it hears into `heard`.

    A Request, an id (everything up to it is known), or a Trouble, which is the last.
    """

    def __init__(self, server: Server, after: str | None, screen: Screen, stop: threading.Event) -> None:
        super().__init__(name="stream", daemon=True)
        # With bodies of 64 KiB some 9 MB: who is slow does not gather more.
        self.heard: queue.Queue[Request | str | Trouble] = queue.Queue(100)
        self._server = server
        self._after = after
        self._screen = screen
        self._stop_asked = stop
        self._connected = False
        self._complained = False
        self._retry = [1.0]

    def run(self) -> None:
        pauses = Pauses()
        while not self._stop_asked.is_set():
            try:
                self._follow(pauses)
                pause = self._retry[0] * random.uniform(0.5, 1.0)  # noqa: S311 — no secret
            except Trouble as trouble:
                self.heard.put(trouble)
                return
            except Refused as problem:
                if problem.final or (problem.status < 500 and problem.seconds is None and not self._connected):
                    self.heard.put(Trouble(str(problem)))
                    return
                pause = self._lost(pauses, problem)
            except (OSError, http.client.HTTPException) as problem:
                if isinstance(getattr(problem, "reason", problem), ssl.SSLCertVerificationError):
                    self.heard.put(Trouble(_words(problem)))
                    return
                pause = self._lost(pauses, problem)
            except Exception as problem:  # noqa: BLE001 — anything else would end in silence
                self.heard.put(Trouble(f"this went wrong: {shown(repr(problem))}"))
                return
            self._stop_asked.wait(pause)

    def _lost(self, pauses: Pauses, problem: Exception) -> float:
        pause = pauses.after(problem)
        words = str(problem) if isinstance(problem, Refused) else _words(problem)
        self._complained = True
        self._screen.remark(f"the inbox cannot be reached ({words}); trying again in {pause:.1f} s")
        return pause

    def _follow(self, pauses: Pauses) -> None:
        """One connection, to its end. Raises as Server.open() does, and Trouble."""
        headers = {"Accept": "text/event-stream"}
        if self._after:
            headers["Last-Event-ID"] = self._after
        with self._server.open("/events?include=message", headers, QUIET_SECONDS) as answer:
            if answer.headers.get_content_type() != "text/event-stream":
                raise Trouble("this is not an inbox of instantlite: it answers something else than events")
            if self._complained or not self._connected:
                self._screen.remark("connected again" if self._connected else "connected; Ctrl-C ends it")
            self._connected, self._complained = True, False
            for event in events(iter(answer.readline, b""), self._retry):
                pauses.reset()
                self._take(event)
                if self._stop_asked.is_set():
                    return

    def _take(self, event: Event) -> None:
        if event.name == "gone":
            raise Trouble("the inbox has expired or was deleted")
        found: Request | str = event.id
        if event.data and event.name == "request":
            try:
                found = Request.of(json.loads("\n".join(event.data)))
            except (ValueError, LookupError, TypeError) as problem:
                raise Trouble(
                    f"an event is not what was expected ({shown(repr(problem))}); get listen.py anew"
                ) from None
        if found:
            self._after = event.id or self._after
            self.heard.put(found)


class Teller(threading.Thread):
    """Tells the inbox what became of requests: in the background, once a second, up to a hundred at a time."""

    def __init__(self, server: Server, screen: Screen) -> None:
        super().__init__(name="teller", daemon=True)
        self._server = server
        self._screen = screen
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MOST_UNTOLD)
        self._news = threading.Event()
        self._ending = threading.Event()
        self._deaf = False

    def add(self, report: dict[str, Any]) -> None:
        if not self._deaf:
            self._waiting.append(report)
            self._news.set()

    def finish(self, seconds: float) -> None:
        """Tells what is left, in so many seconds."""
        self._ending.set()
        self._news.set()
        self.join(seconds)

    def run(self) -> None:
        pauses = Pauses()
        while not self._deaf and not (self._ending.is_set() and not self._waiting):
            self._news.wait()
            self._news.clear()
            self._ending.wait(1.0)
            while self._waiting and not self._deaf:
                try:
                    self._tell()
                    pauses.reset()
                except (Refused, OSError, http.client.HTTPException) as problem:
                    if self._ending.is_set():
                        return
                    self._ending.wait(pauses.after(problem))
                else:
                    # As many calls as a client may make are for the requests themselves.
                    self._ending.wait(1.0)

    def _tell(self) -> None:
        batch: list[dict[str, Any]] = []
        size = 0
        for report in list(self._waiting)[:TOLD_AT_ONCE]:
            size += len(report["answer_body_base64"]) + 3000
            size += 2 * sum(len(name) + len(value) for name, value in report["answer_headers"])
            if batch and size > TOLD_BYTES:
                break
            batch.append(report)
        try:
            self._server.tell(batch, CALL_SECONDS)
        except Refused as problem:
            if problem.status == 413 and any(report["answer_body_base64"] for report in batch):
                for report in batch:
                    report.update(answer_body_base64="", answer_truncated=True)
                return
            if not problem.final:
                raise
            self._screen.remark(f"outcomes are not shown in the inbox: {problem}")
            self._deaf = problem.status in (404, 405, 410)
        told = {report["id"] for report in batch}
        while self._waiting and self._waiting[0]["id"] in told:
            self._waiting.popleft()


# --- The whole


@dataclass(frozen=True)
class Options:
    actions: Sequence[Forward | Exec]
    conditions: Sequence[Condition]
    whole: bool


class Worker(threading.Thread):
    """Takes what the stream hears, one after the other. `trouble` is there when nothing more will come."""

    def __init__(  # noqa: PLR0913, PLR0917 — all that there is comes together here
        self, stream: Stream, server: Server, teller: Teller | None, cursor: Cursor, options: Options, screen: Screen,
        stop: threading.Event,
    ) -> None:  # fmt: skip
        super().__init__(name="worker", daemon=True)
        self.handled = 0
        self.failed = 0
        self.trouble: Trouble | None = None
        self._stream, self._server, self._teller = stream, server, teller
        self._cursor, self._options, self._screen = cursor, options, screen
        self._stop_asked = stop

    def run(self) -> None:
        try:
            while not self._stop_asked.is_set():
                try:
                    heard = self._stream.heard.get(timeout=0.2)
                except queue.Empty:
                    continue
                if isinstance(heard, Trouble):
                    self.trouble = heard
                    break
                if isinstance(heard, Request):
                    if not self._handle(heard):
                        break
                    self._cursor.write(heard.id)
                elif heard:
                    self._cursor.write(heard)
        except BrokenPipeError:
            # Whoever read our lines has gone, as `| head` does.
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        except Exception as problem:  # noqa: BLE001 — anything else would end in silence
            self.trouble = Trouble(f"this went wrong: {shown(repr(problem))}")
        self._stop_asked.set()

    def _handle(self, request: Request) -> bool:
        """False where its outcome is not known: it has to come again."""
        options = self._options
        late = [condition for condition in options.conditions if condition.what == "json"]
        if not all(condition.matches(request) for condition in options.conditions if condition not in late):
            return True
        read: Request | str | None = request
        if options.actions or options.whole or late:
            read = self._with_body(request)
        if read is None:
            return False
        if isinstance(read, str):
            self._line(request, self._screen.colour("31", read))
            return True
        if all(condition.matches(read) for condition in late):
            return self._hand_on(read)
        return True

    def _hand_on(self, request: Request) -> bool:
        if request.too_large:
            self._line(request, self._screen.colour("33", "too large: the inbox has not kept its body"))
        elif not self._options.actions:
            self._line(request, f"{request.size:,} bytes {shown(request.content_type)}".rstrip())
        if self._options.whole:
            self._screen.line(printed(request))
        if not request.too_large:
            for action in self._options.actions:
                if not self._act(action, request):
                    return False
            self.handled += 1
        return True

    def _act(self, action: Forward | Exec, request: Request) -> bool:
        if self._stop_asked.is_set():
            return False
        outcome = action.run(request)
        if self._stop_asked.is_set() and outcome.error:
            # Our own end has cut it off.
            return False
        self.failed += bool(outcome.error) or not 200 <= (outcome.status or 200) < 300
        if self._teller:
            self._teller.add(outcome.report(request))
        self._line(request, self._said(outcome), f"{outcome.milliseconds:.0f} ms")
        if outcome.output:
            text = shown(outcome.output.decode("utf-8", "replace").rstrip(), keep="\n\t")
            self._screen.line("\n".join(f"  {line}" for line in text.split("\n")))
        return True

    def _said(self, outcome: Outcome) -> str:
        if outcome.error:
            return self._screen.colour("31", shown(outcome.error))
        if outcome.status is None:
            return self._screen.colour("32", "done")
        colour = {2: "32", 3: "36", 4: "33"}.get(outcome.status // 100, "31")
        return self._screen.colour(colour, str(outcome.status))

    def _line(self, request: Request, *parts: str) -> None:
        moment = self._screen.colour("2", time.strftime("%H:%M:%S"))
        target = shown(wire_text(request.path or "/") + wire_text(request.query))
        target = target if len(target) <= 200 else f"{target[:200]}…"
        self._screen.line("  ".join([moment, f"{shown(request.method)[:30]:<6} {target}", *parts]))

    def _with_body(self, request: Request) -> Request | str | None:
        """It with its body, which is fetched where it is long; a text: why there is none; None: it is to end."""
        if request.body is not None or request.too_large:
            return request
        pauses = Pauses()
        while not self._stop_asked.is_set():
            try:
                return replace(request, body=self._server.body(request.id))
            except Refused as problem:
                if problem.status == 404 and problem.code == "not_found":
                    return "deleted before it could be read"
                if problem.final:
                    self.trouble = Trouble(str(problem))
                    return None
                self._stop_asked.wait(pauses.after(problem))
            except (OSError, http.client.HTTPException) as problem:
                self._stop_asked.wait(pauses.after(problem))
        return None


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line."""
        raise Trouble(f"{message} (--help says how it is used)", 2)


def arguments() -> Parser:
    parser = Parser(
        prog="listen.py",
        description="Listens to a webhook inbox and hands each request to your own machine.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("inbox", help="the URL of the inbox's page, or its token")
    parser.add_argument("--forward", metavar="URL", action="append", default=[], help="send each request on to it")
    parser.add_argument("--exec", metavar="CMD", action="append", default=[], help="run a command for each request")
    parser.add_argument("--print", action="store_true", help="show head and body of each request")
    parser.add_argument(
        "--filter", metavar="F", action="append", default=[], help="only requests that match; see below"
    )
    parser.add_argument("--since", metavar="WHEN", help="start with what came since 10m, a time, an id, or all")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=30.0, help="of --forward and --exec; 30")
    parser.add_argument("--cursor", metavar="FILE", type=Path, help="keep there where it was left off")
    parser.add_argument("--no-cursor", action="store_true", help="keep it nowhere: start with what comes from now on")
    parser.add_argument("--no-report", action="store_true", help="do not tell the inbox what became of requests")
    return parser


def listen(given: Sequence[str], screen: Screen) -> int:
    """Until it is told to end; the exit status. Raises Trouble."""
    asked = arguments().parse_args(given)
    inbox = inbox_of(asked.inbox)
    if not 0 < asked.timeout <= 3600:
        raise Trouble("--timeout: seconds, from more than 0 to 3600", 2)
    forwards = [Forward(url, asked.timeout, inbox.server) for url in asked.forward]
    actions: list[Forward | Exec] = [*forwards, *(Exec(command, asked.timeout) for command in asked.exec)]
    options = Options(actions, [condition_of(text) for text in asked.filter], asked.print)
    since = since_of(asked.since, time.time()) if asked.since else None
    cursor = Cursor(None if asked.no_cursor else asked.cursor or default_cursor(inbox), screen)

    stop = threading.Event()
    asked_to_end = _end_on_signals()
    server = Server(inbox)
    after = since or cursor.read()
    if since:
        cursor.write(since)
    stream = Stream(server, after, screen, stop)
    teller = Teller(server, screen) if actions and not asked.no_report else None
    worker = Worker(stream, server, teller, cursor, options, screen, stop)
    for thread in (stream, worker, teller):
        if thread:
            thread.start()
    while not (stop.is_set() or asked_to_end):
        # In short naps: Windows hands signals on between two of them only.
        time.sleep(0.1)
    stop.set()
    return _end(worker, teller, actions, screen)


def _end_on_signals() -> list[int]:
    """Holds something as soon as a signal has come. A plain list: a handler may interrupt whoever holds a lock."""
    came: list[int] = []
    for name in ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP"):
        number = getattr(signal, name, None)
        # What is ignored stays so: nohup(1).
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: came.append(1))
    return came


def _end(worker: Worker, teller: Teller | None, actions: Sequence[Forward | Exec], screen: Screen) -> int:
    worker.join(ENDING_SECONDS)
    if worker.is_alive():
        for action in actions:
            if isinstance(action, Exec):
                action.cancel()
        worker.join(0.1)
    if teller:
        teller.finish(TELLING_SECONDS)
    if actions:
        failures = f", {worker.failed} of them failed" if worker.failed else ""
        screen.remark(f"{worker.handled} request{'' if worker.handled == 1 else 's'} handed on{failures}")
    else:
        screen.remark(f"{worker.handled} request{'' if worker.handled == 1 else 's'} shown")
    if worker.trouble:
        raise worker.trouble
    return 0


def main() -> int:
    """The exit status: 0 when told to end, 1 when it could not go on, 2 for arguments that are not right."""
    screen = Screen()
    try:
        return listen(sys.argv[1:], screen)
    except Trouble as trouble:
        screen.remark(str(trouble))
        return trouble.status


if __name__ == "__main__":
    if sys.version_info < (3, 9):  # noqa: UP036 — whoever runs it has the Python that there is
        sys.exit("listen.py: Python 3.9 or newer is needed")
    status = main()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    # Threads may still wait for the network: an ordinary exit would wait for what they hold.
    os._exit(status)
