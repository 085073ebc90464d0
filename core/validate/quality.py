"""How trustworthy an event is as training data, and why.

quality = min(1, Σ weight × part), every part in 0-1, the weights those of the category;
gold > 0.90, silver > 0.75, bronze > 0.60, else rejected. A human correction is gold always, and so is an answer from
retrieved context with at least two precedents.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from core.categories import Category
from core.validate.feedback import current_feedback_type
from storage.rows import EventRow, FeedbackType, Tier, Verdict

TIERS: Final[tuple[Tier, ...]] = ("rejected", "bronze", "silver", "gold")
_ABOVE: Final[tuple[tuple[float, Tier], ...]] = ((0.90, "gold"), (0.75, "silver"), (0.60, "bronze"))
_PRECEDENTS = 2
_REASONING_CHARS = 200
_REASONING = re.compile(r"\b(?:because|therefore|since|hence|thus|so that|due to|as a result|first|step 1)\b", re.I)


class Assessment(NamedTuple):
    """`quality` and `confidence` are 0-1; `parts` maps each part that counted to its share of the quality."""

    quality: float
    tier: Tier
    parts: Mapping[str, float]
    confidence: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an event when its quality is asked for. `metadata` may hold `mean_logprob`, `rag` or
    `retrieved`, `precedents` (a list or a number), `reasoning`, `edge_case` and `common_pattern`."""

    response: str
    score: float | None
    feedback_type: FeedbackType
    verdict: Verdict | None
    confidence: float | None
    context: str
    metadata: Mapping[str, Any]


def assess(evidence: Evidence, weights: Mapping[str, float]) -> Assessment:
    """Quality, tier, parts and confidence of an event."""
    signals = _signals(evidence)
    shares = {part: weight * signals[part] for part, weight in weights.items() if weight * signals[part] > 0.0}
    # Rounded, so that 0.60 × 0.75 + 0.15 is 0.6 and not a hair above a threshold.
    quality = round(min(1.0, math.fsum(shares.values())), 9)
    proven = bool(signals["rag"]) and _precedents(evidence.metadata) >= _PRECEDENTS
    tier = "gold" if evidence.verdict == "correct" or proven else tier_of(quality)
    return Assessment(quality, tier, shares, signals["confidence"])


def assess_event(event: EventRow, category: Category) -> Assessment:
    """The assessment of a stored event as of now, with the human verdict that is in force."""
    evidence = Evidence(
        response=event.response,
        score=event.score,
        feedback_type=current_feedback_type(event),
        verdict=event.verdict,
        confidence=event.confidence,
        context=event.context,
        metadata=event.metadata,
    )
    return assess(evidence, category.quality_weights)


def tier_of(quality: float) -> Tier:
    """The tier of a quality 0-1; each threshold itself belongs to the tier below it."""
    return next((tier for above, tier in _ABOVE if quality > above), "rejected")


def _signals(evidence: Evidence) -> dict[str, float]:
    metadata = evidence.metadata
    human = evidence.verdict in ("good", "correct")
    unknown = 1.0 if human else 0.0
    known_score = unknown if evidence.score is None else evidence.score / 100.0
    return {
        "confidence": _confidence(evidence, known_score),
        "score": known_score,
        "reasoning": float(bool(metadata.get("reasoning")) or _reasons(evidence.response)),
        "outcome": float(evidence.feedback_type != "neutral"),
        "human": float(human),
        "rag": float(bool(metadata.get("rag") or metadata.get("retrieved"))),
        "precedents": float(_precedents(metadata) >= _PRECEDENTS),
        "context": float(bool(evidence.context.strip())),
        "edge_case": float(bool(metadata.get("edge_case"))),
        "common_pattern": float(bool(metadata.get("common_pattern"))),
    }


def _confidence(evidence: Evidence, known_score: float) -> float:
    """The event's own, else the mean token probability, else score / 100, else 1 when a human confirmed it."""
    if evidence.confidence is not None:
        return min(1.0, max(0.0, evidence.confidence))
    logprob = evidence.metadata.get("mean_logprob")
    if isinstance(logprob, int | float) and logprob <= 0.0:
        return math.exp(logprob)
    return known_score


def _precedents(metadata: Mapping[str, Any]) -> int:
    found = metadata.get("precedents")
    if isinstance(found, list | tuple):
        return len(found)
    return int(found) if isinstance(found, int) else 0


def _reasons(response: str) -> bool:
    return len(response) >= _REASONING_CHARS and len(_REASONING.findall(response[:20_000])) >= 2
