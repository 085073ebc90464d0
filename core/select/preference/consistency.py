"""How far a person who compares answers agrees with themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.prove.stats import wilson
from core.select.preference.merge_insertion import RELATIONS, Told, between


@dataclass(frozen=True, slots=True)
class Consistency:
    """What a log of `n` answered comparisons tells of the person.

    `repeats` questions were asked again, `agreed` of them answered alike: the better one the same, or a tie of any
    kind both times. `agreement` is their share with its 95 % `interval` (Wilson 1927). Of the `triads` of answers whose
    three comparisons all had a winner, `circular` lead round (A ≻ B ≻ C ≻ A); `transitivity` is the share of the
    others. `zeta` is Kendall's and Babington Smith's coefficient over the sets of answers in which each was compared
    with each: 1 without any circle, 0 with as many as there can be. What would divide by nothing is None.
    """

    n: int
    repeats: int
    agreed: int
    interval: tuple[float, float]
    triads: int
    circular: int
    zeta: float | None

    @property
    def agreement(self) -> float | None:
        """The share of repeated questions that were answered alike, 0-1."""
        return self.agreed / self.repeats if self.repeats else None

    @property
    def transitivity(self) -> float | None:
        """The share of triads that are not circular, 0-1; 0.75 is what tossing a coin comes to."""
        return 1.0 - self.circular / self.triads if self.triads else None


def consistency(log: Sequence[Told]) -> Consistency:
    """Looks into a log of comparisons, oldest first, of any number of prompts; what was taken back is not in it.

    A question asked three times counts as two repeats, each against the answer before. For the triads the newest answer
    to each question holds.
    """
    said: dict[frozenset[int], int | None] = {}
    n = repeats = agreed = 0
    for told in log:
        if told.choice not in RELATIONS:
            continue
        relation, key = RELATIONS[told.choice], between(told)
        winner = {1: told.first_event, -1: told.second_event, 0: None}[relation]
        n += 1
        if key in said:
            repeats += 1
            agreed += said[key] == winner
        said[key] = winner
    beats: dict[int, set[int]] = {}
    for key, winner in said.items():
        if winner is not None:
            (loser,) = key - {winner}
            beats.setdefault(winner, set()).add(loser)
            beats.setdefault(loser, set())
    triads, circular = _triads(beats)
    return Consistency(n, repeats, agreed, wilson(agreed, repeats), triads, circular, _zeta_of(beats))


def zeta(k: int, circular: int) -> float:
    """The coefficient of consistence of k ≥ 3 answers, all compared with each other, with `circular` circular triads.

    1 − 24d / (k³ − k) for odd k, 1 − 24d / (k³ − 4k) for even k (Kendall and Babington Smith, Biometrika 31, 1940).
    """
    return 1.0 - circular / _most_circular(k)


def _most_circular(k: int) -> float:
    return (k**3 - (k if k % 2 else 4 * k)) / 24.0


def _triads(beats: dict[int, set[int]]) -> tuple[int, int]:
    """How many triads were compared in full, and how many of them lead round."""
    met = _met(beats)
    triads = circular = 0
    for one, others in met.items():
        for other in others:
            if other <= one:
                continue
            for third in others & met[other]:
                if third <= other:
                    continue
                triads += 1
                # A circle gives each of the three exactly one win.
                circular += all(len(beats[node] & {one, other, third}) == 1 for node in (one, other, third))
    return triads, circular


def _met(beats: dict[int, set[int]]) -> dict[int, set[int]]:
    """With which others each answer was compared, whoever won."""
    met = {node: set(below) for node, below in beats.items()}
    for node, below in beats.items():
        for other in below:
            met[other].add(node)
    return met


def _zeta_of(beats: dict[int, set[int]]) -> float | None:
    """Over all groups of three or more that were compared in full: 1 − circles / the most there can be."""
    circles, most = 0, 0.0
    for group in _groups(beats):
        k = len(group)
        if k >= 3 and sum(len(beats[node]) for node in group) == k * (k - 1) // 2:
            circles += _triads({node: beats[node] for node in group})[1]
            most += _most_circular(k)
    return 1.0 - circles / most if most else None


def _groups(beats: dict[int, set[int]]) -> list[set[int]]:
    """The answers that comparisons connect with each other."""
    met, seen = _met(beats), set[int]()
    groups: list[set[int]] = []
    for start in met:
        if start in seen:
            continue
        group, waiting = {start}, [start]
        while waiting:
            new = met[waiting.pop()] - group
            group |= new
            waiting += new
        seen |= group
        groups.append(group)
    return groups
