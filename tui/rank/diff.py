"""Where two answers differ: their lines set against each other, and in each line the words that the other has not.

All work is bounded: an answer is shown to 200,000 characters and 2,000 in a line, compared to 3,000 lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tui.text import plain

Kind = Literal["same", "changed", "alone"]
Span = tuple[int, int]

MOST_CHARACTERS: Final = 200_000
MOST_LINES: Final = 3_000
_TAB: Final = 4
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_ALIKE = 0.45
"""Two lines below this similarity (0-1) are two different lines, and their words are not compared."""
_IN_COMMON = 0.1
"""Below this share of common lines and words marks would cover everything and tell nothing."""
_PAIRED = 4_000
_SHORTEST = 3


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it is shown. `marked` are the (start, end) characters that the line beside it has not; `alone` means
    that there is none beside it."""

    text: str
    kind: Kind = "same"
    marked: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """Two texts line by line; None stands where one text has nothing beside a line of the other. `note` says what is
    not marked, or is empty."""

    rows: tuple[tuple[Line | None, Line | None], ...]
    note: str = ""
    differ: int = 0


def compare(left: str, right: str) -> Compared:
    """Sets two texts against each other. What comes out is safe to be drawn; the work is bounded whatever comes in."""
    one, other = _lines(left), _lines(right)
    if one == other:
        return Compared(tuple((Line(text), Line(text)) for text in one), "both answers are the same")
    rows, common = _rows(one[:MOST_LINES], other[:MOST_LINES])
    note = ""
    if common < _IN_COMMON:
        rows, note = _unmarked(one, other), "hardly anything in common: differences are not marked"
    elif max(len(one), len(other)) > MOST_LINES:
        rows += _unmarked(one[MOST_LINES:], other[MOST_LINES:])
        note = f"differences beyond {MOST_LINES:,} lines are not marked"
    differ = sum((left is None or right is None or left.kind != "same") for left, right in rows)
    return Compared(tuple(rows), note, 0 if common < _IN_COMMON else differ)


def _lines(text: str) -> list[str]:
    shown = plain(text, limit=MOST_CHARACTERS)
    return [line.expandtabs(_TAB) for line in shown.rstrip("\n").split("\n")]


def _unmarked(one: Sequence[str], other: Sequence[str]) -> list[tuple[Line | None, Line | None]]:
    return [
        (Line(one[at]) if at < len(one) else None, Line(other[at]) if at < len(other) else None)
        for at in range(max(len(one), len(other)))
    ]


def _rows(one: Sequence[str], other: Sequence[str]) -> tuple[list[tuple[Line | None, Line | None]], float]:
    """The rows, and the share (0-1) of characters that both texts have."""
    rows: list[tuple[Line | None, Line | None]] = []
    common = 0
    for same, a, b, c, d in _blocks(one, other):
        if same:
            rows += [(Line(text), Line(text)) for text in one[a:b]]
            common += sum(len(text) for text in one[a:b])
            continue
        for left, right in _beside(one[a:b], other[c:d]):
            if left is None or right is None:
                rows.append(
                    (
                        None if left is None else Line(left, "alone"),
                        None if right is None else Line(right, "alone"),
                    )
                )
                continue
            first, second, shared = _words(left, right)
            rows.append((first, second))
            common += shared
    total = max(sum(map(len, one)), sum(map(len, other)), 1)
    return rows, common / total


def _blocks(one: Sequence[object], other: Sequence[object]) -> Iterator[tuple[bool, int, int, int, int]]:
    """The opcodes of the longest common subsequence; what is inserted and deleted in one place is one block."""
    from rapidfuzz.distance import LCSseq

    a = c = at = there = 0
    for code in LCSseq.opcodes(one, other):
        if code.tag == "equal":
            if at > a or there > c:
                yield False, a, at, c, there
            yield True, code.src_start, code.src_end, code.dest_start, code.dest_end
            a, c = code.src_end, code.dest_end
        at, there = code.src_end, code.dest_end
    if at > a or there > c:
        yield False, a, at, c, there


def _beside(one: Sequence[str], other: Sequence[str]) -> Iterator[tuple[str | None, str | None]]:
    """Lines that were replaced, each beside the one it resembles; in order, the others alone."""
    if len(one) == len(other) == 1:
        yield one[0], other[0]
        return
    if not one or not other or len(one) * len(other) > _PAIRED:
        for at in range(max(len(one), len(other))):
            yield (one[at] if at < len(one) else None, other[at] if at < len(other) else None)
        return
    from rapidfuzz import fuzz

    worth = [[max(0.0, fuzz.ratio(left, right) / 100.0 - _ALIKE) for right in other] for left in one]
    best = [[0.0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for a in range(len(one) - 1, -1, -1):
        for c in range(len(other) - 1, -1, -1):
            best[a][c] = max(best[a + 1][c], best[a][c + 1], worth[a][c] + best[a + 1][c + 1])
    a = c = 0
    while a < len(one) and c < len(other):
        if worth[a][c] > 0.0 and best[a][c] == worth[a][c] + best[a + 1][c + 1]:
            yield one[a], other[c]
            a, c = a + 1, c + 1
        elif best[a][c] == best[a + 1][c]:
            yield one[a], None
            a += 1
        else:
            yield None, other[c]
            c += 1
    yield from ((text, None) for text in one[a:])
    yield from ((None, text) for text in other[c:])


def _words(left: str, right: str) -> tuple[Line, Line, int]:
    """Both lines with the words marked that differ, and how many characters they share."""
    if left == right:
        return Line(left), Line(right), len(left)
    one, other = _WORDS.findall(left), _WORDS.findall(right)
    blocks = _tidied(list(_blocks(one, other)), one)
    shared = sum(sum(map(len, one[a:b])) for same, a, b, _, _ in blocks if same)
    if shared < _ALIKE * 0.5 * max(len(left), len(right)):
        return Line(left, "changed"), Line(right, "changed"), 0
    starts, others = _starts(one), _starts(other)
    marked = [(starts[a], starts[b]) for same, a, b, _, _ in blocks if not same and b > a]
    beside = [(others[c], others[d]) for same, _, _, c, d in blocks if not same and d > c]
    return Line(left, "changed", tuple(marked)), Line(right, "changed", tuple(beside)), shared


def _tidied(
    blocks: Sequence[tuple[bool, int, int, int, int]], one: Sequence[str]
) -> list[tuple[bool, int, int, int, int]]:
    """Differences with only a space or a sign or two in common between them read as one."""
    tidy: list[tuple[bool, int, int, int, int]] = []
    for at, (same, a, b, c, d) in enumerate(blocks):
        inside = 0 < at < len(blocks) - 1
        text = "".join(one[a:b])
        little = inside and len(text.strip()) < _SHORTEST and not any(map(str.isalnum, text))
        kept = same and not little
        if tidy and not kept and not tidy[-1][0]:
            tidy[-1] = (False, tidy[-1][1], b, tidy[-1][3], d)
        else:
            tidy.append((kept, a, b, c, d))
    return tidy


def _starts(words: Sequence[str]) -> list[int]:
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word))
    return starts
