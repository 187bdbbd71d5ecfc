"""The start of a body, where the whole is not wanted."""

from dataclasses import replace
from typing import NamedTuple

from webhooks import hexdump
from webhooks.bodies import Body
from webhooks.charsets import Text
from webhooks.message import Message

PREVIEW_BYTES = 2048

# The bytes of one character at most, in every charset that is read here: a cut may go through one.
_LONGEST_CHARACTER = 4


class Preview(NamedTuple):
    """Text, or a hex dump, with a last line that says how much is missing; empty for no body."""

    text: str
    is_hex: bool


def preview(start: Message, size: int | None) -> Preview:
    """The first bytes of a body of `size`, as the body of `start`."""
    held = len(start.body)
    left_out = max(0, (size or 0) - held) if held else 0
    text = _text(start, cut=left_out > 0)
    shown = text.shown if text else "\n".join(map(str, hexdump.dump(start.body).rows))
    note = f"\n… and {left_out:,} bytes more" if left_out else ""
    return Preview(shown + note, text is None)


def _text(start: Message, *, cut: bool) -> Text | None:
    for length in range(len(start.body), len(start.body) - (_LONGEST_CHARACTER if cut else 1), -1):
        found = Body(replace(start, body=start.body[:length])).exact if length > 0 else None
        if found:
            return found
    return None
