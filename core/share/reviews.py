"""How one event is written for people and tools that look at events: review tools, tables, and this program itself."""

from __future__ import annotations

from typing import Any, Final

from core.capture.incoming import OPINIONS
from core.share.choose import Example
from core.validate.feedback import current_feedback_type
from storage.rows import EventRow

Row = dict[str, Any]
RECORD_KEYS: Final = (
    "prompt", "response", "category", "model", "score", "correction", "confidence", "context", "system", "group_key",
    "latency_ms", "metadata", "created_at", "history",
)  # fmt: skip
_AGENT: Final = "finetune-tui"


def argilla(one: Example) -> Row:
    """A record to review: the fields, what is known as metadata, and what a person said already as suggestions."""
    event = _event(one)
    said = {"verdict": event.verdict if event.verdict in ("good", "bad") else None, "correction": event.correction}
    return {
        "id": str(event.id),
        "fields": {"prompt": event.prompt, "response": event.response, **_before(event)},
        "metadata": _known(event),
        "suggestions": {name: {"value": value, "agent": _AGENT} for name, value in said.items() if value is not None},
        "responses": {},
        "vectors": {},
    }


def label_studio(one: Example) -> Row:
    """A task; what a person said already stands as a prediction, so that a second one starts from it."""
    event = _event(one)
    results: list[Row] = []
    if event.verdict in ("good", "bad"):
        results.append(_result("verdict", "choices", {"choices": [event.verdict]}))
    if event.correction is not None:
        results.append(_result("correction", "textarea", {"text": [event.correction]}))
    data = {"prompt": event.prompt, "response": event.response, **_before(event), **_known(event)}
    task: Row = {"id": event.id, "data": data}
    return {**task, "predictions": [{"model_version": _AGENT, "result": results}]} if results else task


def _result(name: str, kind: str, value: Row) -> Row:
    return {"from_name": name, "to_name": "response", "type": kind, "value": value}


def _before(event: EventRow) -> Row:
    """What stood before the prompt, as text: who reviews an answer has to see it."""
    history = "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in event.history)
    return {key: text for key, text in (("system", event.system), ("history", history)) if text}


def _known(event: EventRow) -> Row:
    known: Row = {"category": event.category, "model": event.model, "tier": event.tier, "quality": event.quality}
    return known | ({} if event.score is None else {"score": event.score})


def record(one: Example) -> Row:
    """The arguments of `Recorder.record`, so that importing it again gives the same event."""
    event = _event(one)
    row: Row = {key: getattr(event, key) for key in RECORD_KEYS}
    row["verdict"] = event.verdict if event.verdict in OPINIONS else None
    row["feedback_type"] = current_feedback_type(event) if event.verdict in (None, "skip") else None
    if one.said is not None:
        row |= {"note": one.said.note, "seconds": one.said.seconds}
    return {key: value for key, value in row.items() if value not in (None, "", {}, [])}


def table(one: Example) -> Row:
    """A line of a table; what is not known is an empty cell."""
    event = _event(one)
    keys = (
        "id", "created_at", "category", "model", "system", "prompt", "response", "correction", "verdict", "score",
        "tier", "quality", "confidence", "context", "source",
    )  # fmt: skip
    row: Row = {key: getattr(event, key) for key in keys}
    note = "" if one.said is None else one.said.note
    return {key: "" if value is None else value for key, value in row.items()} | {"note": note}


def _event(one: Example) -> EventRow:
    assert one.event is not None, "a preference is no event"
    return one.event
