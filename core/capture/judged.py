"""An output that came in, judged: its score, kind of feedback, quality and tier, and what a person said of it.

Nothing here reads or writes the store: the same output gives the same result in any process, alone or among many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from core.capture.incoming import Clean
from core.categories import Category
from core.errors import FinetuneError
from core.select.alike.near import near_keys
from core.select.alike.similarity import is_typo, similarity
from core.select.split import bucket, content_hash, prompt_hash
from core.validate.feedback import feedback_type_of
from core.validate.generic import is_generic
from core.validate.quality import Evidence, assess
from core.validate.registry import validated
from core.validate.validator import Finding, Validation, Validator
from storage.rows import NewEvent, Verdict

_FINDING: Final = tuple(each.name for each in fields(Finding))


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said of an output; `correction` is set when `verdict` is "correct", with its validation.

    `margin` is that of the preference pair which the correction makes, None when it makes none.
    """

    verdict: Verdict | None
    correction: str | None
    note: str
    seconds: float | None
    at: float
    validation: Validation | None = None
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """An event ready to be stored, with all findings, the person's judgment and its near-duplicate keys."""

    event: NewEvent
    findings: tuple[Finding, ...]
    said: Said
    keys: tuple[int, ...]


def judged(cleaned: Clean, category: Category, validator: Validator, *, at: float) -> Judged:
    """Judges a clean output at the time `at` (seconds since the epoch). Raises FinetuneError for a contradiction."""
    incoming, texts = cleaned.incoming, cleaned.texts
    validation = validated(validator, texts["response"], texts["prompt"], cleaned.metadata)
    score = score_of(incoming.score, validation)
    said = _said(cleaned, score, validator, at)
    kind = feedback_type_of(score, said.verdict)
    if said.verdict is None and incoming.feedback_type is not None:
        kind = incoming.feedback_type
    evidence = Evidence(
        response=texts["response"],
        score=score,
        feedback_type=kind,
        verdict=said.verdict,
        confidence=incoming.confidence,
        context=texts["context"],
        metadata=cleaned.metadata,
    )
    assessment = assess(evidence, category.quality_weights)
    generic = is_generic(texts["prompt"], texts["response"])
    findings = validation.findings
    if generic is not None:
        findings = (*findings, Finding("generic", f"generic content: {generic}", severity="warning"))
    asked = asked_with(cleaned.history, texts["prompt"])
    prompt_key = prompt_hash(asked)
    opening_key = prompt_hash(_opening(cleaned.history, texts["prompt"])) if cleaned.history else prompt_key
    event = NewEvent(
        created_at=at,
        category=category.name,
        model=incoming.model,
        prompt=texts["prompt"],
        response=texts["response"],
        content_hash=content_hash(asked, texts["response"]),
        prompt_hash=prompt_key,
        bucket=bucket(opening_key),
        feedback_type=kind,
        score=score,
        valid=validation.valid,
        quality=assessment.quality,
        tier=assessment.tier,
        generic=generic is not None,
        confidence=incoming.confidence,
        system=texts["system"],
        context=texts["context"],
        source=incoming.source,
        group_key=incoming.group_key,
        latency_ms=incoming.latency_ms,
        findings=as_stored(findings),
        quality_parts=dict(assessment.parts),
        sanitized=dict(cleaned.counts),
        metadata=cleaned.metadata,
        history=cleaned.history,
        verdict=said.verdict,
        correction=said.correction,
        judged_at=None if said.verdict is None else at,
    )
    return Judged(event, findings, said, near_keys(category.name, asked, texts["response"]))


def as_stored(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as an event keeps them."""
    return [{name: getattr(found, name) for name in _FINDING} for found in findings]


def score_of(given: float | None, validation: Validation) -> float | None:
    """The score that was given, else the validator's, where it could tell a good answer from a bad one; 0-100."""
    if given is not None:
        return float(given)
    return validation.score if validation.judged else None


def correction_margin(score: float | None, response: str, correction: str, validation: Validation) -> float | None:
    """How much better a correction is than the original, 0-1: the score difference / 100, or how far the texts differ
    where the score tells nothing. None when only a typo was mended: that is no preference."""
    gain = 0.0
    if score is not None and validation.judged:
        gain = (validation.score - score) / 100.0
    if gain > 0.0:
        return min(1.0, gain)
    alike = similarity(response, correction)
    return None if is_typo(alike) else min(1.0, max(0.0, 1.0 - alike.value))


def _opening(history: Any, prompt: str) -> str:
    """What the chat began with: all turns of one chat stand on one side of the split."""
    return next((turn["content"] for turn in history if turn["role"] == "user"), prompt)


def asked_with(history: Any, prompt: str) -> str:
    """The prompt with the turns before it: the same "go on" in another chat is another question."""
    if not history:
        return prompt
    return "\n".join([*(f"{turn['role']}: {turn['content']}" for turn in history), prompt])


def _said(cleaned: Clean, score: float | None, validator: Validator, at: float) -> Said:
    """A correction that changes nothing is praise; a verdict may also come as a feedback type."""
    incoming, texts = cleaned.incoming, cleaned.texts
    note, correction = texts["note"], texts["correction"]
    if correction.strip():
        if content_hash("", correction) == content_hash("", texts["response"]):
            return Said("good", None, note, incoming.seconds, at)
        validation = validated(validator, correction, texts["prompt"], cleaned.metadata)
        margin = correction_margin(score, texts["response"], correction, validation)
        return Said("correct", correction, note, incoming.seconds, at, validation, margin)
    if incoming.feedback_type == "user_correction":
        raise FinetuneError(
            "The feedback says user_correction but has no correction.",
            title="The feedback was not stored",
            hint="Give the corrected text too, or leave the type out.",
        )
    by_type: Mapping[str | None, Verdict] = {"explicit_positive": "good", "explicit_negative": "bad"}
    return Said(incoming.verdict or by_type.get(incoming.feedback_type), None, note, incoming.seconds, at)
