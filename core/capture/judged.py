"""An output that came in, judged: its score, kind of feedback, quality and tier, and what a person said of it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from core.capture.incoming import Clean
from core.categories import Category
from core.errors import FinetuneError
from core.select.split import bucket, content_hash, prompt_hash
from core.validate.feedback import feedback_type_of
from core.validate.generic import is_generic
from core.validate.quality import Evidence, assess
from core.validate.registry import tells_quality, validated
from core.validate.validator import Finding, Validation, Validator
from storage.rows import NewEvent, Verdict


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said of an output; `correction` is set when `verdict` is "correct"."""

    verdict: Verdict | None
    correction: str | None
    seconds: float | None
    at: float


@dataclass(frozen=True, slots=True)
class Judged:
    """An event ready to be stored, with the validator's findings and the person's judgment."""

    event: NewEvent
    findings: tuple[Finding, ...]
    said: Said


def judged(cleaned: Clean, category: Category, validator: Validator, *, at: float) -> Judged:
    """Judges a clean output at the time `at` (seconds since the epoch). Raises FinetuneError for a contradiction."""
    incoming, texts = cleaned.incoming, cleaned.texts
    said = _said(cleaned, at)
    validation = validated(validator, texts["response"], texts["prompt"], cleaned.metadata)
    score = _score(incoming.score, validation, validator)
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
    prompt_key = prompt_hash(texts["prompt"])
    event = NewEvent(
        created_at=at,
        category=category.name,
        model=incoming.model,
        prompt=texts["prompt"],
        response=texts["response"],
        content_hash=content_hash(texts["prompt"], texts["response"]),
        prompt_hash=prompt_key,
        bucket=bucket(prompt_key),
        feedback_type=kind,
        score=score,
        valid=validation.valid,
        quality=assessment.quality,
        tier=assessment.tier,
        generic=is_generic(texts["prompt"], texts["response"]) is not None,
        confidence=incoming.confidence,
        system=texts["system"],
        context=texts["context"],
        source=incoming.source,
        group_key=incoming.group_key,
        latency_ms=incoming.latency_ms,
        findings=[{each.name: getattr(found, each.name) for each in fields(Finding)} for found in validation.findings],
        quality_parts=dict(assessment.parts),
        sanitized=dict(cleaned.counts),
        metadata=cleaned.metadata,
    )
    return Judged(event, validation.findings, said)


def _said(cleaned: Clean, at: float) -> Said:
    """A correction that changes nothing is praise; a verdict may also come as a feedback type."""
    incoming = cleaned.incoming
    correction = cleaned.texts["correction"]
    if correction.strip():
        same = content_hash("", correction) == content_hash("", cleaned.texts["response"])
        return Said("good" if same else "correct", None if same else correction, incoming.seconds, at)
    if incoming.feedback_type == "user_correction":
        raise FinetuneError(
            "The feedback says user_correction but has no correction.",
            title="The feedback was not stored",
            hint="Give the corrected text too, or leave the type out.",
        )
    by_type: dict[str | None, Verdict] = {"explicit_positive": "good", "explicit_negative": "bad"}
    return Said(incoming.verdict or by_type.get(incoming.feedback_type), None, incoming.seconds, at)


def _score(given: float | None, validation: Validation, validator: Validator) -> float | None:
    if given is not None:
        return float(given)
    return validation.score if tells_quality(validator) or not validation.valid else None
