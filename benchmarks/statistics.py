"""Whether the verdicts of A/B tests keep what they promise: `python -m benchmarks.statistics [--tests 2000]`.

Simulated tests, decided by the product's own criteria with a look after every pair: how often the same model is
promoted over itself (A/A), also where people's blind votes turn scores round; how often a candidate that truly wins
65 % or 70 % is found, and by which pair; what 60 wins to 40 say; and how often each interval holds the truth. Beside
it, how far win-rate intervals, ratings and paired tests are from published worked examples and second implementations.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any, Final

from benchmarks.record import append
from benchmarks.second_opinion import agreement
from core.config import Ab
from core.prove import rating, stats
from core.prove.verdict import Figures, for_promotion, judge

CRITERIA: Final = Ab()
evidence = cache(for_promotion)
uniform = cache(stats.evidence)
interval = cache(stats.win_rate_interval)


@dataclass(frozen=True, slots=True)
class World:
    """How the pairs of a test come about.

    win: P(the candidate wins | no tie). ties: share of ties, where both pass. With `graded` 40 % of the pairs with a
    winner pass on both sides, 30 % on the winner's alone, and 30 % on none, so that pass rates follow the wins; without
    it all answers pass.
    """

    win: float
    ties: float = 0.0
    graded: bool = False


class Tally:
    """The figures of a test as its pairs come in; latency and length are the same on both sides."""

    def __init__(self) -> None:
        self.wins = self.losses = self.ties = self.both = self.only_a = self.only_b = 0

    @property
    def n(self) -> int:
        return self.wins + self.losses + self.ties

    def add(self, draw: random.Random, world: World) -> None:
        """One more pair."""
        if draw.random() < world.ties:
            self.ties += 1
            self.both += 1
            return
        won = draw.random() < world.win
        self.wins, self.losses = self.wins + won, self.losses + (not won)
        if not world.graded or draw.random() < 0.4:
            self.both += 1
        elif draw.random() < 0.5:
            self.only_b, self.only_a = self.only_b + won, self.only_a + (not won)

    def figures(self) -> Figures:
        """As `judge` takes them."""
        n = self.n
        rate = (self.wins + self.ties / 2) / n
        return Figures(
            self.wins, self.losses, self.ties, 50.0, 50.0, (self.both + self.only_a) / n,
            (self.both + self.only_b) / n, self.only_a, self.only_b, 1.0, 1.0, rate, n,
        )  # fmt: skip


def first_promotion(draw: random.Random, world: World, pairs: int) -> int | None:
    """The pair after which the verdict is "promote" for the first time, looking after each; None when it never is."""
    tally = Tally()
    for count in range(1, pairs + 1):
        tally.add(draw, world)
        # Without these two no verdict is "promote"; asking `judge` at every look would take hours.
        likely = count >= CRITERIA.min_tests and evidence(tally.wins, tally.losses) >= CRITERIA.evidence
        if likely and judge(tally.figures(), CRITERIA).decision == "promote":
            return count
    return None


def first_observed(draw: random.Random, world: World, pairs: int) -> int | None:
    """The same under stricter criteria: the observed win rate must reach the wanted one, and the evidence comes from a
    mixture over all rates above one half."""
    tally = Tally()
    for count in range(1, pairs + 1):
        tally.add(draw, world)
        if count < CRITERIA.min_tests or tally.wins + tally.ties / 2 < CRITERIA.min_win_rate * count:
            continue
        if uniform(tally.wins, tally.losses) >= CRITERIA.evidence:
            return count
    return None


def promotions(
    tests: int, seed: int, world: World, pairs: int, first: Callable[..., int | None] = first_promotion
) -> dict[str, Any]:
    """How often, and how early, a candidate is promoted."""
    draw = random.Random(seed)
    found = [first(draw, world, pairs) for _ in range(tests)]
    at = sorted(each for each in found if each is not None)
    return {
        "pairs": pairs,
        "promoted": round(len(at) / tests, 4),
        "interval": [round(bound, 4) for bound in stats.wilson(len(at), tests)],
        "median_pair": at[len(at) // 2] if at else None,
    }


def with_votes(tests: int, seed: int, *, pairs: int, disagree: float, together: bool) -> dict[str, float]:
    """A/A with a blind vote on every pair in random order, which turns the score's outcome round with P(`disagree`).

    With `together` votes and pairs come in turn, else all votes come after all pairs. A look after each of them.
    `evidence` counts tests in which it ever reached 20 : 1, even before the least number of tests.
    """
    draw = random.Random(seed)
    reached = promoted = 0
    for _ in range(tests):
        outcomes: list[bool] = []
        waiting: list[int] = []
        wins = losses = 0
        strong = late = False
        steps = [True] * pairs + [False] * pairs
        if together:
            draw.shuffle(steps)
        for new in steps:
            if new or not waiting:
                won = draw.random() < 0.5
                waiting.append(len(outcomes))
                outcomes.append(won)
                wins, losses = wins + won, losses + (not won)
            else:
                place = draw.randrange(len(waiting))
                waiting[place], waiting[-1] = waiting[-1], waiting[place]
                at = waiting.pop()
                if draw.random() < disagree:
                    outcomes[at] = not outcomes[at]
                    change = 1 if outcomes[at] else -1
                    wins, losses = wins + change, losses - change
            if evidence(wins, losses) >= CRITERIA.evidence:
                strong = True
                late = late or wins + losses >= CRITERIA.min_tests
        reached, promoted = reached + strong, promoted + late
    return {"evidence": round(reached / tests, 4), "promoted": round(promoted / tests, 4)}


def sixty_to_forty(orders: int, seed: int) -> dict[str, int]:
    """What is said of 60 wins and 40 losses, at whatever order, when all are there."""
    draw = random.Random(seed)
    said: dict[str, int] = {}
    for _ in range(orders):
        outcomes = [True] * 60 + [False] * 40
        draw.shuffle(outcomes)
        tally = Tally()
        for won in outcomes:
            tally.wins, tally.losses, tally.both = tally.wins + won, tally.losses + (not won), tally.both + 1
        verdict = judge(tally.figures(), CRITERIA).decision
        said[verdict] = said.get(verdict, 0) + 1
    return said


def sequence_coverage(tests: int, seed: int, world: World, pairs: int) -> float:
    """How often the confidence sequence of the win rate holds the truth at all looks together."""
    draw = random.Random(seed)
    truth = world.win * (1 - world.ties) + world.ties / 2
    held = 0
    for _ in range(tests):
        tally = Tally()
        for _ in range(pairs):
            tally.add(draw, world)
            low, high = interval(tally.wins, tally.losses, tally.ties)
            if not low <= truth <= high:
                break
        else:
            held += 1
    return round(held / tests, 4)


def wilson_coverage(n: int) -> dict[str, float]:
    """The exact coverage of Wilson's interval over win rates 0.05, 0.06, … 0.95."""
    bounds = [stats.wilson(wins, n) for wins in range(n + 1)]
    rates = [each / 100 for each in range(5, 96)]
    covered = [
        sum(
            math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1))
            * p**k * (1 - p) ** (n - k)
            for k, (low, high) in enumerate(bounds)
            if low <= p <= high
        )
        for p in rates
    ]  # fmt: skip
    return {"mean": round(fmean(covered), 4), "least": round(min(covered), 4)}


def difference(draw: random.Random) -> float:
    """A difference of two scores as tests bring them: mostly small, some from pass to fail. Its mean is 6."""
    kind = draw.random()
    if kind < 0.5:
        return draw.gauss(0.0, 3.0)
    return draw.uniform(0.0, 60.0) if kind < 0.8 else draw.uniform(-45.0, 15.0)


def mean_coverage(tests: int, seed: int, n: int, of: Callable[[Sequence[float]], tuple[float, float]]) -> float:
    """How often an interval of the mean difference holds it."""
    draw = random.Random(seed)
    held = 0
    for _ in range(tests):
        low, high = of([difference(draw) for _ in range(n)])
        held += low <= 6.0 <= high
    return round(held / tests, 4)


def rating_coverage(tests: int, seed: int, games: int) -> float:
    """How often the 95 % interval of a rating holds it: five versions, each tested against the two before it."""
    draw = random.Random(seed)
    theta = [0.0, 0.3, 0.5, 0.9, 0.8]
    held = total = 0
    for _ in range(tests):
        found: dict[tuple[int, int], tuple[int, int, int]] = {}
        for first in range(5):
            for second in range(first + 1, min(5, first + 3)):
                odds = [math.exp(theta[first]), math.exp(theta[second]), math.exp((theta[first] + theta[second]) / 2)]
                drawn = draw.choices(range(3), odds, k=games)
                found[first, second] = drawn.count(0), drawn.count(1), drawn.count(2)
        fit = rating.fit(found, 0)
        for each in range(1, 5):
            held += abs(fit.theta[each] - theta[each]) <= 1.959964 * fit.errors[each]
            total += 1
    return round(held / total, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tests, seed = given.tests, given.seed
    started = time.monotonic()
    result: dict[str, Any] = {}

    def tell(name: str, value: object) -> None:
        result[name] = value
        print(f"{time.monotonic() - started:5.0f} s  {name:44} {value}", flush=True)

    tell("A/A, 500 pairs", promotions(tests, seed, World(0.5), 500))
    tell("A/A, 500 pairs, 30 % ties, graded", promotions(tests, seed + 1, World(0.5, 0.3, True), 500))
    for disagree in (0.0, 0.1, 0.25, 0.5):
        for together in (True, False):
            name = f"A/A with votes, {disagree:.0%} turned, {'in turn' if together else 'afterwards'}"
            tell(name, with_votes(tests, seed + 2, pairs=200, disagree=disagree, together=together))
    tell(
        "A/A with votes, 500 pairs, 50% turned, in turn",
        with_votes(tests, seed + 2, pairs=500, disagree=0.5, together=True),
    )
    tell("true 65 %, within 200", promotions(tests, seed + 3, World(0.65), 200))
    tell("true 65 %, within 200, rate observed", promotions(tests, seed + 3, World(0.65), 200, first_observed))
    tell("true 65 %, within 200, graded", promotions(tests, seed + 4, World(0.65, graded=True), 200))
    tell("true 70 %, within 100", promotions(tests, seed + 5, World(0.7), 100))
    tell("true 70 %, within 100, rate observed", promotions(tests, seed + 5, World(0.7), 100, first_observed))
    tell("true 70 %, within 100, graded", promotions(tests, seed + 6, World(0.7, graded=True), 100))
    tell("true 55 %, within 200", promotions(tests, seed + 7, World(0.55), 200))
    tell("true 60 %, within 200", promotions(tests, seed + 8, World(0.6), 200))
    tell("60 wins to 40, 1,000 orders", sixty_to_forty(1_000, seed + 9))
    for world in (World(0.5), World(0.65), World(0.9), World(0.65, 0.3)):
        name = f"win-rate interval, all of 200 looks, {world.win:.0%}{', 30 % ties' if world.ties else ''}"
        tell(name, sequence_coverage(tests, seed + 10, world, 200))
    tell("Wilson, 100 tests, exact", wilson_coverage(100))
    for n in (20, 100):
        tell(f"t interval of the difference, n = {n}", mean_coverage(5 * tests, seed + 11, n, stats.mean_interval))
        tell(
            f"bootstrap interval of the difference, n = {n}",
            mean_coverage(tests, seed + 11, n, lambda values: stats.bootstrap_interval(values, seed=1)),
        )
    tell("rating intervals, 60 tests a pair", rating_coverage(tests // 2, seed + 12, 60))
    tell("distance from a second implementation", agreement())
    append("statistics", " ".join(["python -m benchmarks.statistics", *sys.argv[1:]]), result, ("scipy", "choix"))


if __name__ == "__main__":
    main()
