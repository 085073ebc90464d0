"""From the figures of an A/B test to a decision, with its reasons in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

from core.config import Ab
from core.prove import stats
from storage.rows import AbPairRow, Winner

Decision = Literal["promote", "keep", "need more data"]
NON_INFERIORITY_P = 0.05
LIKELY_HIGHEST = 0.8
"""The e-value for a promotion mixes win rates from one half up to this one. Candidates that win still more are found
within a few tests anyway, and what is not spent on them finds those near the rate that is asked for: 64 of 100 wins are
21 : 1, where a mixture up to certainty says 13 : 1. That nothing is promoted by chance does not depend on it."""
MOST_TESTS = 10_000

_OUTCOME: Final[Mapping[Winner, float]] = {"b": 1.0, "tie": 0.5, "a": 0.0}


@dataclass(frozen=True, slots=True)
class Figures:
    """What a test has found so far. a is what serves, b the candidate.

    Wins, losses and ties count the pairs that somebody could judge, a validator or a person; `judged` those that the
    validator could, `unjudged` those that nobody could. Scores are means 0-100, rates 0-1, both over the judged ones;
    `passes_only_a` and `passes_only_b` count prompts that one arm alone passed. Ratios are b to a over all pairs.
    `length_adjusted` is the win rate at equal length.
    """

    wins: int
    losses: int
    ties: int
    score_a: float
    score_b: float
    success_a: float
    success_b: float
    passes_only_a: int
    passes_only_b: int
    latency_ratio: float
    length_ratio: float
    length_adjusted: float
    judged: int
    unjudged: int = 0

    @property
    def n(self) -> int:
        """Tests, ties included."""
        return self.wins + self.losses + self.ties

    @property
    def win_rate(self) -> float:
        """Share of wins, a tie counting one half; one half without tests."""
        return (self.wins + self.ties / 2) / self.n if self.n else 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """`more` estimates how many more tests a decision needs; None where it is made, or cannot be foreseen."""

    decision: Decision
    reasons: tuple[str, ...]
    more: int | None


def figures_of(
    pairs: Sequence[AbPairRow], success_score: float, *, winners: Sequence[Winner | None] | None = None
) -> Figures:
    """The figures of all answers so far; a test passes from `success_score` (0-100) on.

    `winners` says who won each pair, None where nobody could tell; without it the scores of the judged pairs decide.
    """
    if winners is None:
        winners = [pair.winner if pair.judged else None for pair in pairs]
    told = [(winner, pair) for winner, pair in zip(winners, pairs, strict=True) if winner is not None]
    judged = [pair for pair in pairs if pair.judged]
    passed = [(pair.score_a >= success_score, pair.score_b >= success_score) for pair in judged]
    return Figures(
        wins=sum(winner == "b" for winner, _ in told),
        losses=sum(winner == "a" for winner, _ in told),
        ties=sum(winner == "tie" for winner, _ in told),
        score_a=_mean([pair.score_a for pair in judged]),
        score_b=_mean([pair.score_b for pair in judged]),
        success_a=_mean([a for a, _ in passed]),
        success_b=_mean([b for _, b in passed]),
        passes_only_a=sum(a and not b for a, b in passed),
        passes_only_b=sum(b and not a for a, b in passed),
        latency_ratio=_ratio([pair.latency_b for pair in pairs], [pair.latency_a for pair in pairs]),
        length_ratio=_ratio([len(pair.response_b) for pair in pairs], [len(pair.response_a) for pair in pairs]),
        length_adjusted=stats.length_adjusted_rate(
            [_OUTCOME[winner] for winner, _ in told],
            [len(pair.response_b) - len(pair.response_a) for _, pair in told],
        ),
        judged=len(judged),
        unjudged=len(pairs) - len(told),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _ratio(above: Sequence[float], below: Sequence[float]) -> float:
    total = sum(below)
    return sum(above) / total if total > 0 else 1.0


def judge(figures: Figures, criteria: Ab, forgotten: Sequence[str] = ()) -> Verdict:
    """The decision by the criteria, with every reason that weighs; `forgotten` tells what the candidate has forgotten.

    Promote: enough tests, evidence reached, a win rate that the wanted one is not too high for (see below), pass rate
    not inferior, not too slow, and still ahead at equal length. Keep: the evidence says worse, the interval excludes
    the wanted win rate, what was won fails a guard, or with `criteria.forgetting` something was forgotten, which no
    further test would change.

    The win rate that is asked for must lie in the interval or below it. Were the observed rate to reach it, a candidate
    that truly wins 65 % would be refused about every other time at any given look, and found in 75 % of all cases
    within 200 tests instead of 95 % (benchmarks/statistics.py). What keeps chance out is the evidence alone. It is a
    function of the counts, so that the order of the tests plays no part: 60 wins to 40 always need more data.
    """
    against = stats.evidence(figures.losses, figures.wins)
    if against >= criteria.evidence:
        return Verdict("keep", (f"The candidate is worse: {odds(against)} that it wins fewer than half.",), None)
    low, high = _interval(figures, criteria)
    if figures.n >= criteria.min_tests and high < criteria.min_win_rate:
        reason = (
            f"Even at best the candidate wins {high:.0%}, and {criteria.min_win_rate:.0%} are asked for "
            f"(win rate {figures.win_rate:.0%}, interval {low:.0%} to {high:.0%})."
        )
        return Verdict("keep", (reason,), None)
    if forgotten and criteria.forgetting:
        return Verdict("keep", tuple(forgotten), None)
    missing = _missing(figures, criteria)
    failed = _failed_guards(figures, criteria)
    if missing:
        more = _more(figures, criteria)
        plan = [f"About {more:,} more tests should decide."] if more else []
        return Verdict("need more data", (*missing, *plan, *failed), more)
    if failed:
        return Verdict("keep", failed, None)
    return Verdict("promote", _for_it(figures, criteria), None)


def for_promotion(wins: int, losses: int) -> float:
    """The e-value that a promotion is decided by, see `LIKELY_HIGHEST`."""
    return stats.evidence(wins, losses, highest=LIKELY_HIGHEST)


def _interval(figures: Figures, criteria: Ab) -> tuple[float, float]:
    return stats.win_rate_interval(figures.wins, figures.losses, figures.ties, alpha=1 / criteria.evidence)


def _missing(figures: Figures, criteria: Ab) -> tuple[str, ...]:
    """What more tests may still bring."""
    reasons: list[str] = []
    if figures.n < criteria.min_tests:
        reasons.append(f"{figures.n} of at least {criteria.min_tests} tests are done.")
    if figures.unjudged:
        reasons.append(f"{figures.unjudged} more could not be judged by a score; people's votes decide on those.")
    found = for_promotion(figures.wins, figures.losses)
    if found < criteria.evidence:
        reasons.append(f"The evidence that it is better is {odds(found)}; {criteria.evidence:g} : 1 is asked for.")
    if not _not_inferior(figures, criteria) and figures.success_b > figures.success_a - criteria.success_margin:
        reasons.append(
            f"It is not certain yet that the pass rate ({figures.success_a:.0%} → {figures.success_b:.0%}) falls by "
            f"less than {100 * criteria.success_margin:g} points."
        )
    return tuple(reasons)


def _not_inferior(figures: Figures, criteria: Ab, scale: float = 1.0) -> bool:
    """Where nothing has a pass rate, because only people can judge it, nothing can fall."""
    if not figures.judged and figures.n:
        return True
    only_b, only_a = round(figures.passes_only_b * scale), round(figures.passes_only_a * scale)
    p = stats.non_inferiority(only_b, only_a, round(figures.judged * scale), criteria.success_margin)
    return p < NON_INFERIORITY_P


def _failed_guards(figures: Figures, criteria: Ab) -> tuple[str, ...]:
    """What speaks against promoting a candidate that wins."""
    reasons: list[str] = []
    if figures.judged and figures.success_b <= figures.success_a - criteria.success_margin:
        reasons.append(f"The pass rate falls from {figures.success_a:.0%} to {figures.success_b:.0%}.")
    if figures.latency_ratio > criteria.latency_ratio:
        reasons.append(
            f"It takes {figures.latency_ratio:.1f} × as long; at most {criteria.latency_ratio:g} × is allowed."
        )
    if figures.win_rate > 0.5 > figures.length_adjusted:
        reasons.append(f"At equal length of the answers it would win only {figures.length_adjusted:.0%}.")
    return tuple(reasons)


def _for_it(figures: Figures, criteria: Ab) -> tuple[str, ...]:
    low, high = _interval(figures, criteria)
    passing = [f"The pass rate goes from {figures.success_a:.0%} to {figures.success_b:.0%}."] if figures.judged else []
    reached = figures.win_rate >= criteria.min_win_rate
    asked = f"{criteria.min_win_rate:.0%} of {criteria.min_tests} are asked for"
    return (
        f"It wins {figures.win_rate:.0%} of {figures.n} tests (interval {low:.0%} to {high:.0%}); {asked}"
        f"{'' if reached else ', which the interval does not exclude'}.",
        f"The evidence that it is better is {odds(for_promotion(figures.wins, figures.losses))}.",
        *passing,
        f"It takes {figures.latency_ratio:.2f} × as long, with answers {figures.length_ratio:.2f} × as long; at equal "
        f"length it would win {figures.length_adjusted:.0%}.",
    )


def _more(figures: Figures, criteria: Ab) -> int | None:
    """The smallest number of further tests, at the rates seen so far, after which a decision stands."""
    if figures.n == 0:
        return criteria.min_tests
    decided = partial(_decided, figures, criteria)
    high = max(figures.n + 1, criteria.min_tests)
    low = figures.n
    while not decided(high):
        if high >= MOST_TESTS:
            return None
        low, high = high, min(MOST_TESTS, high * 2)
    return stats.smallest(decided, low, high) - figures.n


def _decided(figures: Figures, criteria: Ab, total: int) -> bool:
    scale = total / figures.n
    wins, losses = round(figures.wins * scale), round(figures.losses * scale)
    if stats.evidence(losses, wins) >= criteria.evidence:
        return True
    if total < criteria.min_tests:
        return False
    grown = replace(figures, wins=wins, losses=losses, ties=max(0, total - wins - losses))
    if _interval(grown, criteria)[1] < criteria.min_win_rate:
        return True
    falls = figures.success_b <= figures.success_a - criteria.success_margin
    return for_promotion(wins, losses) >= criteria.evidence and (falls or _not_inferior(figures, criteria, scale))


def odds(evidence: float) -> str:
    """An e-value in words: 25 : 1."""
    if evidence > 1e6:
        return "over a million : 1"
    return f"{evidence:,.0f} : 1" if evidence >= 10 else f"{evidence:.2g} : 1"


def half_width(interval: Sequence[float]) -> float:
    """Half the width of an interval, for a figure with ±; infinite intervals give infinity."""
    low, high = interval
    return (high - low) / 2 if math.isfinite(high - low) else math.inf
