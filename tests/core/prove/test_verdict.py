"""Decisions: each criterion alone can hold a promotion up, and the words say which."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import Ab
from core.prove.verdict import Figures, Verdict, figures_of, judge
from storage.rows import AbPairRow

CRITERIA = Ab()
GOOD = Figures(
    wins=85,
    losses=15,
    ties=20,
    score_a=60.0,
    score_b=80.0,
    success_a=0.5,
    success_b=0.8,
    passes_only_a=4,
    passes_only_b=40,
    latency_ratio=1.0,
    length_ratio=1.1,
    length_adjusted=0.8,
    judged=120,
)


def test_all_criteria_met_promotes_and_says_why() -> None:
    verdict = judge(GOOD, CRITERIA)
    assert verdict.decision == "promote"
    assert verdict.more is None
    assert "wins 79% of 120" in verdict.reasons[0]


def test_sixty_to_forty_needs_more_data() -> None:
    verdict = judge(replace(GOOD, wins=60, losses=40, ties=0, passes_only_b=14), CRITERIA)
    assert verdict.decision == "need more data"
    assert verdict.more is not None and verdict.more > 0
    assert any("evidence" in reason for reason in verdict.reasons)


def test_the_wanted_win_rate_must_lie_in_the_interval_not_below_what_was_seen() -> None:
    seen = replace(GOOD, wins=64, losses=36, ties=0, judged=100, passes_only_b=30)
    verdict = judge(seen, CRITERIA)
    assert verdict.decision == "promote"
    assert (
        "wins 64% of 100 tests (interval 48% to 78%)" in verdict.reasons[0]
        and "65% of 100 are asked for" in verdict.reasons[0]
    )
    assert judge(replace(seen, wins=63, losses=37), CRITERIA).decision == "need more data"


def test_what_was_forgotten_holds_a_winner_back_unless_that_is_allowed() -> None:
    for figures in (GOOD, replace(GOOD, wins=3, losses=1, ties=0)):
        assert judge(figures, CRITERIA, ["It forgets."]) == Verdict("keep", ("It forgets.",), None)
    assert judge(GOOD, replace(CRITERIA, forgetting=False), ["It forgets."]).decision == "promote"


def test_votes_alone_decide_where_no_validator_can() -> None:
    voted = replace(GOOD, judged=0, success_a=0.0, success_b=0.0, passes_only_a=0, passes_only_b=0)
    verdict = judge(voted, CRITERIA)
    assert verdict.decision == "promote"
    assert not any("pass rate" in reason for reason in verdict.reasons)


def test_what_nobody_could_judge_is_told() -> None:
    pairs = [replace(_pair(at, 75.0, 75.0, "tie", response_b="x"), judged=False) for at in range(5)]
    figures = figures_of(pairs, 70.0)
    assert (figures.n, figures.judged, figures.unjudged) == (0, 0, 5)
    assert any("5 more could not be judged" in reason for reason in judge(figures, CRITERIA).reasons)
    mixed = figures_of(
        [*pairs, _pair(5, 40.0, 90.0, "b", response_b="x")], 70.0, winners=["b", None, "a", "b", None, "b"]
    )
    assert (mixed.wins, mixed.losses, mixed.ties, mixed.unjudged, mixed.judged) == (3, 1, 0, 2, 1)
    assert (mixed.score_a, mixed.score_b, mixed.success_b) == (40.0, 90.0, 1.0)


def test_seven_clear_wins_are_not_a_hundred_tests() -> None:
    verdict = judge(replace(GOOD, wins=7, losses=0, ties=0, passes_only_a=0, passes_only_b=7), CRITERIA)
    assert verdict.decision == "need more data"
    assert verdict.more == 93
    assert "7 of at least 100" in verdict.reasons[0]


def test_seven_losses_are_enough_to_keep() -> None:
    verdict = judge(replace(GOOD, wins=0, losses=7, ties=0), CRITERIA)
    assert verdict.decision == "keep"
    assert "32 : 1" in verdict.reasons[0]


def test_a_real_but_small_gain_is_kept_back() -> None:
    verdict = judge(replace(GOOD, wins=1_100, losses=900, ties=0, passes_only_b=300), CRITERIA)
    assert verdict.decision == "keep"
    assert "65%" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"latency_ratio": 1.6}, "as long"),
        ({"length_adjusted": 0.45}, "equal length"),
        ({"success_b": 0.4, "passes_only_a": 30, "passes_only_b": 2}, "pass rate falls"),
    ],
)
def test_a_guard_holds_a_winner_back(change: dict[str, float], word: str) -> None:
    verdict = judge(replace(GOOD, **change), CRITERIA)
    assert verdict.decision == "keep"
    assert word in verdict.reasons[0]


def test_an_uncertain_pass_rate_asks_for_more() -> None:
    figures = replace(GOOD, success_b=0.48, passes_only_a=22, passes_only_b=20)
    verdict = judge(figures, CRITERIA)
    assert verdict.decision == "need more data"
    assert "not certain" in verdict.reasons[0]


def test_nothing_tested_yet() -> None:
    verdict = judge(figures_of([], 70.0), CRITERIA)
    assert (verdict.decision, verdict.more) == ("need more data", 100)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_more_tests_at_the_same_rates_do_decide(wins: int, losses: int, ties: int) -> None:
    n = wins + losses + ties
    balanced = replace(
        GOOD, wins=wins, losses=losses, ties=ties, success_a=0.5, success_b=0.6, passes_only_a=0, passes_only_b=n // 10
    )
    verdict = judge(balanced, CRITERIA)
    if verdict.decision != "need more data" or verdict.more is None or n == 0:
        return
    scale = (n + verdict.more) / n
    grown = round(wins * scale), round(losses * scale)
    later = replace(
        balanced,
        wins=grown[0],
        losses=grown[1],
        ties=max(0, n + verdict.more - sum(grown)),
        passes_only_b=round(balanced.passes_only_b * scale),
    )
    assert judge(later, CRITERIA).decision != "need more data"


def test_figures_count_what_the_pairs_say() -> None:
    pairs = [
        _pair(0, 90.0, 40.0, "a", response_b="xx"),
        _pair(1, 40.0, 90.0, "b", response_b="xxxx"),
        _pair(2, 80.0, 80.2, "tie", response_b="xxxx"),
    ]
    figures = figures_of(pairs, 70.0)
    assert (figures.wins, figures.losses, figures.ties, figures.n) == (1, 1, 1, 3)
    assert figures.win_rate == pytest.approx(0.5)
    assert (figures.passes_only_a, figures.passes_only_b) == (1, 1)
    assert (figures.success_a, figures.success_b) == pytest.approx((2 / 3, 2 / 3))
    assert figures.latency_ratio == pytest.approx(2.0)
    assert figures.length_ratio == pytest.approx(10 / 6)


def _pair(position: int, score_a: float, score_b: float, winner: str, *, response_b: str) -> AbPairRow:
    return AbPairRow(
        test_id=1,
        position=position,
        event_id=None,
        prompt="p",
        response_a="xx",
        response_b=response_b,
        score_a=score_a,
        score_b=score_b,
        latency_a=0.5,
        latency_b=1.0,
        tokens_a=1,
        tokens_b=2,
        winner=winner,  # type: ignore[arg-type]
    )
