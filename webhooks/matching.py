"""Which lines two texts have in common, in bounded time: for comparing what strangers sent.

difflib takes quadratic time and worse on lines that repeat. Here lines that occur once on each side are anchors
(patience diff), what lies between two anchors is compared by Myers' greedy algorithm ("An O(ND) difference algorithm
and its variations", 1986), and when the budget is used up, what is left counts as different: coarse, and never wrong.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

# Steps of all loops together; some 0.3 seconds.
BUDGET = 1_500_000
# Edits in one gap. Myers keeps a row for each, so that its memory is half the square of this.
_MAX_EDITS = 1_000


class Block(NamedTuple):
    """`length` lines that are equal, from `left` and from `right` on."""

    left: int
    right: int
    length: int


class Matches(NamedTuple):
    """The blocks in order; `exact` is False where the budget did not suffice and more may be equal."""

    blocks: list[Block]
    exact: bool


class _Gap(NamedTuple):
    left: int
    left_end: int
    right: int
    right_end: int

    @property
    def empty(self) -> bool:
        return self.left == self.left_end or self.right == self.right_end


def match(left: Sequence[str], right: Sequence[str], budget: int = BUDGET) -> Matches:
    """The lines that the two have in common, in the same order on both sides."""
    return _Matcher(left, right, budget).run()


class _Matcher:
    def __init__(self, left: Sequence[str], right: Sequence[str], budget: int) -> None:
        # Numbers for lines: comparing two long ones that differ at their ends would take a pass each time.
        numbers: dict[str, int] = {}
        lefts = [numbers.setdefault(line, len(numbers)) for line in left]
        rights = [numbers.setdefault(line, len(numbers)) for line in right]
        # Only lines that both sides have can match: the others are left out, and would cost an edit each.
        both = set(lefts) & set(rights)
        self.left_places = [index for index, line in enumerate(lefts) if line in both]
        self.right_places = [index for index, line in enumerate(rights) if line in both]
        self.left = [lefts[index] for index in self.left_places]
        self.right = [rights[index] for index in self.right_places]
        self.budget = budget
        self.pairs: list[tuple[int, int]] = []
        self.exact = True

    def run(self) -> Matches:
        gaps = [_Gap(0, len(self.left), 0, len(self.right))]
        while gaps:
            gap = self._trimmed(gaps.pop())
            if gap.empty:
                continue
            self.budget -= gap.left_end - gap.left + gap.right_end - gap.right
            anchors = self._anchors(gap) if self.budget > 0 else []
            if anchors:
                # The start first, should the budget not suffice: that is what is read first.
                gaps.extend(reversed(self._between(gap, anchors)))
            elif self.budget <= 0 or not self._myers(gap):
                self.exact = False
        pairs = [(self.left_places[left], self.right_places[right]) for left, right in sorted(self.pairs)]
        return Matches(_blocks(pairs), self.exact)

    def _trimmed(self, gap: _Gap) -> _Gap:
        """Without what both sides start and end with, which is matched."""
        left, left_end, right, right_end = gap
        while left < left_end and right < right_end and self.left[left] == self.right[right]:
            self.pairs.append((left, right))
            left, right = left + 1, right + 1
        while left < left_end and right < right_end and self.left[left_end - 1] == self.right[right_end - 1]:
            left_end, right_end = left_end - 1, right_end - 1
            self.pairs.append((left_end, right_end))
        return _Gap(left, left_end, right, right_end)

    def _anchors(self, gap: _Gap) -> list[tuple[int, int]]:
        """The longest run of lines that occur once on each side and come in the same order on both."""
        lefts = self.left[gap.left : gap.left_end]
        rights = self.right[gap.right : gap.right_end]
        once = {line for line, count in Counter(lefts).items() if count == 1}
        once &= {line for line, count in Counter(rights).items() if count == 1}
        place = {line: gap.right + index for index, line in enumerate(rights) if line in once}
        return _increasing([(gap.left + index, place[line]) for index, line in enumerate(lefts) if line in once])

    def _between(self, gap: _Gap, anchors: list[tuple[int, int]]) -> list[_Gap]:
        """The gaps around the anchors, which are matched."""
        self.pairs.extend(anchors)
        starts = [(gap.left, gap.right), *((left + 1, right + 1) for left, right in anchors)]
        ends = [*anchors, (gap.left_end, gap.right_end)]
        return [
            _Gap(left, left_end, right, right_end)
            for (left, right), (left_end, right_end) in zip(starts, ends, strict=True)
        ]

    def _myers(self, gap: _Gap) -> bool:
        """Matches what is common in the gap; False, and nothing matched, where that takes too many edits or steps."""
        left = self.left[gap.left : gap.left_end]
        right = self.right[gap.right : gap.right_end]
        limit = min(len(left) + len(right), _MAX_EDITS)
        # How far on the left side each diagonal was followed. Negative diagonals are negative indices.
        furthest = [0] * (2 * limit + 3)
        rows: list[list[int]] = []
        for edits in range(limit + 1):
            rows.append(furthest[: edits + 1] + furthest[-edits - 1 :])
            for diagonal in range(-edits, edits + 1, 2):
                before = _before(furthest, edits, diagonal)
                x = start = furthest[before] + (before < diagonal)
                while x < len(left) and x - diagonal < len(right) and left[x] == right[x - diagonal]:
                    x += 1
                furthest[diagonal] = x
                self.budget -= 1 + x - start
                if x >= len(left) and x - diagonal >= len(right):
                    self._trace(gap, rows, len(left), len(right))
                    return True
                if self.budget <= 0:
                    return False
        return False

    def _trace(self, gap: _Gap, rows: list[list[int]], x: int, y: int) -> None:
        """Goes back from the end of both sides, row by row, and matches the steps along diagonals."""
        for edits in range(len(rows) - 1, -1, -1):
            before = _before(rows[edits], edits, x - y)
            start = rows[edits][before] + (before < x - y)
            self.pairs.extend((gap.left + step, gap.right + step - (x - y)) for step in range(start, x))
            x, y = rows[edits][before], rows[edits][before] - before


def _before(furthest: list[int], edits: int, diagonal: int) -> int:
    """From which diagonal the one is reached: from above (a line of the right inserted), or from the left."""
    down = diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1])
    return diagonal + 1 if down else diagonal - 1


def _increasing(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest subsequence whose right sides increase (patience sorting); the left sides do already."""
    tops: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for index, (_, right) in enumerate(pairs):
        pile = bisect_left(tops, right)
        previous.append(ends[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [right]
        ends[pile : pile + 1] = [index]
    found: list[tuple[int, int]] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        found.append(pairs[index])
        index = previous[index]
    return found[::-1]


def _blocks(pairs: list[tuple[int, int]]) -> list[Block]:
    """Neighbours in both texts as one block."""
    blocks: list[Block] = []
    for left, right in pairs:
        last = blocks[-1] if blocks else Block(0, 0, 0)
        if blocks and (left, right) == (last.left + last.length, last.right + last.length):
            blocks[-1] = last._replace(length=last.length + 1)
        else:
            blocks.append(Block(left, right, 1))
    return blocks
