"""UUIDs that sort by the time they were made: RFC 9562, section 5.7 (the standard library has them from 3.14 on)."""

import secrets
import time
import uuid


def uuid7() -> uuid.UUID:
    """48 bits of Unix time in milliseconds, then 74 random bits."""
    return _made(time.time_ns() // 1_000_000, secrets.randbits(80))


def uuid7_at(microseconds: int) -> uuid.UUID:
    """One of this microsecond since the Unix epoch: its fraction of a millisecond is in 12 bits (method 3 of 6.2)."""
    milliseconds, rest = divmod(microseconds, 1000)
    return _made(milliseconds, (rest * 4096 // 1000) << 64 | secrets.randbits(62))


def _made(milliseconds: int, below: int) -> uuid.UUID:
    value = (milliseconds & (1 << 48) - 1) << 80 | below
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant 10
    return uuid.UUID(int=value)
