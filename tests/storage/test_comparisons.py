"""The log of comparisons: append-only, undone by adding, and nothing it refers to is removed."""

from __future__ import annotations

import pytest

from storage import comparisons, retention
from storage.db import Store, open_store
from storage.errors import ConflictError, NotFoundError, StoreError


def add(store: Store, first: int, second: int, choice: comparisons.Choice = "first", at: float = 1.0) -> int:
    return comparisons.add(
        store, at=at, category="erd", first_event=first, second_event=second, choice=choice, swapped=True, seconds=2.5
    )


def test_added_comparisons_are_read_back(filled: Store) -> None:
    one, other = add(filled, 1, 2), add(filled, 4, 3, "both_bad", at=2.0)
    with open_store(filled.path) as again:
        first, second = comparisons.in_force(again, "erd")
    assert (first.id, first.first_event, first.second_event, first.choice) == (one, 1, 2, "first")
    assert (first.swapped, first.seconds, first.at, first.target) == (True, 2.5, 1.0, None)
    assert (second.id, second.choice) == (other, "both_bad")
    assert comparisons.in_force(filled, "workflows") == []
    assert comparisons.counts(filled) == {"erd": 2}
    assert [row.id for row in comparisons.of_pair(filled, 3, 4)] == [other]


def test_an_undo_is_added_and_the_view_forgets(filled: Store) -> None:
    one, other = add(filled, 1, 2), add(filled, 2, 1, "second")
    assert [row.id for row in comparisons.of_pair(filled, 1, 2)] == [one, other]
    assert comparisons.undo(filled, other, at=9.0).choice == "second"
    assert [row.id for row in comparisons.in_force(filled, "erd")] == [one]
    last = comparisons.last(filled, "erd")
    assert last is not None and last.id == one
    comparisons.undo(filled, one, at=9.5)
    assert comparisons.last(filled, "erd") is None and comparisons.counts(filled) == {}
    log = comparisons.log(filled, "erd")
    assert [(row.choice, row.target) for row in log] == [
        ("first", None), ("second", None), ("undo", other), ("undo", one),
    ]  # fmt: skip


def test_what_was_taken_back_is_not_taken_back_again(filled: Store) -> None:
    one = add(filled, 1, 2)
    comparisons.undo(filled, one, at=2.0)
    with pytest.raises(ConflictError):
        comparisons.undo(filled, one, at=3.0)
    for missing in (99, 2):  # 2 is the undo itself
        with pytest.raises(NotFoundError):
            comparisons.undo(filled, missing, at=3.0)


def test_only_two_different_events_of_the_category_are_compared(filled: Store) -> None:
    with pytest.raises(NotFoundError):
        add(filled, 1, 99)
    with pytest.raises(ConflictError):
        add(filled, 1, 1)
    with pytest.raises(ConflictError):
        comparisons.add(
            filled, at=1.0, category="workflows", first_event=1, second_event=2, choice="tie", swapped=False
        )
    assert comparisons.log(filled, "erd") == []


def test_the_log_cannot_be_rewritten_and_keeps_its_events(filled: Store) -> None:
    add(filled, 1, 2)
    with pytest.raises((ConflictError, StoreError)), filled.transaction():
        filled.write("UPDATE comparisons SET choice = 'tie'")
    for event in (1, 2):
        with pytest.raises(ConflictError):
            retention.remove(filled, [event], [])
    assert "comparisons" in retention.protected(filled, "erd", held_out_percent=0)
    removable = retention.removable(filled, "erd", "silver", held_out_percent=0, limit=99)
    assert {one.id for one in removable} == set(range(3, 11))
