"""Where a candidate is better and where not: its outcomes by category and by what models used to fail on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.categories import Category, select_of
from core.config import Config
from core.prove import stats
from core.prove.pooled import Outcome, Pool
from core.prove.verdict import figures_of
from core.select.alike.meaning import Meaning, preview
from core.select.hard.hard_negatives import STATES, hard_negatives
from core.select.hard.patterns import Pattern, patterns_of
from storage.db import Store

NO_PATTERN = "no known failure"


@dataclass(frozen=True, slots=True)
class Part:
    """The outcomes of one group. Rates are 0-1, scores means 0-100, None where no outcome was judged by a score.

    `interval` is the confidence sequence of `win_rate`, for this group alone: of many groups one may miss by chance.
    """

    kind: Literal["category", "pattern"]
    name: str
    n: int
    wins: int
    losses: int
    ties: int
    not_judged: int
    win_rate: float
    interval: tuple[float, float]
    score_a: float | None
    score_b: float | None
    success_a: float | None
    success_b: float | None


def breakdown(store: Store, config: Config, category: Category, pool: Pool) -> list[Part]:
    """All outcomes of a pool, then those on stored prompts by pattern of failure, the largest group first.

    A pattern here is one of outputs that failed by themselves: a prompt that is hard because the candidate lost on it
    in this very test would make every pattern a lost one, and so would, the other way round, a request whose answer
    was shadowed.
    """
    level = 1 / config.ab.evidence
    parts = [_part("category", category.name, pool.outcomes, category.success_score, level)]
    stored = [outcome for outcome in pool.outcomes if outcome.source == "stored"]
    asked = {outcome.pair.event_id for outcome in stored}
    every = hard_negatives(store, category, constants=select_of(category, config), states=STATES)
    known = [each for each in every if each.own_failure]
    if not any(each.event_id in asked for each in known):
        return parts

    def work(meaning: Meaning) -> list[Pattern]:
        return patterns_of(store, category.name, known, meaning.embed)

    names = {event: pattern.name for pattern in preview(store, config, work) for event in pattern.members}
    groups: dict[str, list[Outcome]] = {}
    for outcome in stored:
        name = names.get(outcome.pair.event_id, NO_PATTERN) if outcome.pair.event_id is not None else NO_PATTERN
        groups.setdefault(name, []).append(outcome)
    found = [_part("pattern", name, group, category.success_score, level) for name, group in groups.items()]
    return [*parts, *sorted(found, key=lambda part: (part.name == NO_PATTERN, -part.n, part.name))]


def _part(
    kind: Literal["category", "pattern"], name: str, group: Sequence[Outcome], success_score: float, level: float
) -> Part:
    figures = figures_of(
        [outcome.pair for outcome in group], success_score, winners=[outcome.winner for outcome in group]
    )
    scored = figures.judged > 0
    return Part(
        kind=kind,
        name=name,
        n=figures.n,
        wins=figures.wins,
        losses=figures.losses,
        ties=figures.ties,
        not_judged=figures.unjudged,
        win_rate=figures.win_rate,
        interval=stats.win_rate_interval(figures.wins, figures.losses, figures.ties, alpha=level),
        score_a=figures.score_a if scored else None,
        score_b=figures.score_b if scored else None,
        success_a=figures.success_a if scored else None,
        success_b=figures.success_b if scored else None,
    )
