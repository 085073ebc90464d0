"""Where two answers differ, and how far one looks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.rank.diff import MOST_LINES, Compared, Line, compare
from tui.widgets.half import breaks, heights


def text_of(found: Compared, side: int) -> str:
    return "\n".join(row[side].text for row in found.rows if row[side] is not None)  # type: ignore[union-attr]


def marked(line: Line | None) -> list[str]:
    return [] if line is None else [line.text[start:end] for start, end in line.marked]


def test_changed_words_are_marked_in_both_and_new_lines_stand_alone() -> None:
    found = compare("a diagram\nuser owns one car\nthe end", "a diagram\nuser owns two cars\nand more\nthe end")
    kinds = [(left and left.kind, right and right.kind) for left, right in found.rows]
    assert kinds == [("same", "same"), ("changed", "changed"), (None, "alone"), ("same", "same")]
    assert marked(found.rows[1][0]) == ["one car"] and marked(found.rows[1][1]) == ["two cars"]
    assert found.differ == 2 and found.note == ""


def test_a_replaced_line_stands_beside_the_one_it_resembles() -> None:
    found = compare("x = 1\nname = old value", "something else entirely\nname = new value\nx = 1")
    beside = [(left.text if left else None, right.text if right else None) for left, right in found.rows]
    assert ("name = old value", "name = new value") in beside or ("x = 1", "x = 1") in beside


def test_equal_and_unlike_texts_are_told_and_not_marked() -> None:
    assert compare("one\ntwo", "one\ntwo").note == "both answers are the same"
    unlike = compare("alpha beta gamma delta", "9 8 7 6 5 4")
    assert "not marked" in unlike.note and unlike.differ == 0
    assert all(line is not None and line.kind == "same" for row in unlike.rows for line in row)


def test_beyond_the_bounds_nothing_is_compared() -> None:
    lines = [f"line {number}" for number in range(MOST_LINES + 500)]
    found = compare("\n".join(lines), "\n".join([*lines[:-1], "line x"]))
    assert f"{MOST_LINES:,} lines" in found.note
    assert found.rows[-1][0] is not None and found.rows[-1][0].kind == "same"
    giant = compare("a" * 10_000_000, "b" * 10_000_000)
    assert all(len(line.text) < 3_000 for row in giant.rows for line in row if line is not None)


def test_what_is_drawn_is_safe() -> None:
    found = compare("\x1b[31mred\u202e", "\x1b[32mred")
    assert "\x1b" not in text_of(found, 0) and "‹U+202E›" in text_of(found, 0)


@given(st.text(alphabet="ab \n漢", max_size=60), st.text(alphabet="ab \n漢", max_size=60))
def test_nothing_is_lost_and_sides_are_alike(left: str, right: str) -> None:
    found, turned = compare(left, right), compare(right, left)
    assert text_of(found, 0) == left.rstrip("\n") and text_of(found, 1) == right.rstrip("\n")
    assert text_of(turned, 0) == right.rstrip("\n")
    for row in found.rows:
        for line in row:
            assert line is None or all(0 <= start < end <= len(line.text) for start, end in line.marked)


@given(st.text(alphabet="ab 漢", max_size=60), st.integers(min_value=2, max_value=12))
def test_wrapped_lines_fit_and_hold_everything(text: str, width: int) -> None:
    from rich.cells import cell_len

    ends = breaks(text, width)
    parts = [text[start:end] for start, end in zip((0, *ends), ends, strict=False)]
    assert "".join(parts) == text
    assert all(cell_len(part.rstrip(" ")) <= width for part in parts)
    assert heights(((Line(text), None),), width)[-1] == max(1, len(ends))
