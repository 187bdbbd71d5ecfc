"""Two messages side by side: which lines of their heads and bodies differ."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Literal, NamedTuple

from webhooks import charsets, json_text, matching, raw, xml_text
from webhooks.bodies import Body
from webhooks.message import Message

# Equal lines that are kept around each difference.
CONTEXT = 3
MAX_LINES = 50_000
MAX_ROWS = 2_000
# Indenting may make much out of little.
_MAX_CHARACTERS = 4 * 1024 * 1024
# A binary body is compared by its hex dump, sixteen bytes a line.
_MAX_BINARY = 64 * 1024

Op = Literal["equal", "delete", "insert", "replace", "skip"]


class Segment(NamedTuple):
    """A piece of a line, and whether it differs from the other side's."""

    text: str
    changed: bool


@dataclass(frozen=True)
class Row:
    """One line of a side-by-side view.

    Line numbers start at 1, and are None with the text on the side that has no such line. For `skip`, a run of equal
    lines that is left out, the numbers are those of its first line, and `count` says how many there are; it is 1 for
    all others. A `replace` has segments that make up each text.
    """

    op: Op
    left_number: int | None = None
    left: str | None = None
    right_number: int | None = None
    right: str | None = None
    left_segments: tuple[Segment, ...] = ()
    right_segments: tuple[Segment, ...] = ()
    count: int = 1


@dataclass(frozen=True)
class Diff:
    """`same`: the two are equal, as far as they were compared. `notes` are sentences on what was not, and how."""

    rows: tuple[Row, ...]
    same: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The request lines and headers, and the bodies."""

    head: Diff
    body: Diff


def compare(left: Message, right: Message, normalise: bool = True) -> Comparison:
    """Both messages. `normalise`: two JSON bodies with sorted keys, indented; two XML bodies indented."""
    return Comparison(_compare_heads(left, right), _compare_bodies(Body(left), Body(right), normalise))


def compare_texts(left: str, right: str, *notes: str) -> Diff:
    """Line by line. A line feed ends a line; a carriage return before it is part of the line, and may differ."""
    return _compare_lines(_lines(left), _lines(right), left == right, notes)


def _compare_heads(left: Message, right: Message) -> Diff:
    texts = [charsets.wire(raw.raw_head(message)).strip("\r\n").replace("\r\n", "\n") for message in (left, right)]
    return compare_texts(*texts)


def _compare_bodies(left: Body, right: Body, normalise: bool) -> Diff:
    if left.text is None or right.text is None:
        return _compare_bytes(left, right)
    found = _compare_normal(left, right) if normalise else None
    found = found or compare_texts(left.text.text, right.text.text)
    if found.same and left.content.data != right.content.data:
        return replace(found, notes=(*found.notes, "The bytes differ, only in how the same is written."))
    return found


def _compare_normal(left: Body, right: Body) -> Diff | None:
    """None for what cannot be laid out: another kind, or too large, or too deep."""
    if left.text is None or right.text is None or left.kind != right.kind or left.kind not in ("json", "xml"):
        return None
    reader = json_text.normal if left.kind == "json" else xml_text.pretty
    texts = [text for text in map(reader, (left.text.shown, right.text.shown)) if text is not None]
    return compare_texts(*texts) if len(texts) == 2 and max(map(len, texts)) <= _MAX_CHARACTERS else None


def _compare_bytes(left: Body, right: Body) -> Diff:
    data = left.content.data, right.content.data
    notes = ["The bodies are compared as bytes."]
    if max(map(len, data)) > _MAX_BINARY:
        notes.append(f"Only their first {_MAX_BINARY // 1024} KiB are shown.")
    texts = [raw.hex_text(each[:_MAX_BINARY]) for each in data]
    return _compare_lines(_lines(texts[0]), _lines(texts[1]), data[0] == data[1], tuple(notes))


def _lines(text: str) -> list[str]:
    """Not splitlines(), which takes form feeds and some letters for line ends."""
    return text.split("\n") if text else []


def _compare_lines(left: list[str], right: list[str], same: bool, notes: tuple[str, ...]) -> Diff:
    if max(len(left), len(right)) > MAX_LINES:
        notes = (*notes, f"Only the first {MAX_LINES:,} lines are compared.")
        left, right = left[:MAX_LINES], right[:MAX_LINES]
    found = matching.match(left, right)
    if not found.exact:
        notes = (*notes, "The bodies differ in so many places that some equal lines are shown as different.")
    rows: list[Row] = []
    for row in _rows(left, right, found.blocks):
        if len(rows) == MAX_ROWS:
            notes = (*notes, f"Only the first {MAX_ROWS:,} rows are shown.")
            break
        rows.append(row)
    return Diff(tuple(rows), same, notes)


def _rows(left: list[str], right: list[str], blocks: list[matching.Block]) -> Iterator[Row]:
    """The differences before each block, and the block."""
    left_at = right_at = 0
    for block in [*blocks, matching.Block(len(left), len(right), 0)]:
        lefts = enumerate(left[left_at : block.left], left_at + 1)
        rights = enumerate(right[right_at : block.right], right_at + 1)
        yield from (_changed(a, b) for a, b in zip_longest(lefts, rights))
        left_at, right_at = block.left + block.length, block.right + block.length
        first, last = block.left == block.right == 0, (left_at, right_at) == (len(left), len(right))
        yield from _equal(left, block, 0 if first else CONTEXT, 0 if last else CONTEXT)


def _changed(left: tuple[int, str] | None, right: tuple[int, str] | None) -> Row:
    if left and right:
        return Row("replace", *left, *right, *_segments(left[1], right[1]))
    if left:
        return Row("delete", *left)
    number, text = right or (None, None)
    return Row("insert", right_number=number, right=text)


def _equal(left: list[str], block: matching.Block, before: int, after: int) -> Iterator[Row]:
    """The lines of a block, but for those further than `before` and `after` from its ends. One is never left out."""
    skipped = block.length - before - after
    if skipped <= 1:
        before, skipped = block.length, 0
    for index in range(before):
        yield _same(left, block, index)
    if skipped:
        yield Row("skip", left_number=block.left + before + 1, right_number=block.right + before + 1, count=skipped)
    for index in range(before + skipped, block.length):
        yield _same(left, block, index)


def _same(left: list[str], block: matching.Block, index: int) -> Row:
    text = left[block.left + index]
    return Row("equal", block.left + index + 1, text, block.right + index + 1, text)


def _segments(left: str, right: str) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """What the two start and end with in common, and what differs between; that is one pass however long they are."""
    start = _common(left, right)
    end = _common(left[start:][::-1], right[start:][::-1])
    return _cut(left, start, end), _cut(right, start, end)


def _cut(text: str, start: int, end: int) -> tuple[Segment, ...]:
    pieces = (text[:start], False), (text[start : len(text) - end], True), (text[len(text) - end :], False)
    return tuple(Segment(piece, changed) for piece, changed in pieces if piece)


def _common(left: str, right: str) -> int:
    """How many characters the two start with in common, by halves: comparing slices is quicker than characters."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
