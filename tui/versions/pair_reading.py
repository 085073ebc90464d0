"""What is known of one pair of an A/B test beside its two answers: who has won by what, and what a validator finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from core.categories import load_categories
from core.paths import Home
from storage import events
from storage.ab_votes import AbVoteRow
from storage.db import open_store
from storage.rows import AbPairRow, Winner

_WITHOUT_A_LOOK: Final = frozenset({"judge", "command"})
"""Validators that ask a model or run a program: too much for a look at a pair."""
_SAID: Final[Mapping[str, Winner]] = {"a": "a", "b": "b", "tie": "tie", "both_good": "tie", "both_bad": "tie"}


@dataclass(frozen=True, slots=True)
class Decision:
    """Who has won a pair: by the newest vote that is no skip, else by the scores, else nobody has said it.

    `scored` and `voted` are None where the scores stand in for what nothing can judge, and where nobody voted.
    """

    scored: Winner | None
    voted: Winner | None
    vote: AbVoteRow | None

    @property
    def winner(self) -> Winner | None:
        """Who won: a person's word before the scores."""
        return self.voted or self.scored

    @property
    def by(self) -> Literal["vote", "score"] | None:
        """What decides."""
        return "vote" if self.voted else "score" if self.scored else None


def decision(pair: AbPairRow, votes: Sequence[AbVoteRow] = ()) -> Decision:
    """The outcome of a pair with its votes in force, oldest first."""
    vote = next((each for each in reversed(votes) if each.choice in _SAID), None)
    return Decision(pair.winner if pair.judged else None, _SAID[vote.choice] if vote is not None else None, vote)


@dataclass(frozen=True, slots=True)
class PairFindings:
    """What the validator of the category finds in both answers today, as the findings of an event are stored; None
    where it does not say. `why` tells why it says nothing."""

    baseline: Sequence[Mapping[str, Any]] | None = None
    candidate: Sequence[Mapping[str, Any]] | None = None
    why: str = ""


def read_findings(home: Home, category_name: str, pair: AbPairRow) -> PairFindings:
    """Look at both answers with the validator of the category. Raises FinetuneError."""
    from core.validate.registry import BUILT_IN, validated, validator_for

    category = load_categories(home).get(category_name)
    if category is None:
        return PairFindings(why="the category is gone")
    if category.validator in _WITHOUT_A_LOOK or category.validator not in BUILT_IN:
        return PairFindings(why=f"the validator {category.validator} is not asked for a look")
    with open_store(home.store) as store:
        known = events.get_many(store, [pair.event_id]) if pair.event_id is not None else []
    metadata = known[0].metadata if known else {}
    validator = validator_for(category)
    found = [validated(validator, text, pair.prompt, metadata) for text in (pair.response_a, pair.response_b)]
    baseline, candidate = (
        [
            {"kind": each.kind, "message": each.message, "line": each.line, "severity": each.severity}
            for each in one.findings
        ]
        for one in found
    )
    return PairFindings(baseline, candidate)
