from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.widgets.diff_view import diff_content, diff_lines

LINES = st.lists(st.text("ab |{", max_size=6), max_size=12).map("\n".join)


@given(LINES, LINES)
def test_both_texts_can_be_read_back_from_the_difference(old: str, new: str) -> None:
    lines = diff_lines(old, new)
    assert [line.text for line in lines if line.kind != "added"] == old.splitlines()
    assert [line.text for line in lines if line.kind != "removed"] == new.splitlines()


def test_changed_words_are_marked() -> None:
    removed, added = diff_lines("    A -> B : has", "    A ||--o{ B : has")
    assert [removed.text[a:b] for a, b in removed.marked] == ["->"]
    assert "".join(added.text[a:b] for a, b in added.marked) == "||--o{"


def test_unchanged_stretches_are_folded() -> None:
    old = "\n".join(map(str, range(40)))
    shown = diff_content(diff_lines(old, old.replace("20", "twenty"))).plain
    assert shown.splitlines()[0] == "  ⋯ 18 unchanged"
    assert "+ twenty" in shown


def test_no_difference_says_so() -> None:
    assert diff_content(diff_lines("a\nb", "a\nb")).plain == "Nothing is changed yet."
