"""Rows of any table or file whose columns the user names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from core.capture.formats.chats import Request, chat_of, request_from
from core.capture.formats.export_values import as_text, label, number, parsed, seconds, shown, text
from core.capture.formats.parts import Answer, Lessons, RowError, RowFormat, Source
from core.capture.formats.training_chat import record_of
from core.capture.formats.training_labels import label_of
from core.capture.formats.training_pairs import pair_of
from core.capture.formats.training_text import required
from core.config import close_names
from core.errors import FinetuneError
from core.validate.feedback import FEEDBACK_TYPES

_TOLD: Final = frozenset({"prompt", "response", "system", "history", "chosen", "rejected", "group_key"})
"""What is read before the other fields."""


class Mapped(RowFormat):
    """Rows whose columns the user names: `{"prompt": "Question", "response": "Answer"}`.

    The fields are those of an event, and `chosen` with `rejected` in place of `response`. A column may be a path with
    dots into objects. Raises FinetuneError for a field that is not known or when prompt or response is not named.
    """

    name: str = "mapped"
    title: str = "Columns named by hand"

    def __init__(self, columns: Mapping[str, str]) -> None:
        known = {entry.name for entry in fields(Answer)} - {"metadata", "group"} | {"chosen", "rejected", "group_key"}
        for wanted in columns:
            if wanted not in known:
                raise _wrong(f"`{wanted}` is no field of an event.", close_names(wanted, known))
        if "prompt" not in columns or not ({"response"} <= columns.keys() or {"chosen", "rejected"} <= columns.keys()):
            raise _wrong(
                "The mapping does not name the columns of the prompt and of the response.",
                "Give for example --map prompt=Question --map response=Answer.",
            )
        self._columns = dict(columns)
        self.mapping = {column: wanted for wanted, column in columns.items()}

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """1 when a row has the columns of the prompt."""
        return float(any(_at(row, self._columns["prompt"]) is not None for row in sample))

    def read(self, value: Any) -> Lessons:
        """What one row holds. Raises RowError."""
        record = record_of(value)
        found = {wanted: _at(record, column) for wanted, column in self._columns.items()}
        if not text(found["prompt"]).strip() and not isinstance(found["prompt"], list):
            raise RowError(f"The column `{self._columns['prompt']}` of the prompt is missing or empty.")
        request = request_from(found["prompt"], system=as_text(found.get("system")))
        if found.get("history"):
            request = Request(request.prompt, request.system, chat_of(found["history"]).turns)
        if "response" not in found:
            chosen, rejected = (required(found, each) for each in ("chosen", "rejected"))
            return pair_of(request, chosen, rejected, {})
        response = as_text(found["response"])
        if not response.strip():
            raise RowError(f"The column `{self._columns['response']}` of the response is missing or empty.")
        said = {wanted: _said(wanted, each) for wanted, each in found.items() if wanted not in _TOLD}
        said["group"] = label(found.get("group_key"))
        return Lessons((request.answer(response, **{key: each for key, each in said.items() if each is not None}),))


def _at(record: Any, path: str) -> Any:
    """The value of a column, or at a path with dots; None when there is none."""
    if not isinstance(record, dict):
        return None
    if path in record:
        return record[path]
    found: Any = record
    for step in path.split("."):
        found = parsed(found)
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _said(wanted: str, value: Any) -> Any:
    """The value as the field takes it; None where the cell is empty. Raises RowError for one that does not fit."""
    if value is None or value == "":
        return None
    if wanted in ("score", "confidence", "latency_ms"):
        found: Any = number(value)
    elif wanted == "created_at":
        found = seconds(value)
    elif wanted == "verdict":
        found = label_of(value, wanted)
    elif wanted == "feedback_type":
        found = value if value in FEEDBACK_TYPES else None
    else:
        return as_text(value)
    if found is None:
        raise RowError(f"{shown(value)} cannot be taken as {wanted}.")
    return found


def _wrong(message: str, hint: str) -> FinetuneError:
    return FinetuneError(message, title="The mapping cannot be used", hint=hint)
