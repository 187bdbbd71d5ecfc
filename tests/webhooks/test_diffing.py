"""A diff is always right: each side can be read back from it. How good it is, the tables say."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webhooks.messages import anything, message
from webhooks import diffing, matching
from webhooks.diffing import MAX_ROWS, Diff, Row, compare, compare_texts
from webhooks.message import Message

lines = st.lists(st.sampled_from(["a", "b", "c", "d", "", " x"]), max_size=25)
JSON = "application/json"
THREE = ["equal"] * 3


def ops(diff: Diff) -> list[str]:
    return [row.op if row.op != "skip" else f"skip {row.count}" for row in diff.rows]


def read_back(rows: Iterable[Row], side: str, whole: list[str]) -> list[str]:
    """One side's lines from the rows; those that were left out from the whole, where the row says they are."""
    found: list[str] = []
    for row in rows:
        number, text = getattr(row, f"{side}_number"), getattr(row, side)
        if number is not None:
            assert number == len(found) + 1
            found += whole[number - 1 : number - 1 + row.count] if row.op == "skip" else [text]
    return found


@given(lines, lines)
def test_both_sides_can_be_read_back(left: list[str], right: list[str]) -> None:
    diff = compare_texts("\n".join(left), "\n".join(right))
    lefts, rights = (text.split("\n") if text else [] for text in ("\n".join(left), "\n".join(right)))
    assert read_back(diff.rows, "left", lefts) == lefts
    assert read_back(diff.rows, "right", rights) == rights
    assert diff.same == (set(ops(diff)) <= {"equal"} | {op for op in ops(diff) if op.startswith("skip")})
    for row in diff.rows:
        assert row.op != "equal" or row.left == row.right
        if row.op == "replace":
            assert row.left != row.right
            assert "".join(segment.text for segment in row.left_segments) == row.left
            assert "".join(segment.text for segment in row.right_segments) == row.right


def common(left: list[str], right: list[str]) -> int:
    """Length of the longest common subsequence, by the textbook's table."""
    row = [0] * (len(right) + 1)
    for line in left:
        before = row
        row = [0]
        for index, other in enumerate(right):
            row.append(before[index] + 1 if line == other else max(row[index], before[index + 1]))
    return row[-1]


@given(lines, lines)
def test_as_much_is_matched_as_can_be_where_lines_repeat(left: list[str], right: list[str]) -> None:
    doubled = [line for line in left for _ in "12"], [line for line in right for _ in "12"]
    found = matching.match(*doubled)
    assert found.exact
    assert sum(block.length for block in found.blocks) == common(*doubled)


@given(lines, lines, st.integers(0, 60))
def test_whatever_the_budget_matches_are_in_order_and_equal(left: list[str], right: list[str], budget: int) -> None:
    left_at = right_at = 0
    for block in matching.match(left, right, budget).blocks:
        assert block.length > 0
        assert (block.left, block.right) >= (left_at, right_at)
        assert block.left >= left_at
        assert block.right >= right_at
        left_at, right_at = block.left + block.length, block.right + block.length
        assert left[block.left : left_at] == right[block.right : right_at]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("", "", []),
        ("a", "a", ["equal"]),
        ("a\nb", "a\nb", ["skip 2"]),
        ("", "a", ["insert"]),
        ("a", "", ["delete"]),
        ("a", "b", ["replace"]),
        ("a\nb\nc", "a\nc", ["equal", "delete", "equal"]),
        ("1\n2\n3\n4\n5\n6", "1\n2\n3\n4\n5\nx", ["skip 2", "equal", "equal", "equal", "replace"]),
        ("x\n2\n3\n4\n5\n6", "1\n2\n3\n4\n5\n6", ["replace", "equal", "equal", "equal", "skip 2"]),
        (
            "x\n" + "s\n" * 9 + "x",
            "y\n" + "s\n" * 9 + "y",
            ["replace", *["equal"] * 3, "skip 3", *["equal"] * 3, "replace"],
        ),
        ("x\n" + "s\n" * 7 + "x", "y\n" + "s\n" * 7 + "y", ["replace", *["equal"] * 7, "replace"]),
        ("a\r\nb", "a\nb", ["replace", "equal"]),
        ("a\x0cb", "a\nb", ["replace", "insert"]),
    ],
)
def test_rows(left: str, right: str, expected: list[str]) -> None:
    diff = compare_texts(left, right)
    assert (ops(diff), diff.same) == (expected, left == right)


def test_a_changed_line_says_where() -> None:
    (row,) = compare_texts('"id": 17,', '"id": 192,').rows
    assert [tuple(segment) for segment in row.left_segments] == [('"id": 1', False), ("7", True), (",", False)]
    assert [tuple(segment) for segment in row.right_segments] == [('"id": 1', False), ("92", True), (",", False)]


def test_headers_are_compared_with_the_request_line() -> None:
    left = message(b"", "a/b", ("X", "1"), ("Y", "2"), target="/a")
    right = message(b"", "a/b", ("X", "2"), ("Z", "caf\xc3\xa9"), ("Y", "2"), target="/b")
    head = compare(left, right).head
    assert [(row.op, row.left, row.right) for row in head.rows] == [
        ("replace", "POST /a HTTP/1.1", "POST /b HTTP/1.1"),
        ("equal", "Content-Type: a/b", "Content-Type: a/b"),
        ("replace", "X: 1", "X: 2"),
        ("insert", None, "Z: café"),
        ("equal", "Y: 2", "Y: 2"),
    ]


def test_json_is_compared_by_what_it_says() -> None:
    left = message(b'{"b":[1,2],"a":"\\u00e9"}', JSON)
    right = message('{ "a": "é",\n "b": [1, 2] }'.encode(), JSON)
    body = compare(left, right).body
    assert body.same
    assert "only in how the same is written" in body.notes[0]
    assert not compare(left, right, normalise=False).body.same


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (b'{"a":1.10}', b'{"a":1.1}'),
        (b'{"a":12345678901234567890123}', b'{"a":12345678901234567890124}'),
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b"[1,2]", b"[2,1]"),
        (b'{"a":"\\ud800"}', b'{"a":"\\ud801"}'),
        (b'{"a":1}', b'{"a":"1"}'),
    ],
)
def test_what_differs_in_json_stays_different(left: bytes, right: bytes) -> None:
    assert not compare(message(left, JSON), message(right, JSON)).body.same


def test_xml_is_compared_indented() -> None:
    body = compare(message(b"<a><b>1</b><c/></a>", "text/xml"), message(b"<a>\n <b>2</b>\n <c/></a>", "text/xml")).body
    assert [row.op for row in body.rows] == ["equal", "replace", "equal", "equal"]


def test_binary_bodies_are_compared_as_bytes() -> None:
    body = compare(message(b"\0" * 16 + b"a"), message(b"\0" * 16 + b"b")).body
    assert ops(body) == ["equal", "replace"]
    assert not body.same
    assert "as bytes" in body.notes[0]


def test_what_is_beyond_the_shown_bytes_still_differs() -> None:
    body = compare(message(b"\0" * 100_000 + b"a"), message(b"\0" * 100_000 + b"b")).body
    assert not body.same
    assert any("64 KiB" in note for note in body.notes)


def test_lines_of_one_side_only_cost_nothing() -> None:
    left = [line for number in range(5_000) for line in (f"left {number}", "same")]
    right = [line for number in range(5_000) for line in (f"right {number}", "same")]
    found = matching.match(left, right)
    assert found.exact
    assert len(found.blocks) == 5_000


def test_a_diff_beyond_the_limits_says_so() -> None:
    left = "\n".join(str(number % 7) for number in range(diffing.MAX_LINES + 1))
    right = "\n".join(str(number * number % 11) for number in range(diffing.MAX_LINES + 1))
    diff = compare_texts(left, right)
    assert len(diff.rows) == MAX_ROWS
    assert not diff.same
    assert [any(word in note for note in diff.notes) for word in ("50,000 lines", "2,000 rows", "so many places")] == [
        True, True, True,
    ]  # fmt: skip


@given(anything, anything, st.booleans())
def test_any_two_messages_can_be_compared(left: Message, right: Message, normalise: bool) -> None:
    compare(left, right, normalise)
    assert compare(left, left, normalise).body.same
