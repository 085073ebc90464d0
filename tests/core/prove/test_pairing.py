"""Which answers are compared with which, and who wins."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.prove.pairing import Tally, paired, tally, worth
from storage.production import ServedAnswer


def served(side: str, number: int, score: float | None = 50.0, verdict: Any = None) -> ServedAnswer:
    return ServedAnswer(f"{side}{number}", float(number), score, verdict)


def side(name: str, count: int) -> list[ServedAnswer]:
    return [served(name, number) for number in range(count)]


@given(st.integers(0, 60), st.integers(0, 60), st.text(max_size=4))
@settings(max_examples=60)
def test_each_new_answer_has_an_old_one_of_its_own(new: int, old: int, seed: str) -> None:
    pairs = paired(side("n", new), side("o", old), seed=seed)
    assert [one.at for one, _ in pairs] == list(map(float, range(min(new, old))))
    assert len({other.key for _, other in pairs}) == len(pairs)


@given(st.randoms(use_true_random=False), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=40)
def test_neither_order_nor_worth_has_a_part_in_it(rng: random.Random, new: int, old: int) -> None:
    ours, theirs = side("n", new), side("o", old)
    keys = [(one.key, other.key) for one, other in paired(ours, theirs, seed="s")]
    rng.shuffle(ours)
    rng.shuffle(theirs)
    again = [ServedAnswer(one.key, one.at, rng.uniform(0, 100), None) for one in theirs]
    assert [(one.key, other.key) for one, other in paired(ours, again, seed="s")] == keys


def test_more_answers_leave_the_pairs_that_were_there() -> None:
    """What was found at earlier looks stands."""
    new, old = side("n", 80), side("o", 100)
    whole = paired(new, old, seed="s")
    for count in (1, 20, 79):
        assert paired(new[:count], old, seed="s") == whole[:count]


def test_one_that_comes_late_or_goes_changes_few_pairs() -> None:
    new, old = side("n", 100), side("o", 2_000)
    before = {(one.key, other.key) for one, other in paired(new, old, seed="s")}
    late = [*new, ServedAnswer("late", 0.5, 1.0, None)]
    assert len(before - {(one.key, other.key) for one, other in paired(late, old, seed="s")}) <= 3
    assert len(before - {(one.key, other.key) for one, other in paired(new, old[5:], seed="s")}) <= 5


def test_the_seed_decides_who_meets_whom() -> None:
    new, old = side("n", 50), side("o", 50)
    assert paired(new, old, seed="a") != paired(new, old, seed="b")


def test_under_no_difference_each_pair_is_fair() -> None:
    wins = losses = 0
    for seed in range(200):
        rng = random.Random(seed)
        new = [served("n", number, rng.uniform(0, 100)) for number in range(30)]
        old = [served("o", number, rng.uniform(0, 100)) for number in range(60)]
        found = tally(paired(new, old, seed=str(seed)), new, old)
        wins, losses = wins + found.wins, losses + found.losses
    assert abs(wins / (wins + losses) - 0.5) < 0.03  # 6,000 pairs: 4.6 standard errors


@pytest.mark.parametrize(
    ("score", "verdict", "expected"),
    [(30.0, "good", 100.0), (95.0, "bad", 0.0), (95.0, "reject", 0.0), (95.0, "correct", 0.0), (95.0, "skip", 95.0),
     (40.0, None, 40.0), (None, None, None), (None, "good", 100.0)],
)  # fmt: skip
def test_a_verdict_outranks_the_score(score: float | None, verdict: str | None, expected: float | None) -> None:
    assert worth(served("n", 1, score, verdict)) == expected


def test_close_scores_are_as_good_and_what_has_none_is_not_compared() -> None:
    old = [served("o", number) for number in range(4)]
    new = [served("n", 0, 50.4), served("n", 1, 51.0), served("n", 2, 49.0), served("n", 3, None)]
    assert tally(list(zip(new, old, strict=True)), new, old) == Tally(wins=1, losses=1, ties=1)


def test_verdicts_of_a_review_of_one_side_alone_do_not_decide() -> None:
    """Somebody has found fault with every new answer, and nobody has looked at the old ones."""
    old = [served("o", number) for number in range(40)]
    new = [served("n", number, 50.0, "bad") for number in range(40)]
    assert tally(list(zip(new, old, strict=True)), new, old) == Tally(ties=40)
    judged = [served("o", number, 50.0, "good") for number in range(40)]
    assert tally(list(zip(new, judged, strict=True)), new, judged) == Tally(losses=40)


def test_thumbs_from_both_sides_outrank_scores() -> None:
    old = [served("o", number, 50.0, "bad" if number < 2 else None) for number in range(40)]
    new = [served("n", number, 50.0, "bad" if number >= 32 else None) for number in range(40)]
    assert tally(list(zip(new, old, strict=True)), new, old) == Tally(wins=2, losses=8, ties=30)
