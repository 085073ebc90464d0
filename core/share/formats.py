"""The formats that an export can have: for each, what it holds and how one example is written.

The keys are those that the named tools read: TRL, OpenAI's fine-tuning, LLaMA-Factory, axolotl, Argilla, Label Studio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from core.share.choose import Example, Kind

Shape = Literal["jsonl", "json", "csv"]
Row = dict[str, Any]
_SHAREGPT: Final = {"user": "human", "assistant": "gpt", "tool": "observation", "system": "system"}


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """`name` is what the user types; `kind` what it holds; `row` writes one example, or says why it cannot."""

    name: str
    title: str
    kind: Kind
    shape: Shape
    row: Callable[[Example], Row | str]


def _asked(one: Example) -> list[Row]:
    system = [{"role": "system", "content": one.system}] if one.system else []
    return [*system, *(dict(turn) for turn in one.history), {"role": "user", "content": one.prompt}]


def _answer(text: str) -> Row:
    return {"role": "assistant", "content": text}


def _trl_sft(one: Example) -> Row:
    return {"messages": [*_asked(one), _answer(one.target)]}


def _trl_preference(one: Example) -> Row:
    return {"prompt": _asked(one), "chosen": [_answer(one.target)], "rejected": [_answer(one.rejected)]}


def _trl_kto(one: Example) -> Row:
    return {"prompt": _asked(one), "completion": [_answer(one.target)], "label": bool(one.label)}


def _openai_preference(one: Example) -> Row:
    return {
        "input": {"messages": _asked(one), "tools": [], "parallel_tool_calls": True},
        "preferred_output": [_answer(one.target)],
        "non_preferred_output": [_answer(one.rejected)],
    }


def _turns(one: Example) -> list[Row]:
    asked = [turn for turn in _asked(one) if turn["role"] != "system"]
    return [{"from": _SHAREGPT.get(turn["role"], turn["role"]), "value": turn["content"]} for turn in asked]


def _sharegpt(one: Example) -> Row:
    return {"conversations": [*_turns(one), {"from": "gpt", "value": one.target}], "system": one.system}


def _alpaca(one: Example) -> Row | str:
    history = _exchanges(one)
    if history is None:
        return "a chat that is not question and answer in turn"
    row: Row = {"instruction": one.prompt, "input": "", "output": one.target, "system": one.system}
    return {**row, "history": history}


def _exchanges(one: Example) -> list[list[str]] | None:
    """The earlier turns as [question, answer], or None where they do not alternate."""
    roles = [turn["role"] for turn in one.history]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        return None
    texts = [turn["content"] for turn in one.history]
    return [[texts[at], texts[at + 1]] for at in range(0, len(texts), 2)]


def _llama_factory_preference(one: Example) -> Row:
    sides = {"chosen": {"from": "gpt", "value": one.target}, "rejected": {"from": "gpt", "value": one.rejected}}
    return {"conversations": _turns(one), "system": one.system, **sides}


def _llama_factory_kto(one: Example) -> Row:
    return {**_sharegpt(one), "kto_tag": bool(one.label)}


def _axolotl_preference(one: Example) -> Row:
    return {"messages": _asked(one), "chosen": _answer(one.target), "rejected": _answer(one.rejected)}


def _argilla(one: Example) -> Row:
    """A record to review: the fields, what is known as metadata, and a verdict already given as a suggestion."""
    event = one.event
    assert event is not None
    suggestions = {}
    if event.verdict in ("good", "bad"):
        suggestions["verdict"] = {"value": event.verdict, "agent": "finetune-tui"}
    if event.correction is not None:
        suggestions["correction"] = {"value": event.correction, "agent": "finetune-tui"}
    return {
        "id": str(event.id),
        "fields": {"prompt": event.prompt, "response": event.response},
        "metadata": _known(one),
        "suggestions": suggestions,
        "responses": {},
        "vectors": {},
    }


def _label_studio(one: Example) -> Row:
    """A task; what a person corrected stands as a prediction, so that a second one starts from it."""
    event = one.event
    assert event is not None
    task: Row = {"id": event.id, "data": {"prompt": event.prompt, "response": event.response, **_known(one)}}
    if event.correction is not None:
        result = {"from_name": "correction", "to_name": "response", "type": "textarea"}
        task["predictions"] = [
            {"model_version": "finetune-tui", "result": [{**result, "value": {"text": [event.correction]}}]}
        ]
    return task


def _known(one: Example) -> Row:
    event = one.event
    assert event is not None
    known: Row = {"category": event.category, "model": event.model, "tier": event.tier, "quality": event.quality}
    return known | ({} if event.score is None else {"score": event.score})


RECORD_KEYS: Final = (
    "prompt", "response", "category", "model", "score", "feedback_type", "correction", "verdict", "confidence",
    "context", "system", "group_key", "latency_ms", "metadata", "created_at", "history",
)  # fmt: skip


def _record(one: Example) -> Row:
    """The arguments of `Recorder.record`, so that importing it again gives the same event."""
    event = one.event
    assert event is not None
    row: Row = {key: getattr(event, key) for key in RECORD_KEYS}
    row["verdict"] = event.verdict if event.verdict in ("good", "bad") else None
    return {key: value for key, value in row.items() if value not in (None, "", {}, [])}


def _csv(one: Example) -> Row:
    event = one.event
    assert event is not None
    keys = ("id", "created_at", "category", "model", "system", "prompt", "response", "correction", "verdict", "score")
    row: Row = {key: getattr(event, key) for key in keys}
    return {key: "" if value is None else value for key, value in row.items()} | {
        "tier": event.tier,
        "quality": event.quality,
        "confidence": "" if event.confidence is None else event.confidence,
        "context": event.context,
    }


_ALL: Final = (
    ExportFormat("trl-sft", "TRL SFT: messages", "lessons", "jsonl", _trl_sft),
    ExportFormat("trl-preference", "TRL DPO: prompt, chosen, rejected", "pairs", "jsonl", _trl_preference),
    ExportFormat("trl-kto", "TRL KTO: prompt, completion, label", "outcomes", "jsonl", _trl_kto),
    ExportFormat("openai", "OpenAI chat fine-tuning", "lessons", "jsonl", _trl_sft),
    ExportFormat("openai-preference", "OpenAI preference fine-tuning", "pairs", "jsonl", _openai_preference),
    ExportFormat("sharegpt", "ShareGPT conversations", "lessons", "json", _sharegpt),
    ExportFormat("alpaca", "Alpaca instructions", "lessons", "json", _alpaca),
    ExportFormat("llama-factory", "LLaMA-Factory folder, SFT", "lessons", "json", _sharegpt),
    ExportFormat("llama-factory-dpo", "LLaMA-Factory folder, DPO", "pairs", "json", _llama_factory_preference),
    ExportFormat("llama-factory-kto", "LLaMA-Factory folder, KTO", "outcomes", "json", _llama_factory_kto),
    ExportFormat("axolotl", "axolotl folder, chat_template", "lessons", "jsonl", _trl_sft),
    ExportFormat("axolotl-dpo", "axolotl folder, chat_template.default", "pairs", "jsonl", _axolotl_preference),
    ExportFormat("argilla", "Argilla records to review", "events", "json", _argilla),
    ExportFormat("label-studio", "Label Studio tasks to review", "events", "json", _label_studio),
    ExportFormat("csv", "a table of events", "events", "csv", _csv),
    ExportFormat("record", "events as `finetune-tui record` takes them", "events", "jsonl", _record),
)
FORMATS: Final[Mapping[str, ExportFormat]] = {each.name: each for each in _ALL}
