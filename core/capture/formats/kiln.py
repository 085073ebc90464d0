"""Kiln: runs of a task, with their ratings and repairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.capture.formats.chats import Request
from core.capture.formats.export_requests import is_chat, request_of, role_of
from core.capture.formats.export_rows import share
from core.capture.formats.export_values import (
    Judged,
    as_text,
    details,
    five_star,
    items,
    label,
    mapping,
    number,
    seconds,
    shown,
    star_verdict,
    text,
)
from core.capture.formats.parts import Lessons, RowError, RowFormat

_OTHERS: Final = frozenset(
    {"project", "task", "finetune", "eval", "eval_config", "eval_run", "prompt", "dataset_split"}
)


class KilnTaskRun(RowFormat):
    """One run (a *.kiln file): stars become score and verdict, pass or fail the verdict, a repair the correction."""

    name = "kiln"
    title = "Kiln task runs"
    mapping: Mapping[str, str] = {
        "input": "prompt",
        "trace": "system and history, when it is there",
        "output.output": "response",
        "output.source.properties.model_name": "model",
        "output.rating five_star": "score (v - 1) / 4 * 100; good from 4, bad to 2",
        "output.rating pass_fail": "verdict",
        "repaired_output.output": "correction",
        "repair_instructions": "note",
        "created_at": "created_at",
    }

    def matches(self, source: Any, sample: Sequence[Any]) -> float:
        """0.95 when the rows are Kiln's files."""
        return share(sample, lambda row: _kind(row) == "task_run" or ("v" in row and _kind(row) in _OTHERS))

    def read(self, value: Any) -> Lessons:
        """One run. Raises RowError."""
        entry = mapping(value)
        kind = _kind(entry)
        if kind in _OTHERS:
            raise RowError(f"It is a {kind} of Kiln, not a run of a task.")
        output = mapping(entry.get("output"))
        response = as_text(output.get("output"))
        if not response.strip():
            raise RowError("The run has no output.")
        asked = as_text(entry.get("input"))
        problems: list[str] = []
        request = _request(asked, entry.get("trace"), problems)
        verdict, score = _rating(mapping(output.get("rating")), problems)
        properties = mapping(mapping(output.get("source")).get("properties"))
        repaired = as_text(mapping(entry.get("repaired_output")).get("output"))
        thoughts = mapping(entry.get("intermediate_outputs"))
        answer = request.answer(
            response,
            model=text(properties.get("model_name")),
            score=score,
            verdict=verdict,
            correction=repaired if repaired.strip() else None,
            note=text(entry.get("repair_instructions")),
            created_at=seconds(entry.get("created_at")),
            metadata=details(
                run_id=label(entry.get("id")),
                user_id=label(entry.get("created_by")),
                provider=text(properties.get("model_provider")),
                reasoning=text(thoughts.get("reasoning")) or text(thoughts.get("chain_of_thought")),
                requirement_ratings=mapping(mapping(output.get("rating")).get("requirement_ratings")),
                tags=[tag for tag in items(entry.get("tags")) if isinstance(tag, str)],
            ),
        )
        return Lessons((answer,), (), tuple(problems))


def _kind(entry: Mapping[str, Any]) -> str:
    told = text(entry.get("model_type"))
    shape = isinstance(entry.get("output"), Mapping) and {"output", "source"} <= mapping(entry.get("output")).keys()
    return told or ("task_run" if shape and "input" in entry else "")


def _request(asked: str, trace: Any, problems: list[str]) -> Request:
    """The input; a trace of the run adds the system prompt, and what was said before when the input is a later turn."""
    if is_chat(trace):
        before = trace[:-1] if role_of(trace[-1]) == "assistant" else trace
        try:
            traced = request_of(before).request
        except RowError:
            traced = None
        if traced is not None and (not asked.strip() or traced.prompt == asked):
            return traced
        if traced is not None:
            problems.append("The trace of the run asks something else than the input; its system prompt was taken.")
            return Request(asked, traced.system, ())
    if not asked.strip():
        raise RowError("The run has no input.")
    return Request(asked, "", ())


def _rating(rating: Mapping[str, Any], problems: list[str]) -> tuple[Judged | None, float | None]:
    kind, value = text(rating.get("type")), number(rating.get("value"))
    if not rating or rating.get("value") is None:
        return None, None
    if kind == "five_star" and value is not None and 1 <= value <= 5:
        return star_verdict(value), five_star(value)
    if kind in ("pass_fail", "pass_fail_critical") and value in (1.0, 0.0, -1.0):
        return ("good" if value == 1.0 else "bad"), None
    problems.append(f"The rating {shown(rating.get('value'))} of type {shown(rating.get('type'))} was left out.")
    return None, None
