"""Training files with one prompt and one answer a row, or with text alone: Alpaca, prompt and completion, raw text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.capture.formats.chats import Request, answers_of, chat_of, request_from
from core.capture.formats.export_values import details, parsed, shown, text
from core.capture.formats.parts import Lessons, RowError, RowFormat, Source, Turn
from core.capture.formats.training_chat import record_of, share
from core.capture.formats.transcripts import turns_of

_PAIRS = frozenset({"chosen", "rejected", "chosen_response", "rejected_response", "kto_tag", "label", "labels"})


def required(record: Mapping[str, Any], key: str) -> str:
    """The text under the key. Raises RowError when it is missing, empty or no text."""
    value = record.get(key)
    if isinstance(value, str) and value.strip():
        return value
    if value is None or value == "":
        raise RowError(f"`{key}` is {'empty' if key in record else 'missing'}.")
    raise RowError(f"`{key}` is {shown(value) if not isinstance(value, str) else 'empty'}, text was expected.")


def history_of(pairs: Any) -> tuple[Turn, ...]:
    """Alpaca's history, a list of pairs of user and assistant, as turns. Raises RowError."""
    found = parsed(pairs)
    if found in (None, "", []):
        return ()
    turns: list[Turn] = []
    for pair in found if isinstance(found, list) else [found]:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(each, str) for each in pair)):
            raise RowError("`history` is no list of pairs of two texts.")
        turns += ({"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]})
    return tuple(turns)


def instruction_of(record: Mapping[str, Any], *, key: str = "instruction") -> Request:
    """The request of an Alpaca row: the input stands below the instruction. Raises RowError."""
    instruction = required(record, key)
    more = record.get("input")
    if more is not None and not isinstance(more, str):
        raise RowError(f"`input` is {shown(more)}, text was expected.")
    prompt = f"{instruction}\n\n{more}" if more and more.strip() else instruction
    return Request(prompt, text(record.get("system")), history_of(record.get("history")))


class Alpaca(RowFormat):
    """Rows with `instruction` and `output`."""

    name: str = "alpaca"
    title: str = "Alpaca instructions"
    mapping: Mapping[str, str] = {
        "instruction": "prompt",
        "input": "prompt, below the instruction",
        "output": "response",
        "system": "system",
        "history": "history",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.85 when the rows have an instruction and an output."""
        return 0.85 * share(sample, "instruction", "output", without=_PAIRS)

    def read(self, value: Any) -> Lessons:
        """The answer in one row. Raises RowError."""
        record = record_of(value)
        return Lessons((instruction_of(record).answer(required(record, "output")),))


class PromptCompletion(RowFormat):
    """Rows with `prompt` and `completion`, each a text or a list of messages, as TRL takes them."""

    name: str = "prompt_completion"
    title: str = "Prompt and completion"
    mapping: Mapping[str, str] = {
        "prompt": "prompt, and history and system when it is a list of messages",
        "completion": "response",
        "system": "system",
        "model": "model",
        "category": "category",
        "tools": "metadata.tools",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.8 when the rows have a prompt and a completion, and no label."""
        return 0.8 * share(sample, "prompt", "completion", without=_PAIRS)

    def read(self, value: Any) -> Lessons:
        """The answer in one row. Raises RowError."""
        record = record_of(value)
        request = request_from(record.get("prompt"), system=text(record.get("system")))
        response, along = response_of(record.get("completion"), "completion")
        return Lessons(
            (
                request.answer(
                    response,
                    metadata={**details(tools=parsed(record.get("tools"))), **along},
                    model=text(record.get("model")),
                    category=text(record.get("category")),
                ),
            )
        )


def response_of(value: Any, key: str) -> tuple[str, dict[str, Any]]:
    """The answer in a text, a message or a list of one message, and what rides along. Raises RowError."""
    if isinstance(value, str) and value[:2] not in ("[{", '{"'):
        if value.strip():
            return value, {}
        raise RowError(f"`{key}` is empty.")
    found = parsed(value)
    if isinstance(found, str):
        return found, {}
    if not found:
        raise RowError(f"`{key}` is {'missing' if found is None else 'empty'}.")
    turns = chat_of([found] if isinstance(found, dict) else found).turns
    if not turns or turns[-1]["role"] != "assistant" or len(turns) > 1:
        raise RowError(f"`{key}` is not one turn of the assistant.")
    turn = turns[0]
    if not turn["content"].strip():
        raise RowError(f"`{key}` only calls a tool and has no text.")
    return turn["content"], {name: turn[name] for name in turn if name not in ("role", "content")}


class RawText(RowFormat):
    """Rows with nothing but `text`, which can be learnt from only when it is a written-out chat."""

    name: str = "raw_text"
    title: str = "Raw text"
    mapping: Mapping[str, str] = {"text": "a written-out chat: one event for each answer in it"}

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.4 when the rows are little more than a text."""
        small = [row if isinstance(row, dict) and len(row) <= 3 else None for row in sample]
        return 0.4 * share(small, "text", without=frozenset({"prompt", "response", "label", "options"}))

    def read(self, value: Any) -> Lessons:
        """The answers in a written-out chat. Raises RowError for any other text."""
        turns = turns_of(required(record_of(value), "text"))
        if not turns:
            raise RowError("The text has no marks that tell a prompt from its answer.")
        if turns[-1]["role"] == "assistant" and not turns[-1]["content"]:
            turns.pop()
        return answers_of(chat_of(turns))
