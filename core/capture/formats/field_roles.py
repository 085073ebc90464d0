"""Annotation tools let people name the fields of a task: which of them was asked, and which are the answers to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.capture.formats.chats import Request
from core.capture.formats.export_requests import Asked, is_chat, request_of
from core.capture.formats.export_values import as_text, text
from core.capture.formats.parts import RowError

_PROMPTS: Final = (
    "prompt",
    "instruction",
    "question",
    "query",
    "input",
    "messages",
    "conversation",
    "conversations",
    "dialogue",
    "dialog",
    "chat",
    "user_input",
    "user_prompt",
    "user_message",
    "request",
    "source_text",
    "document",
    "text",
    "content",
    "html",
)
_CONTEXTS: Final = ("context", "background", "passage", "reference")
_MODELS: Final = ("model", "model_name", "generation_model", "response_model")
_SYSTEMS: Final = ("system", "system_prompt")
_ANSWER: Final = re.compile(
    r"(?:model[_ -])?"
    r"(?:answer|response|completion|generation|output|reply|candidate|summary|chosen|rejected|left|right)s?"
    r"(?:[_ -]?(?:\d{1,3}|[a-z]|left|right|one|two|three|text))?"
    r"|(?:text|option|result|model|assistant)[_ -]?(?:\d{1,3}|[a-z]|left|right|one|two|three|answer|response)",
    re.IGNORECASE,
)
_NOTES: Final = re.compile(r"comment|note|reason|explan|rationale|justif|why|remark|feedback|critique", re.IGNORECASE)
_CORRECTIONS: Final = re.compile(
    r"correct|edit|improve|rewrite|rewritten|revis|fix|better|ideal|gold|answer|response|completion|output",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Task:
    """What was put before the annotator: the request, the context, and the answers by the name of their field.

    `model` is the one that gave them, where a field tells.
    """

    asked: Asked
    context: str
    answers: Mapping[str, str]
    model: str = ""


def task_of(fields: Mapping[str, Any]) -> Task:
    """The task in named fields. Raises RowError when no field is a prompt.

    The first known name (prompt, instruction, question, … text) is the prompt; an answer is a field named answer,
    response, completion, … with or without a number or a letter.
    """
    named = {key: value for key, value in fields.items() if isinstance(key, str)}
    lower = {key.lower(): key for key in reversed(named)}
    numbered = [key for key in named if _ANSWER.fullmatch(key) and _says(named[key])]
    asked = next((lower[name] for name in _PROMPTS if name in lower and _says(named[lower[name]])), "")
    if not asked:
        raise RowError("No field of the task is a prompt (prompt, instruction, question, text, …).")
    if is_chat(named[asked]):
        found = request_of(named[asked])
    else:
        system = next((text(named[lower[name]]) for name in _SYSTEMS if name in lower), "")
        found = Asked(Request(as_text(named[asked]), system, ()))
    beside = ("input", *_CONTEXTS) if asked.lower() == "instruction" else _CONTEXTS
    context = next((as_text(named[lower[name]]) for name in beside if name in lower), "")
    model = next((text(named[lower[name]]) for name in _MODELS if name in lower), "")
    return Task(found, context, {key: as_text(named[key]) for key in numbered if key != asked}, model)


def _says(value: Any) -> bool:
    return is_chat(value) or (isinstance(value, str) and bool(value.strip()))


def is_note(name: str) -> bool:
    """Whether a text field of this name holds a remark rather than a better answer."""
    return bool(_NOTES.search(name))


def is_correction(name: str) -> bool:
    """Whether a text field of this name holds a better answer."""
    return bool(_CORRECTIONS.search(name)) and not is_note(name)


def same_name(wanted: str, names: Iterable[str]) -> str:
    """The one of `names` that is `wanted`, also when case, blanks and dashes differ; empty when none is."""
    squeezed = re.sub(r"[\W_]+", "", wanted).lower()
    return next((name for name in names if re.sub(r"[\W_]+", "", name).lower() == squeezed), "") if squeezed else ""
