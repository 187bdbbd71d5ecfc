"""Bytes for people: where, what, and which of them can be read."""

from typing import NamedTuple

WIDTH = 16
MAX_BYTES = 16 * 1024

_READABLE = bytes(byte if 0x20 <= byte < 0x7F else ord(".") for byte in range(256))


class Row(NamedTuple):
    """Sixteen bytes: the offset of the first, each as two hexadecimal digits, and as ASCII (`.` for all others)."""

    offset: int
    hex: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        left, right = " ".join(self.hex[:8]), " ".join(self.hex[8:])
        return f"{self.offset:08x}  {left:<23}  {right:<23}  |{self.text}|"


class Dump(NamedTuple):
    """The rows of the first bytes, and how many bytes come after them."""

    rows: list[Row]
    left_out: int


def dump(data: bytes, limit: int = MAX_BYTES) -> Dump:
    """The first `limit` bytes, a multiple of 16 or a last short row."""
    rows = [_row(data[start : min(start + WIDTH, limit)], start) for start in range(0, min(len(data), limit), WIDTH)]
    return Dump(rows, max(0, len(data) - limit))


def _row(data: bytes, offset: int) -> Row:
    return Row(offset, tuple(f"{byte:02x}" for byte in data), data.translate(_READABLE).decode("ascii"))
