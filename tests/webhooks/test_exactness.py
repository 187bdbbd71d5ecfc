"""What is captured of a request's head is what was sent, to the byte; through the real server."""

import string
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service import Service
from tests.webhooks.sending import Inbox, wire
from webhooks.message import Message, Pair

PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
TOKEN = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"  # RFC 9110, section 5.6.2


def only(inbox: Inbox) -> Message:
    """The one request that an inbox holds."""
    (message,) = inbox.messages()
    return message


class TestMethods:
    @pytest.mark.parametrize(
        "method",
        [
            "GET",
            "HEAD",
            "OPTIONS",
            "CONNECT",
            "TRACE",
            "PROPFIND",
            "MKCALENDAR",
            "QUERY",
            "get",
            "Post",
            "X",
            "m-search",
            "!#$",
            "M" * 4000,
        ],
    )
    def test_any_token_is_kept_as_it_came(self, inbox: Inbox, method: str) -> None:
        assert inbox.send(f"{method} PATH HTTP/1.1\r\nHost: a\r\n\r\n".encode()).status == 200
        assert only(inbox).method == method

    @pytest.mark.parametrize("method", ["GE(T", "GÜT", "", "A\tB"])
    def test_what_is_no_token_is_refused(self, inbox: Inbox, method: str) -> None:
        answer = inbox.send(f"{method} PATH HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
        assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
        assert inbox.rows() == []

    def test_a_lower_case_method_opens_nothing_that_its_capitals_would_not(self, service: Service) -> None:
        """Django knows methods in upper case: the form of a page asks for its CSRF token all the same."""
        with wire(service.port) as connection:
            connection.send(b"post /admin/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            assert connection.answer().status == 403


class TestTargets:
    @pytest.mark.parametrize(
        "below",
        [
            "",
            "/",
            "/a%2Fb",
            "//a///b//",
            "/a/../../b/./c",
            "?",
            "??a=?",
            "?a=1&a=2&b&a=",
            "/%0A%0d%00?x=%0a",
            "/%ff%C3%A4",
            "/a;b=c#fragment",
            "/'\"<script>{{7*7}}",
            "/" + "long/" * 1200 + "?" + "q" * 1500,
        ],
    )
    def test_the_target_is_kept_as_it_came(self, inbox: Inbox, below: str) -> None:
        assert inbox.send(f"GET PATH{below} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).status == 200
        assert only(inbox).target == inbox.path + below

    def test_the_absolute_form_is_kept_whole(self, inbox: Inbox) -> None:
        assert inbox.send(b"GET http://user@a:80PATH/x?y HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
        assert only(inbox).target == f"http://user@a:80{inbox.path}/x?y"

    def test_a_key_in_another_spelling_is_the_same_key(self, inbox: Inbox) -> None:
        spelt = "".join(f"%{ord(letter):02x}" for letter in inbox.path[-5:])
        target = inbox.path[:-5] + spelt
        assert inbox.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).status == 200
        assert only(inbox).target == target

    def test_one_that_is_too_long_is_a_414(self, inbox: Inbox) -> None:
        answer = inbox.send(b"GET PATH/" + b"x" * 8190 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (answer.status, answer.json()["error"]) == (414, "uri_too_long")
        assert answer.headers["x-request-id"] == answer.json()["request_id"]
        assert inbox.rows() == []

    @pytest.mark.parametrize("target", [b"PATH/\xc3\xa4", b"PATH/a b", b"PATH/\x01", b"*", b"PATH\x7f"])
    def test_what_is_no_target_is_refused(self, inbox: Inbox, target: bytes) -> None:
        assert inbox.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n").json()["error"] == "invalid_request"
        assert inbox.rows() == []


class TestHeaders:
    def sent(self, inbox: Inbox, *lines: bytes) -> tuple[Pair, ...]:
        """The pairs that were captured of these lines."""
        answer = inbox.send(b"\r\n".join([b"POST PATH HTTP/1.1", *lines]) + b"\r\n\r\n")
        assert answer.status == 200, answer
        return only(inbox).headers

    def test_order_duplicates_and_spelling_are_kept(self, inbox: Inbox) -> None:
        lines = [b"x-B: 2", b"Host: a", b"X-A: 1", b"X-b: 1", b"x-B: 2", b"X-A: 0", b"ACCEPT: */*", b"aCCept: text/a"]
        assert self.sent(inbox, *lines) == (
            ("x-B", "2"), ("Host", "a"), ("X-A", "1"), ("X-b", "1"), ("x-B", "2"), ("X-A", "0"), ("ACCEPT", "*/*"),
            ("aCCept", "text/a"),
        )  # fmt: skip

    def test_names_with_underscores_are_kept_and_steer_nothing(self, inbox: Inbox) -> None:
        lines = [b"Host: a", b"X_Forwarded_For: 198.51.100.9", b"SCRIPT_NAME: /evil", b"PATH_INFO: /evil", b"_: x"]
        assert self.sent(inbox, *lines)[1:] == (
            ("X_Forwarded_For", "198.51.100.9"), ("SCRIPT_NAME", "/evil"), ("PATH_INFO", "/evil"), ("_", "x"),
        )  # fmt: skip
        assert [str(row.client) for row in inbox.rows()] == ["127.0.0.1"]

    def test_values_are_kept_but_for_the_white_space_around(self, inbox: Inbox) -> None:
        lines = [
            b"Host: a",
            b"Empty:",
            b"Blank:  \t ",
            b"Inner: \t a \t b: c ",
            b"Bytes: \xff\x80\xe4\xa0",
            b"U: \xc3\xa4",
        ]
        assert self.sent(inbox, *lines)[1:] == (
            ("Empty", ""), ("Blank", ""), ("Inner", "a \t b: c"), ("Bytes", "\xff\x80\xe4\xa0"), ("U", "\xc3\xa4"),
        )  # fmt: skip

    def test_a_hundred_are_kept_and_one_more_is_a_431(self, inbox: Inbox) -> None:
        lines = [b"N%d: %d" % (number, number) for number in range(99)]
        assert len(self.sent(inbox, b"Host: a", *lines)) == 100
        answer = inbox.send(b"\r\n".join([b"POST PATH HTTP/1.1", b"Host: a", *lines, b"One: more"]) + b"\r\n\r\n")
        assert (answer.status, answer.json()["error"]) == (431, "headers_too_large")
        assert len(inbox.rows()) == 1

    def test_scheme_headers_that_contradict_each_other_are_a_sender_s_business(self, inbox: Inbox) -> None:
        lines = [b"Host: a", b"X-Forwarded-Proto: https", b"X-Forwarded-Proto: http", b"X-Forwarded-Ssl: off"]
        assert len(self.sent(inbox, *lines)) == 4

    @pytest.mark.parametrize(
        "lines",
        [
            b"Host: a\r\nFolded: one\r\n two",
            b"Host: a\r\nNo colon",
            b"Host: a\r\nSpace : before",
            b"Host: a\r\nBare: lf\nX: y",
            b"Host: a\r\nNul: \x00",
            b"Host: a\r\nHost: b",
            b"Host: a\r\nContent-Type: a/b\r\nContent-Type: c/d",
            b"Host: a\r\nContent-Length: 1\r\nContent-Length: 1",
            b"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
            b"Host: a\r\nTransfer-Encoding: chunked, chunked",
            b"Host: a\r\nExpect: a miracle",
        ],
    )
    def test_what_two_readers_may_understand_differently_is_refused(self, inbox: Inbox, lines: bytes) -> None:
        answer = inbox.send(b"POST PATH HTTP/1.1\r\n" + lines + b"\r\n\r\nx")
        assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
        assert set(answer.json()) == {"ok", "error", "message", "request_id"}
        assert inbox.rows() == []


def test_the_version_is_kept_and_an_http_1_0_connection_ends(inbox: Inbox) -> None:
    with wire(inbox.service.port) as connection:
        connection.send(f"POST {inbox.path} HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi".encode())
        assert connection.answer().status == 200
        with pytest.raises(EOFError):
            connection.answer()
    assert (only(inbox).version, only(inbox).headers, only(inbox).body) == ("1.0", (("Content-Length", "2"),), b"hi")


# Said by the test itself, once: these frame the message, or have one meaning only.
FRAMING = {"host", "content-length", "transfer-encoding", "content-type", "connection", "expect", "upgrade"}
token = st.text(TOKEN, min_size=1, max_size=20)
methods = token.filter(lambda word: word not in ("HEAD", "CONNECT"))
names = token.filter(lambda word: word.lower() not in FRAMING)
values = st.text([*PRINTABLE, " ", "\t", *map(chr, range(0x80, 0x100))], max_size=60).map(
    lambda text: text.strip(" \t")
)
targets = st.text(PRINTABLE, max_size=80).map(lambda text: f"/{text}" if text else "")
messages = st.builds(
    Message,
    method=methods,
    target=targets,
    version=st.just("1.1"),
    headers=st.lists(st.tuples(names, values), max_size=30).map(tuple),
    body=st.binary(max_size=300),
)


@given(messages, st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_valid_request_is_captured_as_it_was_sent(inbox: Inbox, message: Message, chunked: bool) -> None:
    body = message.body
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))
    message = replace(message, target=inbox.path + message.target, headers=(("Host", "a"), *message.headers, framing))
    lines = [f"{message.method} {message.target} HTTP/1.1", *(f"{name}: {value}" for name, value in message.headers)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part) + b"0\r\n\r\n"
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    answer = inbox.send(head + (framed if chunked else body))
    assert answer.status == 200
    assert inbox.messages()[-1] == message
    assert str(inbox.rows()[-1].id) == answer.json()["id"]
