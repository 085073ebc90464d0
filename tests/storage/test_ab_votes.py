"""The log of votes: append-only, undone by adding, and only on pairs that are there."""

from __future__ import annotations

import pytest
from versions_kit import add_version

from core.paths import Home
from storage import ab_tests, ab_votes
from storage.db import Store, open_store
from storage.errors import ConflictError, NotFoundError, StoreError
from storage.rows import AbPairRow


@pytest.fixture
def test_id(store: Store, home: Home) -> int:
    a, b = (add_version(store, home, number) for number in (0, 1))
    test = ab_tests.start(store, created_at=1.0, category="erd", version_a=a.id, version_b=b.id, seed=0, settings={})
    pairs = [
        AbPairRow(test, place, None, f"p{place}", "x", "y", 50.0, 60.0, 1.0, 1.0, 1, 1, "b", None, -0.25, None, True)
        for place in range(3)
    ]
    ab_tests.add_pairs(store, pairs)
    return test


def vote(store: Store, test_id: int, position: int, choice: ab_votes.VoteChoice) -> int:
    return ab_votes.add(store, at=1.0, test_id=test_id, position=position, choice=choice, swapped=True, seconds=2.5)


def log(store: Store) -> list[tuple[str, int | None]]:
    """Choice and target of every row, those taken back and their undos too."""
    return [(choice, target) for choice, target in store.rows("SELECT choice, target FROM ab_votes ORDER BY id")]


def test_votes_are_read_back(store: Store, test_id: int) -> None:
    one, other = vote(store, test_id, 0, "b"), vote(store, test_id, 1, "both_bad")
    with open_store(store.path) as again:
        first, second = ab_votes.in_force(again, [test_id])
    assert (first.id, first.test_id, first.position, first.choice) == (one, test_id, 0, "b")
    assert (first.swapped, first.seconds, first.at, first.target) == (True, 2.5, 1.0, None)
    assert (second.id, second.choice) == (other, "both_bad")
    assert ab_votes.in_force(store, []) == ab_votes.in_force(store, [test_id + 1]) == []


def test_an_undo_is_added_and_the_vote_is_no_more_in_force(store: Store, test_id: int) -> None:
    one, other = vote(store, test_id, 0, "b"), vote(store, test_id, 0, "a")
    assert ab_votes.undo(store, other, at=9.0).choice == "a"
    assert [row.id for row in ab_votes.in_force(store, [test_id])] == [one]
    last = ab_votes.last(store, [test_id])
    assert last is not None and last.id == one
    ab_votes.undo(store, one, at=9.5)
    assert ab_votes.last(store, [test_id]) is None and ab_votes.in_force(store, [test_id]) == []
    assert log(store) == [("b", None), ("a", None), ("undo", other), ("undo", one)]


def test_what_was_taken_back_is_not_taken_back_again(store: Store, test_id: int) -> None:
    one = vote(store, test_id, 0, "tie")
    ab_votes.undo(store, one, at=2.0)
    with pytest.raises(ConflictError):
        ab_votes.undo(store, one, at=3.0)
    for missing in (99, one + 1):  # the second one is the undo itself
        with pytest.raises(NotFoundError):
            ab_votes.undo(store, missing, at=3.0)


def test_only_a_pair_that_is_there_is_voted_on(store: Store, test_id: int) -> None:
    for place in ((test_id, 3), (test_id + 1, 0)):
        with pytest.raises(NotFoundError):
            ab_votes.add(store, at=1.0, test_id=place[0], position=place[1], choice="a", swapped=False)
    assert log(store) == []


def test_the_log_cannot_be_rewritten(store: Store, test_id: int) -> None:
    vote(store, test_id, 0, "a")
    for statement in ("UPDATE ab_votes SET choice = 'b'", "DELETE FROM ab_votes"):
        with pytest.raises((ConflictError, StoreError)), store.transaction():
            store.write(statement)
    assert log(store) == [("a", None)]


def test_what_is_known_of_a_pair_comes_back_as_it_went_in(store: Store, test_id: int) -> None:
    pair = ab_tests.pairs(store, test_id)[0]
    assert (pair.confidence_a, pair.confidence_b) == (None, -0.25)
    assert pair.correct_a is None and pair.correct_b is True and pair.judged is True


def test_tests_of_two_versions_are_found_whichever_is_the_candidate(store: Store, test_id: int) -> None:
    back = ab_tests.start(
        store, created_at=2.0, category="erd", version_a=2, version_b=1, seed=0, settings={}, source="shadow"
    )
    assert [test.id for test in ab_tests.between(store, 1, 2)] == [test_id, back]
    assert [test.source for test in ab_tests.between(store, 2, 1)] == ["stored", "shadow"]
    assert ab_tests.between(store, 1, 3) == []
    assert ab_tests.prompt_hashes(store, [test_id]) == {}
