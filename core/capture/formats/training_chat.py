"""Training files with whole chats: OpenAI's messages and ShareGPT's conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from core.capture.formats.chats import answers_of, chat_of
from core.capture.formats.export_values import details, parsed, text
from core.capture.formats.parts import Lessons, RowError, RowFormat, Source

_BESIDE = frozenset({"chosen", "rejected", "kto_tag", "label", "preferred_output", "completion"})


def share(sample: Sequence[Any], *needed: str, without: frozenset[str] = frozenset()) -> float:
    """Which part (0-1) of the rows are objects with all the keys needed and none of the others."""
    if not sample:
        return 0.0
    wanted = frozenset(needed)
    fitting = sum(isinstance(row, dict) and row.keys() >= wanted and not row.keys() & without for row in sample)
    return fitting / len(sample)


def record_of(value: Any) -> Mapping[str, Any]:
    """The row as an object. Raises RowError."""
    if not isinstance(value, dict):
        raise RowError("The row is no object with keys.")
    return value


def is_chat(value: Any) -> bool:
    """Whether this is a list of turns, possibly written as text in a table's cell."""
    found = parsed(value)
    return isinstance(found, list) and bool(found) and all(isinstance(turn, dict) for turn in found)


def chat_metadata(record: Mapping[str, Any]) -> dict[str, Any]:
    """What training files say beside the turns: the tools on offer and the split."""
    split = text(record.get("split")).lower()
    return details(
        tools=parsed(record.get("tools")),
        functions=parsed(record.get("functions")),
        function_call=record.get("function_call"),
        parallel_tool_calls=record.get("parallel_tool_calls"),
        split=split if split in ("train", "test", "validation") else None,
    )


class OpenAIChat(RowFormat):
    """Rows with `messages`, as OpenAI, TRL and most trainers take them."""

    name: str = "openai_chat"
    title: str = "OpenAI chat messages"
    mapping: Mapping[str, str] = {
        "messages": "one event for each assistant turn; the turns before it are its history",
        "messages[].weight": "0 leaves the turn out",
        "tools": "metadata.tools",
        "functions": "metadata.functions",
        "split": "metadata.split",
    }
    _key: ClassVar[str] = "messages"

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.8 when the rows hold lists of turns under the key and no preference or label beside them."""
        found = share(sample, self._key, without=_BESIDE)
        return (
            0.8 * found if found and any(isinstance(row, dict) and is_chat(row.get(self._key)) for row in sample) else 0
        )

    def read(self, value: Any) -> Lessons:
        """The answers in one chat. Raises RowError."""
        record = record_of(value)
        chat = chat_of(record.get(self._key), system=text(record.get("system")))
        metadata = chat_metadata(record) if len(record) > 1 else None
        return answers_of(chat, metadata=metadata, model=text(record.get("model")))


class ShareGPT(OpenAIChat):
    """Rows with `conversations`: turns with `from` and `value`, or with `role` and `content`."""

    name: str = "sharegpt"
    title: str = "ShareGPT conversations"
    mapping: Mapping[str, str] = {
        "conversations": "one event for each turn of gpt; the turns before it are its history",
        "conversations[].from": "human, gpt, system, observation, function_call; user, assistant, tool and others too",
        "system": "system",
        "tools": "metadata.tools",
    }
    _key: ClassVar[str] = "conversations"
