from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.categories import DEFAULT_WEIGHTS
from core.validate.feedback import feedback_type_of
from core.validate.quality import TIERS, Evidence, assess, tier_of

ARCHITECT = {
    "score": 0.60, "outcome": 0.15, "human": 0.20, "rag": 0.10, "precedents": 0.05, "edge_case": 0.10,
    "common_pattern": 0.05,
}  # fmt: skip
PLAIN = Evidence(
    response="erDiagram", score=90.0, feedback_type="success", verdict=None, confidence=None, context="", metadata={}
)


@pytest.mark.parametrize(
    ("quality", "tier"),
    [
        (1.0, "gold"),
        (0.9001, "gold"),
        (0.9, "silver"),
        (0.7501, "silver"),
        (0.75, "bronze"),
        (0.6, "rejected"),
        (0, "rejected"),
    ],
)
def test_a_threshold_belongs_to_the_tier_below(quality: float, tier: str) -> None:
    assert tier_of(quality) == tier


@pytest.mark.parametrize(
    ("change", "quality", "tier"),
    [
        ({}, 0.69, "bronze"),
        ({"score": 100.0}, 0.75, "bronze"),
        ({"score": 75.0}, 0.60, "rejected"),
        ({"score": 100.0, "metadata": {"edge_case": True}}, 0.85, "silver"),
        ({"score": 95.0, "verdict": "good"}, 0.92, "gold"),
        ({"score": None, "verdict": "good"}, 0.95, "gold"),
        ({"score": None, "feedback_type": "neutral"}, 0.0, "rejected"),
        ({"score": 75.0, "feedback_type": "neutral"}, 0.45, "rejected"),
        ({"score": 100.0, "verdict": "good", "metadata": {"rag": True, "precedents": 3}}, 1.0, "gold"),
        ({"score": 0.0, "verdict": "correct"}, 0.35, "gold"),
        ({"score": 20.0, "metadata": {"retrieved": ["x"], "precedents": ["a", "b"]}}, 0.42, "gold"),
        ({"score": 20.0, "metadata": {"retrieved": ["x"], "precedents": ["a"]}}, 0.37, "rejected"),
    ],
)
def test_architect_weights_by_hand(change: dict[str, object], quality: float, tier: str) -> None:
    found = assess(replace(PLAIN, **change), ARCHITECT)  # type: ignore[arg-type]
    assert (found.quality, found.tier) == (pytest.approx(quality), tier)
    assert math.fsum(found.parts.values()) >= found.quality - 1e-9


def test_default_weights_by_hand() -> None:
    text = "It is a scam because the sender asks for money. Therefore it must be removed; step 1 is to warn. " * 3
    found = assess(replace(PLAIN, response=text, confidence=0.8, context="history"), DEFAULT_WEIGHTS)
    assert found.parts == pytest.approx({"confidence": 0.28, "reasoning": 0.15, "outcome": 0.15, "context": 0.10})
    assert found.quality == pytest.approx(0.68)


def test_confidence_falls_back_in_order() -> None:
    def confidence(**change: object) -> float:
        return assess(replace(PLAIN, **change), DEFAULT_WEIGHTS).confidence  # type: ignore[arg-type]

    assert confidence(confidence=0.4, metadata={"mean_logprob": -0.1}) == 0.4
    assert confidence(metadata={"mean_logprob": math.log(0.7)}) == pytest.approx(0.7)
    assert confidence() == 0.9
    assert confidence(score=None, verdict="good") == 1.0
    assert confidence(score=None) == 0.0


@given(
    st.none() | st.floats(0, 100),
    st.sampled_from([None, "good", "bad", "correct", "reject", "skip"]),
    st.none() | st.floats(0, 1),
    st.dictionaries(
        st.sampled_from(["rag", "precedents", "edge_case", "common_pattern", "mean_logprob", "reasoning"]),
        st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.lists(st.integers(), max_size=3),
    ),
)
def test_any_evidence_has_a_quality_and_a_better_score_never_lowers_it(
    score: float | None, verdict: str | None, confidence: float | None, metadata: dict[str, object]
) -> None:
    evidence = replace(PLAIN, score=score, verdict=verdict, confidence=confidence, metadata=metadata)  # type: ignore[arg-type]
    for weights in (ARCHITECT, DEFAULT_WEIGHTS):
        found = assess(evidence, weights)
        assert 0.0 <= found.quality <= 1.0
        assert found.tier in TIERS
        assert set(found.parts) <= set(weights)
        if score is not None:
            better = assess(replace(evidence, score=min(100.0, score + 10.0)), weights)
            assert better.quality >= found.quality


def test_feedback_types() -> None:
    assert [feedback_type_of(score, None) for score in (80.0, 79.9, 60.0, 59.9, None)] == [
        "success", "neutral", "neutral", "validation_failure", "neutral",
    ]  # fmt: skip
    assert feedback_type_of(99.0, "reject") == "explicit_negative"
    assert feedback_type_of(99.0, "skip") == "success"
