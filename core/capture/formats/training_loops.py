"""Records of feedback loops: this program's own, and those of two that came before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.capture.formats.chats import chat_of, request_from
from core.capture.formats.export_values import as_text, details, number, parsed, seconds, shown, text
from core.capture.formats.parts import Answer, Lessons, RowError, RowFormat, Source
from core.capture.formats.training_chat import record_of, share
from core.capture.formats.training_text import required
from core.capture.incoming import OPINIONS
from core.validate.feedback import FEEDBACK_TYPES

_OWN: Final = frozenset(
    {
        "prompt", "response", "category", "model", "score", "feedback_type", "correction", "verdict", "confidence",
        "context", "system", "history", "note", "source", "group_key", "latency_ms", "metadata", "created_at",
        "sanitize", "seconds",
    }
)  # fmt: skip
_ARTIFACTS: Final = {
    "erd": "erd",
    "er_diagram": "erd",
    "mermaid_er": "erd",
    "mermaid_erd": "erd",
    "database_schema": "erd",
    "architecture": "architecture",
    "architecture_diagram": "architecture",
    "mermaid_architecture": "architecture",
    "system_overview": "architecture",
    "component_diagram": "architecture",
    "api_docs": "api_docs",
    "api_documentation": "api_docs",
    "openapi": "api_docs",
    "workflow": "workflows",
    "workflows": "workflows",
    "flowchart": "workflows",
    "mermaid_flowchart": "workflows",
    "mermaid_sequence": "workflows",
    "sequence_diagram": "workflows",
    "code": "code_prototype",
    "code_prototype": "code_prototype",
    "prototype": "code_prototype",
}
"""The kinds of artifact of the older loop, as categories of the architect preset."""


class OwnRecords(RowFormat):
    """Rows with the fields of a recorded event, as `finetune-tui record` takes them."""

    name: str = "records"
    title: str = "Recorded feedback"
    mapping: Mapping[str, str] = {
        key: "group" if key == "group_key" else key for key in sorted(_OWN - {"source", "sanitize", "seconds"})
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.97 when the rows have a prompt, a response and a field that only a record has, and no other key."""
        fitting = sum(
            isinstance(row, dict)
            and {"prompt", "response"} <= row.keys() <= _OWN
            and len(row.keys() & {"category", "model", "verdict", "correction", "score", "feedback_type"}) > 0
            for row in sample
        )
        return 0.97 * fitting / len(sample) if sample else 0.0

    def read(self, value: Any) -> Lessons:
        """The output in one row with what is said of it. Raises RowError."""
        record = record_of(value)
        if strange := [key for key in record if key not in _OWN]:
            raise RowError(f"`{strange[0]}` is no field of feedback.")
        metadata = parsed(record.get("metadata"))
        if metadata not in (None, "") and not isinstance(metadata, dict):
            raise RowError("`metadata` is no object.")
        history = parsed(record.get("history"))
        answer = Answer(
            prompt=required(record, "prompt"),
            response=required(record, "response"),
            system=text(record.get("system")),
            context=text(record.get("context")),
            history=chat_of(history).turns if history else (),
            category=text(record.get("category")),
            model=text(record.get("model")),
            score=_number(record, "score"),
            confidence=_number(record, "confidence"),
            feedback_type=_one_of(record, "feedback_type", FEEDBACK_TYPES),
            verdict=_one_of(record, "verdict", OPINIONS),
            correction=text(record.get("correction")) or None,
            note=text(record.get("note")),
            latency_ms=_number(record, "latency_ms"),
            created_at=_moment(record, "created_at"),
            group=text(record.get("group_key")),
            metadata={**(metadata or {}), **details(recorded_by=record.get("source"))},
        )
        return Lessons((answer,))


class ArtifactLoop(RowFormat):
    """Rows of the older loop for architecture artifacts."""

    name: str = "artifact_loop"
    title: str = "Artifact feedback loop"
    mapping: Mapping[str, str] = {
        "input_data": "prompt",
        "ai_output": "response",
        "artifact_type": "category, as named in the architect preset; metadata.artifact_type",
        "model_used": "model",
        "validation_score": "score",
        "feedback_type": "feedback_type",
        "corrected_output": "correction",
        "context": "context",
        "timestamp": "created_at",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.97 by its keys, which no other format has."""
        return 0.97 * share(sample, "input_data", "ai_output")

    def read(self, value: Any) -> Lessons:
        """The output in one row with what is said of it. Raises RowError."""
        record = record_of(value)
        artifact = text(record.get("artifact_type")).strip()
        kind = _one_of(record, "feedback_type", FEEDBACK_TYPES)
        correction = as_text(record.get("corrected_output")).strip() and as_text(record.get("corrected_output"))
        problems = []
        if kind == "user_correction" and not correction:
            kind = None
            problems.append("It is called a correction but holds none, so only the output was taken.")
        if not (prompt := as_text(record.get("input_data"))).strip():
            raise RowError("`input_data` is missing or empty.")
        answer = request_from(prompt).answer(
            as_text(record.get("ai_output")),
            category=_ARTIFACTS.get(artifact.lower(), ""),
            model=text(record.get("model_used")),
            score=_number(record, "validation_score"),
            feedback_type=kind,
            correction=correction or None,
            context=as_text(record.get("context")),
            created_at=_moment(record, "timestamp"),
            metadata=details(artifact_type=artifact, **_extra(record)),
        )
        return Lessons((answer,), (), tuple(problems))


class ModerationLoop(RowFormat):
    """Rows of the moderation loop: input and output with a quality."""

    name: str = "moderation_loop"
    title: str = "Moderation feedback loop"
    mapping: Mapping[str, str] = {
        "input": "prompt",
        "output": "response",
        "system": "system",
        "quality": "score: 0-1 becomes 0-100",
        "metadata": "metadata; its category, model, confidence and timestamp become those of the event",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.9 when input and output stand with a quality and metadata or a system prompt; else 0."""
        found = max(share(sample, "input", "output", "quality", key) for key in ("metadata", "system"))
        return 0.9 * found

    def read(self, value: Any) -> Lessons:
        """The output in one row. Raises RowError."""
        record = record_of(value)
        told = parsed(record.get("metadata"))
        metadata: Mapping[str, Any] = told if isinstance(told, dict) else {}
        if told not in (None, "") and not isinstance(told, dict):
            raise RowError("`metadata` is no object.")
        prompt = as_text(record.get("input"))
        if not prompt.strip():
            raise RowError("`input` is missing or empty.")
        confidence = number(metadata.get("confidence"))
        category = text(metadata.get("category")) or text(metadata.get("task"))
        quality = record.get("quality")
        tier = quality if isinstance(quality, str) and number(quality) is None else ""
        score = None if tier else _number(record, "quality")
        answer = request_from(prompt, system=text(record.get("system"))).answer(
            as_text(record.get("output")),
            category=category,
            model=text(metadata.get("model")),
            score=score * 100.0 if score is not None and 0.0 <= score <= 1.0 else score,
            confidence=confidence if confidence is not None and 0.0 <= confidence <= 1.0 else None,
            created_at=seconds(metadata.get("timestamp")),
            metadata=details(**{**metadata, **({"quality_tier": tier} if tier else {})}),
        )
        return Lessons((answer,))


_ARTIFACT_KEYS: Final = frozenset(ArtifactLoop.mapping)


def _extra(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the row holds beside the known keys."""
    return {key: each for key, each in record.items() if key not in _ARTIFACT_KEYS}


def _number(record: Mapping[str, Any], key: str) -> float | None:
    value = record.get(key)
    if value is None or value == "":
        return None
    found = number(value)
    if found is None:
        raise RowError(f"`{key}` is {shown(value)}, a number was expected.")
    return found


def _moment(record: Mapping[str, Any], key: str) -> float | None:
    value = record.get(key)
    if value is None or value == "":
        return None
    found = seconds(value)
    if found is None:
        raise RowError(f"`{key}` is {shown(value)}, a time was expected.")
    return found


def _one_of(record: Mapping[str, Any], key: str, allowed: Any) -> Any:
    value = record.get(key)
    if value is None or value == "":
        return None
    if value not in allowed:
        raise RowError(f"`{key}` is {shown(value)}; one of {', '.join(allowed)} was expected.")
    return value
