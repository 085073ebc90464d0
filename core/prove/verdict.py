"""From the figures of an A/B test to a decision, with its reasons in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from core.config import Ab
from core.prove import stats
from storage.rows import AbPairRow

Decision = Literal["promote", "keep", "need more data"]
NON_INFERIORITY_P = 0.05
MOST_TESTS = 10_000


@dataclass(frozen=True, slots=True)
class Figures:
    """What a test has found so far. a is what serves, b the candidate.

    Scores are means 0-100, rates 0-1, ratios b to a; `passes_only_a` and `passes_only_b` count prompts that one arm
    alone passed. `length_adjusted` is the win rate at equal length.
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


def figures_of(pairs: Sequence[AbPairRow], success_score: float) -> Figures:
    """The figures of all answers so far; a test passes from `success_score` (0-100) on."""
    n = len(pairs)
    outcome = {"b": 1.0, "tie": 0.5, "a": 0.0}
    passed = [(pair.score_a >= success_score, pair.score_b >= success_score) for pair in pairs]
    return Figures(
        wins=sum(pair.winner == "b" for pair in pairs),
        losses=sum(pair.winner == "a" for pair in pairs),
        ties=sum(pair.winner == "tie" for pair in pairs),
        score_a=sum(pair.score_a for pair in pairs) / n if n else 0.0,
        score_b=sum(pair.score_b for pair in pairs) / n if n else 0.0,
        success_a=sum(a for a, _ in passed) / n if n else 0.0,
        success_b=sum(b for _, b in passed) / n if n else 0.0,
        passes_only_a=sum(a and not b for a, b in passed),
        passes_only_b=sum(b and not a for a, b in passed),
        latency_ratio=_ratio([pair.latency_b for pair in pairs], [pair.latency_a for pair in pairs]),
        length_ratio=_ratio([len(pair.response_b) for pair in pairs], [len(pair.response_a) for pair in pairs]),
        length_adjusted=stats.length_adjusted_rate(
            [outcome[pair.winner] for pair in pairs],
            [len(pair.response_b) - len(pair.response_a) for pair in pairs],
        ),
    )


def _ratio(above: Sequence[float], below: Sequence[float]) -> float:
    total = sum(below)
    return sum(above) / total if total > 0 else 1.0


def judge(figures: Figures, criteria: Ab) -> Verdict:
    """The decision by the criteria, with every reason that weighs.

    Promote: enough tests, win rate and evidence reached, pass rate not inferior, not too slow, and still ahead at equal
    length. Keep: the evidence says worse, the interval excludes the wanted win rate, or what was won fails a guard.
    """
    against = stats.evidence(figures.losses, figures.wins)
    if against >= criteria.evidence:
        return Verdict("keep", (f"The candidate is worse: {_odds(against)} that it wins fewer than half.",), None)
    low, high = stats.win_rate_interval(figures.wins, figures.losses, figures.ties, alpha=1 / criteria.evidence)
    if figures.n >= criteria.min_tests and high < criteria.min_win_rate:
        reason = (
            f"Even at best the candidate wins {high:.0%}, and {criteria.min_win_rate:.0%} are asked for "
            f"(win rate {figures.win_rate:.0%}, interval {low:.0%} to {high:.0%})."
        )
        return Verdict("keep", (reason,), None)
    missing = _missing(figures, criteria)
    failed = _failed_guards(figures, criteria)
    if missing:
        more = _more(figures, criteria)
        plan = [f"About {more:,} more tests should decide."] if more else []
        return Verdict("need more data", (*missing, *plan, *failed), more)
    if failed:
        return Verdict("keep", failed, None)
    return Verdict("promote", _for_it(figures, criteria), None)


def _missing(figures: Figures, criteria: Ab) -> tuple[str, ...]:
    """What more tests may still bring."""
    reasons: list[str] = []
    if figures.n < criteria.min_tests:
        reasons.append(f"{figures.n} of at least {criteria.min_tests} tests are done.")
    found = stats.evidence(figures.wins, figures.losses)
    if found < criteria.evidence:
        reasons.append(f"The evidence that it is better is {_odds(found)}; {criteria.evidence:g} : 1 is asked for.")
    if figures.win_rate < criteria.min_win_rate:
        reasons.append(f"It wins {figures.win_rate:.0%}; {criteria.min_win_rate:.0%} is asked for.")
    if not _not_inferior(figures, criteria) and figures.success_b > figures.success_a - criteria.success_margin:
        reasons.append(
            f"It is not certain yet that the pass rate ({figures.success_a:.0%} → {figures.success_b:.0%}) falls by "
            f"less than {100 * criteria.success_margin:g} points."
        )
    return tuple(reasons)


def _not_inferior(figures: Figures, criteria: Ab) -> bool:
    p = stats.non_inferiority(figures.passes_only_b, figures.passes_only_a, figures.n, criteria.success_margin)
    return p < NON_INFERIORITY_P


def _failed_guards(figures: Figures, criteria: Ab) -> tuple[str, ...]:
    """What speaks against promoting a candidate that wins."""
    reasons: list[str] = []
    if figures.n and figures.success_b <= figures.success_a - criteria.success_margin:
        reasons.append(f"The pass rate falls from {figures.success_a:.0%} to {figures.success_b:.0%}.")
    if figures.latency_ratio > criteria.latency_ratio:
        reasons.append(
            f"It takes {figures.latency_ratio:.1f} × as long; at most {criteria.latency_ratio:g} × is allowed."
        )
    if figures.win_rate > 0.5 > figures.length_adjusted:
        reasons.append(f"At equal length of the answers it would win only {figures.length_adjusted:.0%}.")
    return tuple(reasons)


def _for_it(figures: Figures, criteria: Ab) -> tuple[str, ...]:
    return (
        f"It wins {figures.win_rate:.0%} of {figures.n} tests; {criteria.min_win_rate:.0%} of {criteria.min_tests} are "
        "asked for.",
        f"The evidence that it is better is {_odds(stats.evidence(figures.wins, figures.losses))}.",
        f"The pass rate goes from {figures.success_a:.0%} to {figures.success_b:.0%}.",
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
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high - figures.n


def _decided(figures: Figures, criteria: Ab, total: int) -> bool:
    scale = total / figures.n
    wins, losses = round(figures.wins * scale), round(figures.losses * scale)
    ties = max(0, total - wins - losses)
    if stats.evidence(losses, wins) >= criteria.evidence:
        return True
    if total < criteria.min_tests:
        return False
    if stats.win_rate_interval(wins, losses, ties, alpha=1 / criteria.evidence)[1] < criteria.min_win_rate:
        return True
    p = stats.non_inferiority(
        round(figures.passes_only_b * scale), round(figures.passes_only_a * scale), total, criteria.success_margin
    )
    falls = figures.success_b <= figures.success_a - criteria.success_margin
    return (
        (wins + ties / 2) / total >= criteria.min_win_rate
        and stats.evidence(wins, losses) >= criteria.evidence
        and (p < NON_INFERIORITY_P or falls)
    )


def _odds(evidence: float) -> str:
    if evidence > 1e6:
        return "over a million : 1"
    return f"{evidence:,.0f} : 1" if evidence >= 10 else f"{evidence:.2g} : 1"


def half_width(interval: Sequence[float]) -> float:
    """Half the width of an interval, for a figure with ±; infinite intervals give infinity."""
    low, high = interval
    return (high - low) / 2 if math.isfinite(high - low) else math.inf
