"""The formats that an export can have: for each, what it holds and how one example is written.

The keys are those that the named tools read: TRL, OpenAI's fine-tuning, LLaMA-Factory, axolotl, Argilla, Label Studio.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from core.share.choose import Example, Kind
from core.share.reviews import argilla, label_studio, record, table

Shape = Literal["jsonl", "json", "csv", "spreadsheet", "sqlite"]
Row = dict[str, Any]
_SHAREGPT: Final = {"user": "human", "assistant": "gpt", "tool": "observation", "system": "system"}


_ROLES: Final = frozenset(_SHAREGPT)


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """`name` is what the user types; `kind` what it holds; `row` writes one example that it does not refuse.

    `refusal` says why an example cannot be written in this format, None when it can.
    """

    name: str
    title: str
    kind: Kind
    shape: Shape
    row: Callable[[Example], Row]
    refusal: Callable[[Example], str | None]


def _unknown_role(one: Example) -> str | None:
    """Every tool knows these four roles, and stumbles over any other."""
    known = all(turn["role"] in _ROLES for turn in one.history)
    return None if known else "a chat with a role that no other tool knows"


def _out_of_turn(one: Example) -> str | None:
    """LLaMA-Factory skips a chat in which the one who asks and the one who answers do not alternate."""
    asks = [turn["role"] in ("user", "tool") for turn in one.history]
    alternate = asks == [at % 2 == 0 for at in range(len(asks))] and len(asks) % 2 == 0
    plain = all(turn["role"] != "system" for turn in one.history)
    return _unknown_role(one) or (None if alternate and plain else "a chat that is not question and answer in turn")


def _not_alpaca(one: Example) -> str | None:
    """Alpaca's history is made of questions and answers in words."""
    tools = any(turn["role"] == "tool" or turn.get("tool_calls") for turn in one.history)
    return "a chat with calls of tools" if tools else _out_of_turn(one)


def _anything(_: Example) -> str | None:
    return None


def _asked(one: Example) -> list[Row]:
    system = [_message("system", one.system)] if one.system else []
    return [*system, *(_turn(turn) for turn in one.history), _message("user", one.prompt)]


def _message(role: str, content: str) -> Row:
    return {"role": role, "content": content}


def _turn(turn: Mapping[str, Any]) -> Row:
    """A turn with what OpenAI's chat format knows of it; arguments of calls as JSON text, so that rows are alike."""
    row = _message(turn["role"], turn["content"])
    for key in ("name", "tool_call_id"):
        if isinstance(turn.get(key), str):
            row[key] = turn[key]
    if calls := _calls(turn):
        row["tool_calls"] = calls
    return row


def _calls(turn: Mapping[str, Any]) -> list[Row]:
    told = turn.get("tool_calls")
    found: list[Row] = []
    for number, call in enumerate(told if isinstance(told, list) else [], 1):
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            continue
        given = function.get("arguments", "{}")
        arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        named = {"name": str(function.get("name", "")), "arguments": arguments}
        found.append({"id": str(call.get("id") or f"call_{number}"), "type": "function", "function": named})
    return found


def _answer(text: str) -> Row:
    return _message("assistant", text)


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
    """The chat as ShareGPT writes it, without the system prompt, which has a key of its own."""
    return [*(_sharegpt_turn(turn) for turn in one.history), {"from": "human", "value": one.prompt}]


def _sharegpt_turn(turn: Mapping[str, Any]) -> Row:
    if calls := _calls(turn):
        made = [call["function"] for call in calls]
        return {"from": "function_call", "value": json.dumps(made[0] if len(made) == 1 else made, ensure_ascii=False)}
    return {"from": _SHAREGPT[turn["role"]], "value": turn["content"]}


def _sharegpt(one: Example) -> Row:
    return {"conversations": [*_turns(one), {"from": "gpt", "value": one.target}], "system": one.system}


def _alpaca(one: Example) -> Row:
    texts = [turn["content"] for turn in one.history]
    history = [[texts[at], texts[at + 1]] for at in range(0, len(texts), 2)]
    row: Row = {"instruction": one.prompt, "input": "", "output": one.target, "system": one.system}
    return {**row, "history": history}


def _llama_factory_preference(one: Example) -> Row:
    sides = {"chosen": {"from": "gpt", "value": one.target}, "rejected": {"from": "gpt", "value": one.rejected}}
    return {"conversations": _turns(one), "system": one.system, **sides}


def _llama_factory_kto(one: Example) -> Row:
    return {**_sharegpt(one), "kto_tag": bool(one.label)}


def _axolotl_preference(one: Example) -> Row:
    return {"messages": _asked(one), "chosen": _answer(one.target), "rejected": _answer(one.rejected)}


_SFT: Final = ("lessons", "jsonl", _trl_sft, _unknown_role)
_ALL: Final = (
    ExportFormat("trl-sft", "TRL SFT: messages", *_SFT),
    ExportFormat(
        "trl-preference", "TRL DPO: prompt, chosen, rejected", "pairs", "jsonl", _trl_preference, _unknown_role
    ),
    ExportFormat("trl-kto", "TRL KTO: prompt, completion, label", "outcomes", "jsonl", _trl_kto, _unknown_role),
    ExportFormat("openai", "OpenAI chat fine-tuning", *_SFT),
    ExportFormat(
        "openai-preference", "OpenAI preference fine-tuning", "pairs", "jsonl", _openai_preference, _unknown_role
    ),
    ExportFormat("sharegpt", "ShareGPT conversations", "lessons", "json", _sharegpt, _unknown_role),
    ExportFormat("alpaca", "Alpaca instructions", "lessons", "json", _alpaca, _not_alpaca),
    ExportFormat("llama-factory", "LLaMA-Factory folder, SFT", "lessons", "json", _sharegpt, _out_of_turn),
    ExportFormat(
        "llama-factory-dpo", "LLaMA-Factory folder, DPO", "pairs", "json", _llama_factory_preference, _out_of_turn
    ),
    ExportFormat(
        "llama-factory-kto", "LLaMA-Factory folder, KTO", "outcomes", "json", _llama_factory_kto, _out_of_turn
    ),
    ExportFormat("axolotl", "axolotl folder, chat_template", *_SFT),
    ExportFormat(
        "axolotl-dpo", "axolotl folder, chat_template.default", "pairs", "jsonl", _axolotl_preference, _unknown_role
    ),
    ExportFormat("argilla", "Argilla records to review", "events", "json", argilla, _anything),
    ExportFormat("label-studio", "Label Studio tasks to review", "events", "json", label_studio, _anything),
    ExportFormat("csv", "a table of events, every text as it is", "events", "csv", table, _anything),
    ExportFormat(
        "spreadsheet", "the table for a spreadsheet, no text a formula", "events", "spreadsheet", table, _anything
    ),
    ExportFormat("sqlite", "a SQLite file of events with a text index", "events", "sqlite", table, _anything),
    ExportFormat("record", "events as `finetune-tui record` takes them", "events", "jsonl", record, _anything),
)
FORMATS: Final[Mapping[str, ExportFormat]] = {each.name: each for each in _ALL}
