"""Answers to the same request: who is preferred when some of them were rated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from core.capture.formats.parts import Answer, Preference


def rated_siblings(answers: Sequence[Answer], indexes: Sequence[int]) -> list[Preference]:
    """Preferences among `answers[i]` for i in `indexes`, from their verdicts.

    Liked against disliked is a ranking. Liked against unrated, or unrated against disliked, is inferred ("sibling").
    Two that were judged alike give none, nor do two with the same text.
    """
    worth = {"good": 1, None: 0, "bad": -1}
    found: list[Preference] = []
    for position, one in enumerate(indexes):
        for other in indexes[position + 1 :]:
            difference = worth[answers[one].verdict] - worth[answers[other].verdict]
            if difference == 0 or answers[one].response == answers[other].response:
                continue
            chosen, rejected = (one, other) if difference > 0 else (other, one)
            found.append(Preference(chosen, rejected, "ranking" if abs(difference) == 2 else "sibling"))
    return found


def ranked(order: Sequence[Sequence[int]]) -> dict[tuple[int, int], float]:
    """(better, worse) -> margin for groups of indexes, best group first; inside a group none is better.

    The margin is the distance in groups, as a share of the longest one.
    """
    span = max(len(order) - 1, 1)
    return {
        (better, worse): (low - high) / span
        for high, group in enumerate(order)
        for low in range(high + 1, len(order))
        for better in group
        for worse in order[low]
        if better != worse
    }


def majority(votes: Iterable[Mapping[tuple[int, int], float | None]]) -> tuple[list[Preference], list[str]]:
    """What several people's rankings come to, and a line for each two on which they are evenly split.

    More votes one way than the other decide; the margin is the mean of those that won, None when they tell none.
    """
    margins: dict[tuple[int, int], list[float | None]] = {}
    for vote in votes:
        for pair, margin in vote.items():
            margins.setdefault(pair, []).append(margin)
    found, split = [], []
    for (better, worse), told in margins.items():
        against = len(margins.get((worse, better), ()))
        if len(told) > against:
            known = [margin for margin in told if margin is not None]
            found.append(Preference(better, worse, "ranking", sum(known) / len(known) if known else None))
        elif len(told) == against and better < worse:
            split.append(f"Answers {better + 1} and {worse + 1}: the annotators are split, so neither is preferred.")
    return found, split


def most_common(values: Sequence[str]) -> str:
    """The value said most often; of those said equally often the one said last. `values` is not empty."""
    counts = Counter(values)
    top = max(counts.values())
    return next(value for value in reversed(values) if counts[value] == top)
