"""Bodies and connections, through the real server: what ends where, and that nothing of one request is in another."""

import gzip
import itertools

import pytest

from tests.service import Service, wait_for
from tests.webhooks.sending import Answer, Inbox, Wire, limit_bytes, wire

EVERY_BYTE = bytes(range(256))


def post(inbox: Inbox, body: bytes, *lines: bytes) -> Answer:
    return inbox.send(b"\r\n".join([b"POST PATH HTTP/1.1", b"Host: a", *lines]) + b"\r\n\r\n" + body)


def with_length(inbox: Inbox, body: bytes, *lines: bytes) -> Answer:
    return post(inbox, body, b"Content-Length: %d" % len(body), *lines)


def in_chunks(inbox: Inbox, *parts: bytes, trailers: bytes = b"") -> Answer:
    framed = b"".join(b'%x;note="x"\r\n%s\r\n' % (len(part), part) for part in parts)
    return post(inbox, framed + b"0\r\n" + trailers + b"\r\n", b"Transfer-Encoding: chunked")


class TestBodies:
    @pytest.mark.parametrize("body", [b"", EVERY_BYTE, b"\r\n\r\n", b"\0", b"\xef\xbb\xbf{}", b"0\r\n\r\n"])
    def test_bytes_are_kept_whatever_they_are(self, inbox: Inbox, body: bytes) -> None:
        assert with_length(inbox, body).status == 200
        assert in_chunks(inbox, *(bytes([byte]) for byte in body)).status == 200
        assert [row.body for row in inbox.rows()] == [body, body]
        assert [row.size for row in inbox.rows()] == [len(body), len(body)]

    def test_one_without_a_length_is_empty(self, inbox: Inbox) -> None:
        assert post(inbox, b"").status == 200
        assert [(row.body, row.size) for row in inbox.rows()] == [(b"", 0)]

    def test_a_compressed_one_is_not_unpacked(self, inbox: Inbox) -> None:
        body = gzip.compress(b"x" * 5000)
        assert with_length(inbox, body, b"Content-Encoding: gzip").status == 200
        assert [row.body for row in inbox.rows()] == [body]

    @pytest.mark.parametrize("media_type", [b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"])
    def test_a_form_that_is_none_is_kept_all_the_same(self, inbox: Inbox, media_type: bytes) -> None:
        body = b"a=%ff&a=%&&=\xff--x\r\nbroken"
        assert with_length(inbox, body, b"Content-Type: " + media_type).status == 200
        assert [row.body for row in inbox.rows()] == [body]
        assert [row.content_type.encode() for row in inbox.rows()] == [media_type.partition(b";")[0]]

    def test_the_parts_and_the_trailer_of_a_chunked_one_are_no_part_of_it(self, inbox: Inbox) -> None:
        assert in_chunks(inbox, b"one ", b"two", trailers=b"X-Checksum: 1\r\nX-Other: 2\r\n").status == 200
        (row,) = inbox.rows()
        assert row.body == b"one two"
        assert row.headers == [["Host", "a"], ["Transfer-Encoding", "chunked"]]

    def test_100_continue_is_said_before_the_body_comes(self, inbox: Inbox) -> None:
        with wire(inbox.service.port) as connection:
            head = f"POST {inbox.path} HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
            connection.send(head.encode())
            assert connection.answer().status == 100
            assert inbox.rows() == []
            connection.send(b"hi")
            assert connection.answer().status == 200
        assert [row.body for row in inbox.rows()] == [b"hi"]


class TestTooLarge:
    def assert_stub(self, inbox: Inbox, answer: Answer, size: int | None) -> None:
        assert (answer.status, answer.json()["error"]) == (413, "payload_too_large")
        assert str(limit_bytes()) in answer.json()["message"]
        (row,) = inbox.rows()
        assert (row.too_large, row.size, row.body) == (True, size, b"")
        assert row.headers[0] == ["Host", "a"]
        assert inbox.counts() == (1, 1)

    def test_a_mebibyte_is_kept(self, inbox: Inbox) -> None:
        body = EVERY_BYTE * (limit_bytes() // 256)
        assert with_length(inbox, body).status == 200
        assert in_chunks(inbox, body[:700_000], body[700_000:]).status == 200
        assert [(row.too_large, row.body == body) for row in inbox.rows()] == [(False, True)] * 2

    def test_a_byte_more_is_a_413_and_a_stub(self, inbox: Inbox) -> None:
        self.assert_stub(inbox, with_length(inbox, b"x" * (limit_bytes() + 1)), limit_bytes() + 1)

    def test_a_byte_more_in_chunks_is_the_same_of_unknown_size(self, inbox: Inbox) -> None:
        self.assert_stub(inbox, in_chunks(inbox, b"x" * limit_bytes(), b"y"), None)

    @pytest.mark.parametrize("zeros", ["", "0" * 30])
    def test_a_length_beyond_every_column_is_one_too(self, inbox: Inbox, zeros: str) -> None:
        """What the sender says, as far as a bigint goes; its body is not waited for."""
        self.assert_stub(inbox, post(inbox, b"", f"Content-Length: {zeros}{10**25}".encode()), 2**63 - 1)

    def test_zeros_before_a_length_make_it_no_larger(self, inbox: Inbox) -> None:
        assert post(inbox, b"hi", b"Content-Length: " + b"0" * 40 + b"2").status == 200
        assert [(row.size, row.body) for row in inbox.rows()] == [(2, b"hi")]


class TestBrokenOff:
    def cut(self, inbox: Inbox, sent: bytes) -> Answer | None:
        """The answer to a request that ends too early, if there is one."""
        with wire(inbox.service.port) as connection:
            connection.send(sent.replace(b"PATH", inbox.path.encode()))
            connection.hang_up()
            try:
                return connection.answer()
            except EOFError:
                return None

    def test_fewer_bytes_than_announced_are_not_stored(self, inbox: Inbox) -> None:
        answer = self.cut(inbox, b"POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123456789")
        assert answer
        assert (answer.status, answer.json()["error"]) == (400, "malformed_body")
        assert inbox.rows() == []

    @pytest.mark.parametrize("body", [b"5\r\nhel", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n", b""])
    def test_a_chunked_one_without_its_end_is_not_stored(self, inbox: Inbox, body: bytes) -> None:
        answer = self.cut(inbox, b"POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        assert answer is None or answer.status == 400
        assert inbox.rows() == []

    @pytest.mark.parametrize("body", [b"x\r\n", b"-1\r\n", b"5\r\nhello!\r\n", b"1" * 9000])
    def test_chunks_that_are_none_are_refused(self, inbox: Inbox, body: bytes) -> None:
        answer = post(inbox, body, b"Transfer-Encoding: chunked")
        assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
        assert inbox.rows() == []


class TestConnections:
    def test_requests_in_one_packet_do_not_show_in_each_other(self, inbox: Inbox) -> None:
        """Also one without any header line, whose head would be the one before it."""
        start = f"POST {inbox.path}"
        requests = [
            f"{start}/1 HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nContent-Length: 3\r\n\r\none",
            f"{start}/2 HTTP/1.1\r\n\r\n",
            f"{start}/3 HTTP/1.1\r\nx-three: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\nT: t\r\n\r\n",
            f"{start}/4 HTTP/1.1\r\n\r\n",
            f"PUT {inbox.path}/5 HTTP/1.1\r\nConnection: close\r\nX-One: 5\r\n\r\n",
        ]
        with wire(inbox.service.port) as connection:
            connection.send("".join(requests).encode())
            answers = [connection.answer() for _ in requests]
        assert [answer.status for answer in answers] == [200] * 5
        assert [answer.json()["id"] for answer in answers] == [str(row.id) for row in inbox.rows()]
        assert [(message.target[-1], message.headers, message.body) for message in inbox.messages()] == [
            ("1", (("Host", "a"), ("X-One", "1"), ("Content-Length", "3")), b"one"),
            ("2", (), b""),
            ("3", (("x-three", "3"), ("Transfer-Encoding", "chunked")), b"three"),
            ("4", (), b""),
            ("5", (("Connection", "close"), ("X-One", "5")), b""),
        ]

    def test_connections_that_take_turns_do_not_show_in_each_other(self, inbox: Inbox) -> None:
        """Each has sent its head before any has sent its body."""
        connections = [Wire(inbox.service.port) for _ in range(20)]
        for number, connection in enumerate(connections):
            connection.send(
                f"POST {inbox.path} HTTP/1.1\r\nHost: a\r\nX: {number}\r\nContent-Length: 4\r\n\r\n".encode()
            )
        for number, connection in reversed(list(enumerate(connections))):
            connection.send(b"%04d" % number)
        for connection in connections:
            assert connection.answer().status == 200
            connection.close()
        assert sorted(row.body for row in inbox.rows()) == [b"%04d" % number for number in range(20)]
        for message in inbox.messages():
            assert message.first("X") == str(int(message.body))

    def test_a_head_request_and_a_413_leave_the_connection_usable(self, inbox: Inbox) -> None:
        large = limit_bytes() + 1
        with wire(inbox.service.port) as connection:
            connection.send(f"HEAD {inbox.path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert connection.answer("HEAD").status == 200
            connection.send(f"POST {inbox.path} HTTP/1.1\r\nHost: a\r\nContent-Length: {large}\r\n\r\n".encode())
            connection.send(b"x" * large)
            assert connection.answer().status == 413
            connection.send(f"GET {inbox.path}/last HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert connection.answer().status == 200
        assert [row.method for row in inbox.rows()] == ["HEAD", "POST", "GET"]

    def test_an_answer_says_how_long_it_is(self, inbox: Inbox) -> None:
        """So a connection of HTTP/1.0, which knows no chunks, can be kept too."""
        with wire(inbox.service.port) as connection:
            for path in (inbox.path, "/webhook/receive/unknown"):
                connection.send(f"POST {path} HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n".encode())
                answer = connection.answer()
                assert int(answer.headers["content-length"]) == len(answer.body) > 0

    def test_a_head_in_single_bytes_is_put_together(self, inbox: Inbox) -> None:
        with wire(inbox.service.port) as connection:
            for byte in f"POST {inbox.path} HTTP/1.1\r\nX: yz\r\nContent-Length: 2\r\n\r\nhi".encode():
                connection.send(bytes([byte]))
            assert connection.answer().status == 200
        assert [(message.headers[0], message.body) for message in inbox.messages()] == [(("X", "yz"), b"hi")]


class TestClients:
    def client(self, inbox: Inbox, *forwarded: bytes) -> str:
        assert post(inbox, b"", *(b"X-Forwarded-For: " + one for one in forwarded)).status == 200
        return str(inbox.rows()[-1].client)

    def test_without_trusted_proxies_it_is_who_connects(self, inbox: Inbox) -> None:
        assert self.client(inbox, b"198.51.100.1") == "127.0.0.1"

    def test_behind_them_it_is_the_nearest_that_none_of_them_is(self, own_service: Service) -> None:
        own_service.settings |= {"TRUSTED_PROXIES": "127.0.0.0/8,10.0.0.0/8", "WEB_CONCURRENCY": "1"}
        inbox = Inbox.of(own_service.start())
        assert self.client(inbox, b"203.0.113.7, 198.51.100.1, 10.1.2.3") == "198.51.100.1"
        assert self.client(inbox, b"203.0.113.7", b"2001:db8::1", b"10.1.2.3") == "2001:db8::1"
        assert self.client(inbox, b"nonsense") == "127.0.0.1"
        # An interface of the machine that saw it, which is nobody's address (RFC 4007, section 11).
        assert self.client(inbox, b"fe80::1%eth0") == "fe80::1"
        assert len(inbox.messages()[0].headers) == 2


def test_an_unknown_key_is_a_404_in_the_one_shape(inbox: Inbox) -> None:
    for path in (
        inbox.path[:-1],
        inbox.path[:-1] + ("A" if inbox.path[-1] != "A" else "B"),
        "/webhook/receive/",
        "/webhook/receive/ü",
    ):
        sent = f"POST {path} HTTP/1.1\r\nHost: a\r\n\r\n".replace("ü", "%C3%BC")
        answer = inbox.send(sent.encode())
        assert (answer.status, answer.json()["error"]) == (404, "not_found")
    assert inbox.rows() == []


def test_many_connections_at_once_lose_nothing(inbox: Inbox) -> None:
    """Two workers, each with a queue and a writer of its own: ids within the inbox stay in order and apart."""
    connections = [Wire(inbox.service.port) for _ in range(60)]
    acknowledged = []
    for round_ in range(5):
        for number, connection in enumerate(connections):
            connection.send(f"POST {inbox.path}/{round_}/{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        acknowledged += [connection.answer().json()["id"] for connection in connections]
    for connection in connections:
        connection.close()
    rows = wait_for(inbox.rows, what="rows")
    assert sorted(acknowledged) == [str(row.id) for row in rows]
    assert inbox.counts() == (300, 300)
    assert all(earlier.id < later.id for earlier, later in itertools.pairwise(rows))
