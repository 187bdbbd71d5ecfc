"""UUIDs that sort by the time they were made: RFC 9562, section 5.7 (the standard library has them from 3.14 on)."""

import secrets
import time
import uuid


def uuid7() -> uuid.UUID:
    """48 bits of Unix time in milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant 10
    return uuid.UUID(int=value)
