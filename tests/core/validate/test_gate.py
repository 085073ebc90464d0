from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from core.categories import Category
from core.config import Select
from core.validate.gate import gate
from core.validate.validator import Finding, Validation
from storage.rows import EventRow

ERD = Category(name="erd", title="ER diagrams")
EVENT = EventRow(
    id=1, created_at=0.0, category="erd", model="m", prompt="Draw a shop.", response="erDiagram of a shop, in full",
    content_hash="", prompt_hash="", bucket=50, feedback_type="success", score=90.0, valid=True, quality=0.8,
    tier="silver", generic=False, confidence=None, system="", context="", source="", group_key="", latency_ms=None,
    findings=(), quality_parts={}, sanitized={}, metadata={}, verdict=None, correction=None, judged_at=None,
)  # fmt: skip
RIGHT = Validation(100.0, True)
WRONG = Validation(10.0, False, (Finding("syntax", "line 1: no diagram"),))


@dataclass(frozen=True)
class Worth:
    worth: float = 0.9


def test_what_is_good_passes() -> None:
    assert gate(EVENT, ERD, Worth(), tier="bronze") is None
    assert gate(replace(EVENT, verdict="skip"), ERD, Worth(0.3), tier="bronze") is None
    assert gate(replace(EVENT, score=None, verdict="good"), ERD, Worth(), tier="gold") is None


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"verdict": "bad"}, "rejected by a human", "marked bad by a human"),
        ({"verdict": "reject"}, "rejected by a human", "marked reject by a human"),
        ({"score": 55.0}, "low score", "score 55 ≤ 70"),
        ({"score": 70.0}, "low score", "score 70 ≤ 70"),
        ({"score": 55.0, "verdict": "good"}, "low score", "score 55 ≤ 70"),
        ({"score": None}, "no score", "neither scored nor confirmed by a human"),
        ({"response": "TODO: draw it"}, "generic", "generic: placeholder “TODO”"),
    ],
)
def test_each_reason_has_a_kind_and_figures(change: dict[str, object], kind: str, reason: str) -> None:
    held = gate(replace(EVENT, **change), ERD, Worth(), tier="gold")  # type: ignore[arg-type]
    assert held is not None
    assert (held.kind, str(held)) == (kind, reason)


def test_tier_and_reward_have_their_thresholds() -> None:
    assert str(gate(EVENT, replace(ERD, min_tier="gold"), Worth(), tier="silver")) == "tier silver below gold"
    assert str(gate(EVENT, ERD, Worth(0.29), tier="gold")) == "reward 0.29 < 0.3"
    assert gate(EVENT, ERD, Worth(0.29), tier="gold", constants=Select(min_reward=0.2)) is None


def test_a_correction_makes_up_for_the_original_but_must_be_valid() -> None:
    poor = replace(EVENT, score=5.0, response="TODO", verdict="correct", correction="x")
    assert gate(poor, ERD, Worth(), tier="gold", corrected=RIGHT) is None
    held = gate(poor, ERD, Worth(), tier="gold", corrected=WRONG)
    assert held is not None
    assert (held.kind, held.reason) == ("invalid correction", "the correction is not valid: line 1: no diagram")
