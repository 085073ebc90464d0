"""Data sets of LLaMA-Factory, whose columns and roles a `dataset_info.json` beside the data names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from core.capture.formats.export_values import parsed
from core.capture.formats.parts import Lessons, Row, RowError, RowFormat, Source
from core.capture.formats.training_chat import ShareGPT, record_of
from core.capture.formats.training_labels import LabelledChat
from core.capture.formats.training_pairs import COLUMN_PREFERENCES, ChatPreference
from core.capture.formats.training_text import Alpaca
from core.errors import FinetuneError

_INFO: Final = "dataset_info.json"
_ALPACA: Final = {"prompt": "instruction", "query": "input", "response": "output", "history": "history"}
_SHAREGPT: Final = {"messages": "conversations"}
_SHARED: Final = ("system", "tools", "chosen", "rejected", "kto_tag")
_MEDIA: Final = ("images", "videos", "audios")
# What each tag stands for, with its usual value in the two ways of writing chats.
_ROLE_TAGS: Final = {
    "user_tag": ("user", "human", "user"),
    "assistant_tag": ("assistant", "gpt", "assistant"),
    "observation_tag": ("tool", "observation", "tool"),
    "function_tag": ("function_call", "function_call", "function_call"),
    "system_tag": ("system", "system", "system"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """How one data set is written: its columns under our names, and its roles. `reader` takes the translated row."""

    columns: Mapping[str, str]
    media: tuple[str, ...]
    role_key: str
    content_key: str
    roles: Mapping[str, str]
    reader: RowFormat


class LlamaFactory(RowFormat):
    """Any row of a data set that a `dataset_info.json` in its folder describes."""

    name: str = "llamafactory"
    title: str = "LLaMA-Factory data set"
    mapping: Mapping[str, str] = {
        "columns.prompt, query, response, history": "prompt, response and history",
        "columns.messages with tags": "one event for each answer",
        "columns.system": "system",
        "columns.tools": "metadata.tools",
        "columns.chosen, rejected": "two events and which one was preferred",
        "columns.kto_tag": "verdict",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.99 when the file beside the data names it and describes it soundly."""
        try:
            return 0.0 if entry_for(source) is None else 0.99
        except FinetuneError:
            return 0.0

    def lessons(self, source: Source) -> Iterator[tuple[Row, Lessons | RowError]]:
        """Every row as the description says. Raises FinetuneError when there is no sound one."""
        entry = entry_for(source)
        if entry is None:
            raise FinetuneError(
                f"There is no {_INFO} beside {source.name} that names it as a `file_name`.",
                title="The data set is not described",
                hint="Add it to that file, or give another --format.",
            )
        for row in source.rows():
            try:
                yield row, RowError(row.error) if row.error else translated(entry, row.value)
            except RowError as error:
                yield row, error
            except RecursionError:
                yield row, RowError("It is nested too deeply.")


def entry_for(source: Source) -> Entry | None:
    """How the source is written; None when nothing describes it. Raises FinetuneError for a wrong description."""
    file = source.name.rpartition("/")[2]
    beside = None if file == _INFO else source.sibling(_INFO)
    info = next(beside.rows(), None) if beside else None
    if info is None or not isinstance(info.value, dict):
        return None
    for name, each in info.value.items():
        if isinstance(each, dict) and str(each.get("file_name", "")).rpartition("/")[2] == file:
            return _entry(name, each)
    return None


def _entry(name: str, described: Mapping[str, Any]) -> Entry:
    formatting = described.get("formatting", "alpaca")
    told, tags = described.get("columns") or {}, described.get("tags") or {}
    if formatting not in ("alpaca", "sharegpt", "openai") or not isinstance(told, dict) or not isinstance(tags, dict):
        raise FinetuneError(
            f"{_INFO}: `{name}` has a formatting, columns or tags that are not known.",
            title="The data set is not described",
            hint="Use alpaca, sharegpt or openai as `formatting`, and objects as `columns` and `tags`.",
        )
    usual = _ALPACA if formatting == "alpaca" else _SHAREGPT
    columns = {str(told.get(key) or ours): ours for key, ours in usual.items()}
    columns.update({str(told[key]): key for key in _SHARED if told.get(key)})
    ours = set(columns.values())
    chat = formatting != "alpaca"
    if "kto_tag" in ours:
        reader: RowFormat = LabelledChat()
    elif described.get("ranking") or {"chosen", "rejected"} <= ours:
        reader = ChatPreference() if chat else COLUMN_PREFERENCES[0]
    else:
        reader = ShareGPT() if chat else Alpaca()
    openai = formatting == "openai"
    return Entry(
        columns=columns,
        media=tuple(str(told[key]) for key in _MEDIA if told.get(key)),
        role_key=str(tags.get("role_tag") or ("role" if openai else "from")),
        content_key=str(tags.get("content_tag") or ("content" if openai else "value")),
        roles={str(tags.get(tag) or usual[openai]): role for tag, (role, *usual) in _ROLE_TAGS.items()},
        reader=reader,
    )


def translated(entry: Entry, value: Any) -> Lessons:
    """The row under the usual names, read. Raises RowError."""
    record = record_of(value)
    usual = {ours: record[theirs] for theirs, ours in entry.columns.items() if theirs in record}
    if "conversations" in usual:
        usual["conversations"] = _turns(entry, parsed(usual["conversations"]))
        for key in usual.keys() & {"chosen", "rejected"}:
            usual[key] = _turns(entry, parsed(usual[key]))
    found = entry.reader.read(usual)
    media = [key for key in entry.media if record.get(key)]
    if not media:
        return found
    return replace(found, problems=(*found.problems, f"What is not text was left out: {', '.join(media)}."))


def _turns(entry: Entry, turns: Any) -> Any:
    if isinstance(turns, dict):
        return _turn(entry, turns)
    return (
        [_turn(entry, turn) if isinstance(turn, dict) else turn for turn in turns] if isinstance(turns, list) else turns
    )


def _turn(entry: Entry, turn: Mapping[str, Any]) -> dict[str, Any]:
    role = turn.get(entry.role_key)
    known = entry.roles.get(role, role) if isinstance(role, str) else role
    rest = {key: each for key, each in turn.items() if key not in (entry.role_key, entry.content_key)}
    return {**rest, "role": known, "content": turn.get(entry.content_key)}
