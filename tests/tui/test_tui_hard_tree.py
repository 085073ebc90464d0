"""The tree of hard negatives without an app: what stands in it, in which order, and what a filter or search leaves."""

from __future__ import annotations

from typing import Any

import pytest

from core.select.hard.hard_negatives import HardNegative
from core.select.hard.parts import HardParts
from core.select.hard.patterns import Failure, Pattern
from tui.hard.items import HardList, HardPatterns
from tui.hard.tree import FILTERS, HardTree
from tui.hard.words import MARKS, mark_of, parts_in_words, reasons_in_words, waits_for, why_failed

PARTS = HardParts(0.8, 0.5, 1.0, 0.25)


def negative(event_id: int, **over: Any) -> HardNegative:
    values: dict[str, Any] = {
        "event_id": event_id, "prompt_hash": f"b2:{event_id}", "reasons": ("low score",), "state": "open",
        "since": 0.0, "score": 20.0, "difficulty": 0.5, "failed": 0, "last_version": None, "last_tested": None,
        "last_score": None, "corrected": False, "held_out": False, "parts": PARTS,
    }  # fmt: skip
    return HardNegative(**(values | over))


def pattern(key: str, *members: int) -> Pattern:
    return Pattern(key, f"name-{key}", "missing_pk", (), False, "", members, 20.0, 0.5, 0, 0, 0.0)


EVERY = (
    negative(4, state="reopened", failed=2),
    negative(1, corrected=True),
    negative(3),
    negative(5, held_out=True),
    negative(6, failed=1),
    negative(2, state="solved", corrected=True),
)
FOUND = HardList(
    "erd",
    ("erd",),
    EVERY,
    {one.event_id: Failure(one.event_id, "missing_pk", f"Draw shop {one.event_id}", 11, 20.0, 0.5) for one in EVERY},
    {one.event_id: f"#{one.event_id} draw shop {one.event_id}" for one in EVERY},
    pinned=frozenset({3}),
)
PATTERNS = HardPatterns((pattern("a", 4, 1, 6), pattern("b", 3, 5)), (pattern("z", 4, 1, 3, 5, 6, 2),), "n-grams")


def test_before_the_patterns_are_known_it_is_the_list_worst_first() -> None:
    tree = HardTree.of(FOUND)
    assert tree.order == (4, 1, 3, 5, 6)
    assert not tree.lines([4])[4].indented  # type: ignore[union-attr]


def test_patterns_open_and_close() -> None:
    tree = HardTree.of(FOUND, PATTERNS)
    assert tree.order == (-1, -2)
    opened = tree.turned(tree.branches[-1], opened=True)
    assert opened.order == (-1, 4, 1, 6, -2)
    assert opened.is_open(opened.branches[-1])
    assert opened.turned(opened.branches[-1], opened=False).order == tree.order
    assert opened.branch_of(6) is opened.branches[-1] and opened.branch_of(-2) is opened.branches[-2]
    assert opened.branch_of(2) is None and opened.branch_of(None) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("to do", {1, 3, 4, 5, 6}),
        ("to correct", {3, 4, 6}),
        ("corrected", {1}),
        ("failed again", {4, 6}),
        ("solved", {2}),
        ("all", {1, 2, 3, 4, 5, 6}),
    ],
)
def test_filters(name: str, shown: set[int]) -> None:
    tree = HardTree.of(FOUND, PATTERNS, filter=name)
    assert set(tree.leaves) == shown
    assert tree.count == len(shown)
    members = {one.event_id for branch in tree.branches.values() for one in branch.members}
    assert members == shown, "each stands in one pattern"


def test_the_filters_follow_each_other_round_and_round() -> None:
    tree, seen = HardTree.of(FOUND), []
    for _ in FILTERS:
        tree = tree.again(filter=tree.following_filter())
        seen.append(tree.filter)
    assert sorted(seen) == sorted(FILTERS) and seen[-1] == "to do"


def test_what_is_kept_stays_whatever_the_filter_says_and_does_not_count() -> None:
    tree = HardTree.of(FOUND, filter="to correct", kept={1})
    assert tree.order == (4, 1, 3, 6)
    assert tree.count == 3


def test_a_search_opens_what_it_finds_and_closes_it_again() -> None:
    tree = HardTree.of(FOUND, PATTERNS, opened={"b"})
    found = tree.searched("#4")
    assert found.order == (-1, 4)
    assert found.searched("shop 3").order == (-1, 3)
    assert found.searched("NAME-a").order == (-1, 4, 1, 6)
    assert found.searched("nothing").order == ()
    assert found.searched("").order == tree.order


def test_a_wish_is_told_on_its_line() -> None:
    lines = HardTree.of(FOUND).lines([3, 4, 99])
    assert lines[3].pinned and not lines[4].pinned  # type: ignore[union-attr]
    assert 99 not in lines


def test_states_in_one_word() -> None:
    assert [mark_of(one) for one in EVERY] == ["came back", "corrected", "open", "open", "failed again", "solved"]
    assert len({glyph for glyph, _ in MARKS.values()}) == len(MARKS)


def test_reasons_parts_and_what_it_waits_for_in_words() -> None:
    assert reasons_in_words(("low score", "thumbs down")) == ("Its answer scored below 60, and a person called it bad.")
    assert why_failed(("low score",), "missing_pk") == "low score: missing pk"
    assert why_failed(("lost A/B",), "lost A/B") == "lost A/B"
    assert waits_for("open", "waits for a correction", 7) == "a correction; pair with event 7"
    assert waits_for("open", "", None) == "nothing: ready to train on"
    assert waits_for("solved", "waits for a correction", None) == "nothing: a version passes it"
    text = parts_in_words(PARTS)
    assert text == ("0.40 × missed 0.80 + 0.25 × failed again 0.50 + 0.15 × called bad 1.00 + 0.20 × hard request 0.25")
    assert PARTS.value == pytest.approx(0.40 * 0.8 + 0.25 * 0.5 + 0.15 + 0.20 * 0.25)
