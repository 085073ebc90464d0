"""Which events may teach: the gate before training, and the reason for each one that it holds back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core.categories import Category
from core.config import Select
from core.validate.generic import is_generic
from core.validate.quality import TIERS
from core.validate.validator import Validation
from storage.rows import EventRow, Tier


class Worth(Protocol):
    """A reward, as far as the gate looks at it."""

    @property
    def worth(self) -> float:
        """The lesson's own worth, −1 to 1, without age and balance."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """Why an event is held back: `kind` is one of a few that are counted, `reason` has the figures."""

    kind: str
    reason: str

    def __str__(self) -> str:
        return self.reason


_DEFAULTS = Select()
_PLAIN_ROLES = frozenset({"user", "assistant"})


def gate(
    event: EventRow,
    category: Category,
    reward: Worth,
    *,
    tier: Tier,
    corrected: Validation | None = None,
    common: Sequence[str] = (),
    constants: Select = _DEFAULTS,
) -> Held | None:
    """Why `event` may not be trained on, or None.

    `corrected` is the validation of its correction, if it has one: then the correction is the lesson, the score of the
    original does not count, and what a person wrote is not searched for generic content. `reward` is that of the
    lesson. Its worth is asked for without age and balance: balance is the same for a whole category, and age alone
    would shut out every label after a month; both still weigh and rank what passes.
    """
    if any(turn.get("role") not in _PLAIN_ROLES or "tool_calls" in turn for turn in event.history):
        return Held("tools", "its chat uses tools, which no recipe can train on yet")
    if event.verdict in ("bad", "reject"):
        return Held("rejected by a human", f"marked {event.verdict} by a human")
    if corrected is not None:
        if not corrected.valid:
            finding = corrected.findings[0].message if corrected.findings else "refused by the validator"
            return Held("invalid correction", f"the correction is not valid: {finding}")
    elif held := _uncorrected(event, constants, common):
        return held
    if TIERS.index(tier) < TIERS.index(category.min_tier):
        return Held("low tier", f"tier {tier} below {category.min_tier}")
    if reward.worth < constants.min_reward:
        return Held("low reward", f"reward {reward.worth:.2f} < {constants.min_reward:g}")
    return None


def _uncorrected(event: EventRow, constants: Select, common: Sequence[str]) -> Held | None:
    if event.score is None and event.verdict != "good":
        return Held("no score", "neither scored nor confirmed by a human")
    if event.score is not None and event.score <= constants.min_score:
        return Held("low score", f"score {event.score:.0f} ≤ {constants.min_score:g}")
    if why := is_generic(event.prompt, event.response, common):
        return Held("generic", f"generic: {why}")
    return None
