"""The start of a body as text or hex, and how much is missing."""

import pytest

from tests.webhooks.messages import message
from webhooks import preview as previews
from webhooks.message import Message


def preview(start: Message, size: int | None) -> str:
    return previews.preview(start, size).text


def test_a_whole_body_is_its_text() -> None:
    assert preview(message("größe".encode()), 7) == "größe"


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_character_that_was_cut_through_is_left_out(cut: int) -> None:
    start = "größe 🦔".encode()[:-cut]
    assert preview(message(start), 1000) == f"größe \n… and {1000 - len(start)} bytes more"


def test_a_whole_body_that_ends_amid_a_character_is_no_text() -> None:
    start = "größe 🦔".encode()[:-1]
    assert preview(message(start), len(start)).startswith("00000000  67 72 c3 b6")


def test_the_declared_charset_is_read() -> None:
    assert preview(message("größe".encode("latin-1"), "text/plain; charset=latin1"), 5) == "größe"


def test_a_compressed_body_is_shown_as_it_came() -> None:
    start = b"\x1f\x8b\x08\0\0\0\0\0"
    shown = preview(message(start, "application/json", ("Content-Encoding", "gzip")), 5000)
    assert shown == "00000000  1f 8b 08 00 00 00 00 00                           |........|\n… and 4,992 bytes more"


def test_without_a_body_there_is_nothing() -> None:
    assert preview(message(), 0) == preview(message(), None) == preview(message(), 5_000_000) == ""


def test_a_hex_dump_is_marked_as_one() -> None:
    assert previews.preview(message(b"\0"), 1).is_hex
    assert not previews.preview(message(b"a"), 1).is_hex
