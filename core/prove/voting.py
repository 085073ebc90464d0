"""Blind votes: which two answers a person is shown, in which order, and on which side each.

Order and sides come from a seed and the place of a pair alone, never from its scores: pairs that were picked because
the candidate won or lost on them would make a chance result look like a real one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from core.prove.ab import winner
from core.prove.pooled import outcomes
from storage import ab_tests, ab_votes
from storage.ab_votes import VoteChoice
from storage.db import Store
from storage.rows import Winner

Side = Literal["left", "right"]
Ballot = Literal["left", "right", "tie", "both_good", "both_bad", "skip"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One side of a question, with what is revealed after the vote: version, and score 0-100 (None: not judged)."""

    text: str
    version: int
    score: float | None


@dataclass(frozen=True, slots=True)
class Question:
    """Two answers to one prompt. `swapped` tells whether arm b of the test stands on the left."""

    test_id: int
    position: int
    prompt: str
    left: Shown
    right: Shown
    swapped: bool

    @property
    def key(self) -> tuple[int, int]:
        """Test and position."""
        return self.test_id, self.position

    def choice(self, said: Ballot) -> VoteChoice:
        """What a vote for a side of the screen says of the arms."""
        if said == "left":
            return "b" if self.swapped else "a"
        if said == "right":
            return "a" if self.swapped else "b"
        return said

    @property
    def scored(self) -> Side | Literal["tie"] | None:
        """Which side has the higher score; None where the scores say nothing."""
        if self.left.score is None or self.right.score is None:
            return None
        said: Mapping[Winner, Side | Literal["tie"]] = {"a": "left", "b": "right", "tie": "tie"}
        return said[winner(self.left.score, self.right.score)]


@dataclass(frozen=True, slots=True)
class Sitting:
    """The questions on two versions in the order in which they are asked, and which of them were answered before."""

    tests: tuple[int, ...]
    questions: tuple[Question, ...]
    answered: frozenset[tuple[int, int]]


def sitting(store: Store, version_a: int, version_b: int) -> Sitting:
    """All questions on two versions: one for each prompt, without those whose two answers are the same.

    A vote or a skip in force answers a question. Pairs that come in later take their places among the others.
    """
    pool = outcomes(store, version_a, version_b)
    tests = {test.id: test for test in pool.tests}
    wanted = [(outcome.pair.test_id, outcome.pair.position) for outcome in pool.outcomes]
    found: list[Question] = []
    rows = {(pair.test_id, pair.position): pair for test in tests for pair in ab_tests.pairs(store, test)}
    for key in wanted:
        pair, test = rows[key], tests[key[0]]
        if pair.response_a.strip() == pair.response_b.strip():
            continue
        arm_a = Shown(pair.response_a, test.version_a, pair.score_a if pair.judged else None)
        arm_b = Shown(pair.response_b, test.version_b, pair.score_b if pair.judged else None)
        swapped = draw(test.seed, "side", key) % 2 == 1
        left, right = (arm_b, arm_a) if swapped else (arm_a, arm_b)
        found.append(Question(*key, pair.prompt, left, right, swapped))
    found.sort(key=lambda question: draw(tests[question.test_id].seed, "order", question.key))
    votes = ab_votes.in_force(store, list(tests))
    return Sitting(tuple(tests), tuple(found), frozenset((vote.test_id, vote.position) for vote in votes))


def draw(seed: int, what: str, key: Sequence[int]) -> int:
    """A 64-bit number for a pair that depends on nothing else."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{what}:{key[0]}:{key[1]}".encode(), digest_size=8).digest(), "big")
