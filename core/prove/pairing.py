"""Answers of two versions in production, put together at random so that neither has an advantage but its own."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from core.prove.ab import winner
from storage.production import ServedAnswer

COMPARABLE: float = 0.25
"""Where the shares of answers that people have judged differ by more, verdicts are compared with verdicts alone."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How often the new answer is better, worse and as good; pairs that nothing can compare count nowhere."""

    wins: int = 0
    losses: int = 0
    ties: int = 0

    @property
    def pairs(self) -> int:
        """Pairs that could be compared."""
        return self.wins + self.losses + self.ties


def paired(
    new: Sequence[ServedAnswer], old: Sequence[ServedAnswer], *, seed: str
) -> list[tuple[ServedAnswer, ServedAnswer]]:
    """Each new answer in order of time with an old one of its own, until the old ones are used up.

    Both sides have places on a circle by a hash of `seed` and their key; a new answer takes the next old one that is
    free. What any of them is worth has no part in it, so that with exchangeable answers each pair is fair. An answer
    that comes late, or is removed, changes few pairs beside its own: what was found at the looks before stands.
    """
    slots = sorted(old, key=lambda answer: (_place(seed, answer), answer.key))
    places = [_place(seed, answer) for answer in slots]
    following = list(range(len(slots) + 1))

    def free(slot: int) -> int:
        while following[slot] != slot:
            following[slot] = following[following[slot]]
            slot = following[slot]
        return slot

    pairs: list[tuple[ServedAnswer, ServedAnswer]] = []
    for answer in sorted(new, key=lambda one: (one.at, one.key))[: len(slots)]:
        slot = free(bisect_left(places, _place(seed, answer)))
        if slot == len(slots):  # round the circle
            slot = free(0)
        following[slot] = slot + 1
        pairs.append((answer, slots[slot]))
    return pairs


def _place(seed: str, answer: ServedAnswer) -> int:
    return int.from_bytes(blake2b(f"{seed}:{answer.key}".encode(), digest_size=8).digest(), "big")


def is_judged(answer: ServedAnswer) -> bool:
    """Whether a person has said what the answer is worth."""
    return answer.verdict not in (None, "skip")


def worth(answer: ServedAnswer) -> float | None:
    """0-100: a person's verdict outranks the score; one that had to be corrected was not good."""
    if is_judged(answer):
        return 100.0 if answer.verdict == "good" else 0.0
    return answer.score


def tally(
    pairs: Sequence[tuple[ServedAnswer, ServedAnswer]], new: Sequence[ServedAnswer], old: Sequence[ServedAnswer]
) -> Tally:
    """Who wins how many pairs.

    A verdict outranks a score where people have judged about as large a share of both sides. Else, as when only the
    newest answers were reviewed, a verdict is compared with a verdict and a score with a score.
    """
    alike = abs(_judged_share(new) - _judged_share(old)) <= COMPARABLE
    compare = _outranked if alike else _like_with_like
    found = [compare(one, other) for one, other in pairs]
    return Tally(found.count("b"), found.count("a"), found.count("tie"))


def _judged_share(answers: Sequence[ServedAnswer]) -> float:
    return sum(map(is_judged, answers)) / len(answers) if answers else 0.0


def _outranked(new: ServedAnswer, old: ServedAnswer) -> str | None:
    return _winner(new, old, worth)


def _like_with_like(new: ServedAnswer, old: ServedAnswer) -> str | None:
    return _winner(new, old, worth if is_judged(new) and is_judged(old) else lambda answer: answer.score)


def _winner(new: ServedAnswer, old: ServedAnswer, of: Callable[[ServedAnswer], float | None]) -> str | None:
    a, b = of(old), of(new)
    return None if a is None or b is None else winner(a, b)
