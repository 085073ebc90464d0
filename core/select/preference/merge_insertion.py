"""Merge insertion over what a person has said: the order, or the first question that is still open.

Merge insertion (Ford and Johnson 1959; Knuth, TAOCP 3, 5.3.1) asks at most Σ ⌈log₂(3i/4)⌉ questions, i = 1 … k: 1, 3,
5, 7, 10, 13, 16, 19, 22 for k = 2 … 10. It runs from the start each time and looks up what is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

Relation = Literal[-1, 0, 1]
RELATIONS: Final[Mapping[str, Relation]] = {"first": 1, "second": -1, "tie": 0, "both_good": 0, "both_bad": 0}
"""What a choice says of the first event against the second; a skipped question says nothing."""


class Told(Protocol):
    """What was said of two events: a row of the store's log, or a `Vote`."""

    @property
    def first_event(self) -> int: ...

    @property
    def second_event(self) -> int: ...

    @property
    def choice(self) -> str: ...


def most_questions(k: int) -> int:
    """The worst case of merge insertion for k answers (without repeated questions)."""
    # ⌈log₂(3i/4)⌉ = the least e with 2^e · 4 ≥ 3i.
    return sum(next(e for e in range(i + 1) if (4 << e) >= 3 * i) for i in range(1, k + 1))


def between(told: Told) -> frozenset[int]:
    """The two events that were compared."""
    return frozenset((told.first_event, told.second_event))


class Open(Exception):
    """Two events whose relation is not known yet."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__()
        self.pair = (one, other)


class Known:
    """What follows from a log: 1 when an event is better than another, −1 when it is worse, 0 when they are equal."""

    def __init__(self, log: Sequence[Told]) -> None:
        self._said: dict[tuple[int, int], Relation] = {}
        self._skipped: set[frozenset[int]] = set()
        for told in log:
            if told.choice not in RELATIONS:
                self._skipped.add(between(told))
                continue
            relation = RELATIONS[told.choice]
            self._said[told.first_event, told.second_event] = relation
            self._said[told.second_event, told.first_event] = _opposite(relation)
        self._not_worse: dict[int, list[int]] = {}
        for (one, other), relation in self._said.items():
            if relation >= 0:
                self._not_worse.setdefault(one, []).append(other)

    def relation(self, one: int, other: int) -> Relation | None:
        """What holds between two events; None when it was not said, or what was said leads round in a circle."""
        down, up = self._reached(one, other), self._reached(other, one)
        if down is None or up is None:
            return None if down is None and up is None else -1 if down is None else 1
        return 0 if down == up == 0 else None

    def compare(self, one: int, other: int) -> Relation:
        """What holds for the order: the direct answer, else what follows, else 0 when it was skipped. Raises Open."""
        relation = self._said.get((one, other))
        if relation is None:
            relation = self.relation(one, other)
        if relation is not None:
            return relation
        if frozenset((one, other)) in self._skipped:
            return 0
        raise Open(one, other)

    def _reached(self, start: int, end: int) -> int | None:
        """1 when a chain of answers leads down from `start` to `end`, 0 when all of them were ties, else None."""
        best = {start: 0}
        waiting = [start]
        while waiting:
            node = waiting.pop()
            for below in self._not_worse.get(node, ()):
                step = max(best[node], self._said[node, below])
                if step > best.get(below, -1):
                    best[below] = step
                    waiting.append(below)
        return best.get(end)


def merge_insertion(items: Sequence[int], known: Known) -> list[list[int]]:
    """The items in groups of equals, the worst first.

    Pairs are compared and their better halves sorted in the same way; the others are inserted before their partners in
    the order b₁, b₃ b₂, b₅ b₄, b₁₁ … b₆, …, for which every binary search has 2^n − 1 places to look at, or fewer.
    """
    if len(items) < 2:
        return [[item] for item in items]
    partner: dict[int, int] = {}
    for one, other in zip(items[::2], items[1::2], strict=False):
        better, worse = (one, other) if known.compare(one, other) >= 0 else (other, one)
        partner[better] = worse
    chain = merge_insertion(list(partner), known)
    better_halves = [item for group in chain for item in group]
    waiting: list[tuple[int, int | None]] = [(partner[better], better) for better in better_halves]
    if len(items) % 2:
        waiting.append((items[-1], None))
    for at in _insertion_order(len(waiting)):
        _insert(chain, *waiting[at], known)
    return chain


def _insertion_order(count: int) -> list[int]:
    """The indices 0; 2, 1; 4, 3; 10 … 5; 20 … 11; … below `count`: runs between Jacobsthal numbers (1, 3, 5, 11)."""
    order: list[int] = []
    low, high = 0, 1
    while low < count:
        order += range(min(high, count) - 1, low - 1, -1)
        low, high = high, high + 2 * low if low else 3
    return order


def _insert(chain: list[list[int]], item: int, better: int | None, known: Known) -> None:
    low, high = 0, len(chain)
    if better is not None:
        high = next(at for at, group in enumerate(chain) if better in group)
        if known.compare(better, item) == 0:
            chain[high].append(item)
            return
    while low < high:
        middle = (low + high) // 2
        relation = known.compare(item, chain[middle][0])
        if relation == 0:
            chain[middle].append(item)
            return
        low, high = (middle + 1, high) if relation > 0 else (low, middle)
    chain.insert(low, [item])


def _opposite(relation: Relation) -> Relation:
    return 0 if relation == 0 else -1 if relation > 0 else 1
