"""Strengths of all versions of a category from their tests against each other: Bradley–Terry with ties.

Davidson's model (Journal of the American Statistical Association 65, 1970): with strengths θ and a tie parameter η the
odds of "i wins : j wins : tie" are exp(θi) : exp(θj) : exp(η + (θi + θj) / 2); without ties it is that of Bradley and
Terry (Biometrika 39, 1952). The likelihood is log-concave, so Newton's method with halved steps finds its one maximum.
Standard errors are those of the Fisher information, which equals the observed one here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from core.prove.pooled import outcomes
from storage import ab_tests, versions
from storage.db import Store

ELO: Final = 400 / math.log(10)
"""Elo points of one unit of θ: 400 points are odds of ten to one."""
PRIOR_SD: Final = 3.0
"""Standard deviation of the normal prior on every θ and on η, used only where the likelihood has no finite maximum. It
is weak: odds of 20 : 1 lie within it."""
_ENDLESS: Final = 15.0
"""A parameter that grows beyond this, odds of three million to one, would grow for ever."""
_ITERATIONS: Final = 200
_PRECISE: Final = 1e-12

Games = Mapping[tuple[int, int], tuple[int, int, int]]
"""(first, second) → wins of the first, wins of the second, ties."""


@dataclass(frozen=True, slots=True)
class Rating:
    """One version: its strength over the anchor in Elo points with a 95 % interval, and how many outcomes it is from.

    The anchor itself has 0 without an interval. What is linked to the anchor by no test has None.
    """

    version: int
    elo: float | None
    low: float | None
    high: float | None
    games: int


@dataclass(frozen=True, slots=True)
class Fit:
    """Strengths θ (natural-log odds, the anchor's is 0) with standard errors, and the tie parameter ν = exp(η).

    `separated` says that some win all or lose all against the rest: then a weak prior keeps them finite.
    """

    theta: Mapping[int, float]
    errors: Mapping[int, float]
    ties: float
    separated: bool


def ratings(store: Store, category: str) -> tuple[list[Rating], Fit | None]:
    """The versions of a category that were ever tested, the strongest first, against its base; and the fit behind it.

    The anchor is the untouched base that takes part in most outcomes, else the oldest version that takes part.
    """
    games = games_of(store, category)
    played = _played(games)
    if not played:
        return [], None
    rows = {version.id: version for version in versions.list_versions(store, category)}
    bases = [each for each in played if each in rows and rows[each].number == 0]
    anchor = max(bases, key=lambda each: (played[each], -each)) if bases else min(played)
    found = fit(games, anchor)
    z = NormalDist().inv_cdf(0.975)
    rated = []
    for each, count in played.items():
        theta = found.theta.get(each)
        if theta is None:
            rated.append(Rating(each, None, None, None, count))
            continue
        error = found.errors[each]
        known = each != anchor
        low, high = ((theta - z * error) * ELO, (theta + z * error) * ELO) if known else (None, None)
        rated.append(Rating(each, theta * ELO, low, high, count))
    rated.sort(key=lambda each: (each.elo is None, -(each.elo or 0.0), each.version))
    return rated, found


def games_of(store: Store, category: str) -> Games:
    """The decided outcomes of every two versions of a category that were tested against each other."""
    met = sorted({_ordered(test.version_a, test.version_b) for test in ab_tests.list_tests(store, category)})
    games: dict[tuple[int, int], tuple[int, int, int]] = {}
    for first, second in met:
        winners = outcomes(store, first, second).winners
        counts = (winners.count("a"), winners.count("b"), winners.count("tie"))
        if sum(counts):
            games[first, second] = counts
    return games


def fit(games: Games, anchor: int) -> Fit:
    """The maximum of the likelihood over all that is linked to `anchor` by outcomes.

    With a weak normal prior when no finite maximum is there: some part of the graph then only wins (Ford 1957), or
    never loses and its ties could as well come from an ever greater tie parameter.
    """
    linked = _reached(games, anchor, one_way=False)
    inside = {pair: counts for pair, counts in games.items() if pair[0] in linked and any(counts)}
    names = [anchor, *sorted(linked - {anchor})]
    ties = any(counts[2] for counts in inside.values())
    found = _Model(names, inside, with_ties=ties, prior=0.0).maximum() if _strong(inside, anchor, linked) else None
    separated = found is None
    if found is None:
        found = _Model(names, inside, with_ties=ties, prior=1 / PRIOR_SD**2).maximum()
    assert found is not None  # with a prior there is always a maximum, and a near one
    values, covariance = found
    count = len(names) - 1
    errors = [math.sqrt(max(0.0, covariance[at][at])) for at in range(count)]
    return Fit(
        dict(zip(names, [0.0, *values[:count]], strict=True)),
        dict(zip(names, [0.0, *errors], strict=True)),
        math.exp(values[count]) if ties else 0.0,
        separated,
    )


class _Model:
    """The log-likelihood of θ (all but the anchor's) and, with ties, η after them."""

    def __init__(self, names: Sequence[int], games: Games, *, with_ties: bool, prior: float) -> None:
        places = {name: place - 1 for place, name in enumerate(names)}
        self.games = [(places[i], places[j], *counts) for (i, j), counts in games.items()]
        self.size = len(names) - 1 + with_ties
        self.tie_at = self.size - 1 if with_ties else None
        self.prior = prior

    def maximum(self) -> tuple[list[float], list[list[float]]] | None:
        """The values at the maximum and the inverse of the information there; None where there is no finite one."""
        values = [0.0] * self.size
        current, gradient, information = self.at(values)
        for _ in range(_ITERATIONS):
            step = _solve(information, [[each] for each in gradient])
            scale = 1.0
            while True:
                tried = [value + scale * move[0] for value, move in zip(values, step, strict=True)]
                found = self.at(tried)
                if found[0] >= current - _PRECISE * abs(current) or scale < 1e-9:
                    break
                scale /= 2
            values, (current, gradient, information) = tried, found
            if not self.prior and max(map(abs, values), default=0.0) > _ENDLESS:
                return None
            if scale * max((abs(move[0]) for move in step), default=0.0) < _PRECISE:
                break
        unit = [[float(row == column) for column in range(self.size)] for row in range(self.size)]
        return values, _solve(information, unit)

    def at(self, values: Sequence[float]) -> tuple[float, list[float], list[list[float]]]:
        """Log-likelihood (with priors), its gradient, and the information."""
        size, tie_at = self.size, self.tie_at
        total = 0.0
        gradient = [-self.prior * value for value in values]
        information = [[self.prior * (row == column) for column in range(size)] for row in range(size)]
        total -= self.prior * sum(value * value for value in values) / 2
        for i, j, wins, losses, ties in self.games:
            first, second = (values[i] if i >= 0 else 0.0), (values[j] if j >= 0 else 0.0)
            logs = [first, second] + ([values[tie_at] + (first + second) / 2] if tie_at is not None else [])
            top = max(logs)
            norm = top + math.log(sum(math.exp(each - top) for each in logs))
            shares = [math.exp(each - norm) for each in logs]
            counts = (wins, losses, ties)[: len(logs)]
            n = sum(counts)
            total += sum(count * (each - norm) for count, each in zip(counts, logs, strict=True))
            # How the log-odds of each of the three results move with θi, θj and η.
            moves = [(i, (1.0, 0.0, 0.5)), (j, (0.0, 1.0, 0.5))]
            if tie_at is not None:
                moves.append((tie_at, (0.0, 0.0, 1.0)))
            means = [
                sum(share * weight for share, weight in zip(shares, weights, strict=False)) for _, weights in moves
            ]
            for (row, weights), mean in zip(moves, means, strict=True):
                if row < 0:
                    continue
                gradient[row] += sum(c * w for c, w in zip(counts, weights, strict=False)) - n * mean
                for (column, others), other in zip(moves, means, strict=True):
                    if column >= 0:
                        both = sum(s * w * o for s, w, o in zip(shares, weights, others, strict=False))
                        information[row][column] += n * (both - mean * other)
        return total, gradient, information


def _solve(matrix: Sequence[Sequence[float]], right: Sequence[Sequence[float]]) -> list[list[float]]:
    """X with matrix · X = right, for a symmetric positive definite matrix [n, n]: Gaussian elimination with pivots."""
    size = len(matrix)
    rows = [[*left, *values] for left, values in zip(matrix, right, strict=True)]
    for at in range(size):
        pivot = max(range(at, size), key=lambda row: abs(rows[row][at]))
        rows[at], rows[pivot] = rows[pivot], rows[at]
        head = rows[at][at]
        rows[at] = [value / head for value in rows[at]]
        for row in range(size):
            if row != at and rows[row][at]:
                factor = rows[row][at]
                rows[row] = [value - factor * top for value, top in zip(rows[row], rows[at], strict=True)]
    return [row[size:] for row in rows]


def _ordered(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)


def _played(games: Games) -> dict[int, int]:
    played: dict[int, int] = {}
    for pair, counts in games.items():
        for each in pair:
            played[each] = played.get(each, 0) + sum(counts)
    return played


def _reached(games: Games, start: int, *, one_way: bool, backwards: bool = False) -> set[int]:
    """What outcomes lead to from `start`: any of them, or with `one_way` from who did not win to who did not lose."""
    links: dict[int, set[int]] = {}
    for (first, second), (wins, losses, ties) in games.items():
        if not wins + losses + ties:
            continue
        if not one_way or losses or ties:
            links.setdefault(second if backwards else first, set()).add(first if backwards else second)
        if not one_way or wins or ties:
            links.setdefault(first if backwards else second, set()).add(second if backwards else first)
    found, waiting = {start}, [start]
    while waiting:
        new = links.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _strong(games: Games, anchor: int, linked: set[int]) -> bool:
    """Whether every part of the graph has at least tied with what is outside of it, in both directions."""
    forwards = _reached(games, anchor, one_way=True)
    return forwards == linked == _reached(games, anchor, one_way=True, backwards=True)
