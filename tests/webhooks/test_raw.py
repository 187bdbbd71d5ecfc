"""The whole message as bytes and as text, and the hex dump."""

from hypothesis import given
from hypothesis import strategies as st

from tests.webhooks.messages import anything, message
from webhooks import hexdump
from webhooks.message import Message
from webhooks.raw import raw_head, raw_text


def test_the_head_is_what_was_on_the_wire() -> None:
    sent = message(b"", "a/b", ("X-B", "caf\xe9"), ("x-b", ""), target="/a%2F//b?c", version="1.0")
    assert raw_head(sent).encode("latin-1") == (
        b"POST /a%2F//b?c HTTP/1.0\r\nContent-Type: a/b\r\nX-B: caf\xe9\r\nx-b: \r\n\r\n"
    )


def test_the_text_shows_the_body_where_it_is_text() -> None:
    assert raw_text(message("é\n".encode(), "a/b")).endswith("Content-Type: a/b\n\né\n")


def test_the_text_shows_the_start_of_a_binary_body() -> None:
    text = raw_text(message(b"\0<script>abcdefgh" * 2000))
    assert "00000000  00 3c 73 63 72 69 70 74  3e 61 62 63 64 65 66 67  |.<script>abcdefg|" in text
    assert text.endswith(f"… and {17 * 2000 - hexdump.MAX_BYTES:,} bytes more")


@given(anything)
def test_every_message_has_a_text(any_message: Message) -> None:
    raw_text(any_message).encode("utf-8")


@given(st.binary(max_size=100), st.integers(0, 100))
def test_a_dump_holds_the_first_bytes(data: bytes, limit: int) -> None:
    rows, left_out = hexdump.dump(data, limit)
    assert bytes.fromhex("".join("".join(row.hex) for row in rows)) == data[:limit]
    assert len(data[:limit]) + left_out == len(data)
    assert [row.offset for row in rows] == list(range(0, min(len(data), limit), 16))
    assert all(len(row.text) == len(row.hex) and row.text.isprintable() for row in rows)
