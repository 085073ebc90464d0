"""Ranking k answers to one prompt by few comparisons: merge insertion, replayed from what was said so far.

Nothing is asked that follows from other answers, and answers that are equal stand in one group. The whole state is the
log of what was said, so that it can be taken up anywhere, and undone.

Which answer stands on the left, which comparisons are asked a second time, and in which order the answers enter are
functions of the ids and the seed alone: the same log always leads to the same next question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Final, Literal

from core.select.preference.merge_insertion import RELATIONS, Known, Open, Told, between, merge_insertion
from storage.comparisons import Choice

MOST: Final = 10
"""The most answers that one ranking takes."""
REPEAT_ONE_IN: Final = 10
"""One comparison in so many is asked a second time."""
REPEAT_AFTER: Final = 3
"""A comparison is asked again only after so many others, or it would be remembered."""

_FLIPPED: Final[Mapping[Choice, Choice]] = {"first": "second", "second": "first"}


@dataclass(frozen=True, slots=True)
class Vote:
    """What was said of two events in answer to a question."""

    first_event: int
    second_event: int
    choice: Choice


@dataclass(frozen=True, slots=True)
class Question:
    """Two events to be compared, `first` the one with the lower id. `swapped`: the second one stands on the left.

    `repeat` tells that the two were compared before; the person who is asked must not know.
    """

    first: int
    second: int
    swapped: bool
    repeat: bool

    @property
    def left(self) -> int:
        """The event on the left."""
        return self.second if self.swapped else self.first

    @property
    def right(self) -> int:
        """The event on the right."""
        return self.first if self.swapped else self.second

    def prefers(self, side: Literal["left", "right"]) -> Choice:
        """What choosing a side says."""
        choice: Choice = "first" if side == "left" else "second"
        return _FLIPPED[choice] if self.swapped else choice


@dataclass(frozen=True, slots=True)
class RankedPair:
    """One event was preferred to another by `margin`, 0-1."""

    chosen: int
    rejected: int
    margin: float


def question(one: int, other: int, *, seed: int, before: int = 0) -> Question:
    """The question about two events that were compared `before` times; each time the sides change."""
    first, second = sorted((one, other))
    swapped = bool((_draw("side", seed, first, second) + before) % 2)
    return Question(first, second, swapped, before > 0)


def repeat_due(
    log: Sequence[Told], *, seed: int, one_in: int = REPEAT_ONE_IN, after: int = REPEAT_AFTER
) -> Question | None:
    """The first comparison of the log that should be asked a second time now, or None.

    One in `one_in`, chosen by seed and ids, is asked twice, when at least `after` others were answered since.
    """
    times = Counter(between(told) for told in log)
    answered = [told for told in log if told.choice in RELATIONS]
    for told in answered[: max(0, len(answered) - after)]:
        key = between(told)
        if times[key] == 1 and _draw("again", seed, *sorted(key)) % one_in == 0:
            return question(told.first_event, told.second_event, seed=seed, before=1)
    return None


class Ranking:
    """The ranking of 2 to 10 answers; `log` is what was said before, of these and perhaps other events, oldest first.

    A question that was skipped is not asked again: for the order the two count as equal, but no pair follows from it.
    Of two answers to one question the newer holds.
    """

    def __init__(
        self, events: Sequence[int], log: Sequence[Told] = (), *, seed: int = 0, repeat_one_in: int = REPEAT_ONE_IN
    ) -> None:
        if not 2 <= len(set(events)) == len(events) <= MOST:
            raise ValueError(f"a ranking takes 2 to {MOST} different answers, not {list(events)}")
        self.events = sorted(events, key=lambda event: (_draw("enters", seed, event), event))
        self._seed = seed
        self._one_in = repeat_one_in
        own = set(events)
        self.log: list[Told] = [told for told in log if {told.first_event, told.second_event} <= own]

    def next_question(self) -> Question | None:
        """What to ask next, or None when the order is known and nothing is to be asked again."""
        asked = self._sorted()
        if isinstance(asked, Question):
            return asked
        return repeat_due(self.log, seed=self._seed, one_in=self._one_in)

    def answer(self, choice: Choice) -> Vote:
        """Answers the next question; what was said is to be kept in the store. Raises ValueError without a question."""
        asked = self.next_question()
        if asked is None:
            raise ValueError("the ranking is finished")
        vote = Vote(asked.first, asked.second, choice)
        self.log.append(vote)
        return vote

    def undo(self) -> Told | None:
        """Takes the last answer back and returns it; None when there is none."""
        return self.log.pop() if self.log else None

    def order(self) -> list[list[int]]:
        """The events in groups of equals, the best first, ids ascending in each; empty while it is not known."""
        asked = self._sorted()
        return [] if isinstance(asked, Question) else asked

    def pairs(self, scores: Mapping[int, float] | None = None) -> list[RankedPair]:
        """The pairs that the finished order implies between neighbouring groups; each event is in one at least, where
        answers bear it out.

        The margin is the larger of the distance in ranks (1 / (groups − 1)) and the difference of the `scores` (0-100,
        by event) / 100. No pair rests on a skipped question, follows from answers that lead round in a circle, or
        chooses what was called bad.
        """
        groups = self.order()
        known = Known(self.log)
        bad = {each for told in self.log if told.choice == "both_bad" for each in (told.first_event, told.second_event)}
        told_scores = scores or {}
        found: list[RankedPair] = []
        for upper, lower in pairwise(groups):
            for at in range(max(len(upper), len(lower))):
                chosen, rejected = upper[at % len(upper)], lower[at % len(lower)]
                if chosen in bad or known.relation(chosen, rejected) != 1:
                    continue
                gain = 0.0
                if chosen in told_scores and rejected in told_scores:
                    gain = (told_scores[chosen] - told_scores[rejected]) / 100.0
                found.append(RankedPair(chosen, rejected, min(1.0, max(gain, 1.0 / (len(groups) - 1)))))
        return found

    def _sorted(self) -> list[list[int]] | Question:
        """The groups, best first, or the first question without whose answer they cannot be told."""
        known = Known(self.log)
        try:
            ascending = merge_insertion(self.events, known)
        except Open as open_question:
            return question(*open_question.pair, seed=self._seed)
        return [sorted(group) for group in reversed(ascending)]


def _draw(what: str, *numbers: int) -> int:
    """A number that depends on nothing but these."""
    text = f"{what}:{':'.join(map(str, numbers))}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
