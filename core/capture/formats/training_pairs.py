"""Training files with two answers to one request, the better and the worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.capture.formats.chats import Request, chat_of, request_from, request_of
from core.capture.formats.export_values import details, number, parsed, text
from core.capture.formats.parts import Lessons, Preference, RowError, RowFormat, Source, Turn
from core.capture.formats.training_chat import chat_metadata, is_chat, record_of, share
from core.capture.formats.training_text import instruction_of, required
from core.capture.formats.transcripts import is_transcript, turns_of

# Where the scores of the two answers stand, and how far they can lie apart: UltraFeedback rates from 1 to 10, its
# re-rating by Argilla from 1 to 5.
_SCORES: Final = (
    ("score_chosen", "score_rejected", 1.0, 10.0),
    ("chosen_score", "rejected_score", 1.0, 10.0),
    ("chosen-rating", "rejected-rating", 1.0, 5.0),
    ("chosen_rating", "rejected_rating", 1.0, 5.0),
)
_MODELS: Final = (("chosen_model", "rejected_model"), ("chosen-model", "rejected-model"))
_NAMED: Final = ("prompt", "instruction", "question", "input", "messages", "conversations")


@dataclass(frozen=True, slots=True)
class Side:
    """One answer of a pair, with the turns before it when the file repeats them."""

    response: str
    before: tuple[Turn, ...] = ()
    system: str = ""


def side_of(value: Any, key: str) -> Side:
    """An answer as a text, as one turn, or as a list of turns that ends with it. Raises RowError."""
    found = parsed(value) if isinstance(value, str) and value[:2] in ("[{", '{"') else value
    if isinstance(found, str):
        if not found.strip():
            raise RowError(f"`{key}` is empty.")
        return Side(found)
    if not found:
        raise RowError(f"`{key}` is {'missing' if found is None else 'empty'}.")
    chat = chat_of([found] if isinstance(found, dict) else found)
    if not chat.turns or chat.turns[-1]["role"] != "assistant" or not chat.turns[-1]["content"].strip():
        raise RowError(f"`{key}` does not end with an answer of the assistant.")
    return Side(chat.turns[-1]["content"], chat.turns[:-1], chat.system)


def request_before(explicit: Request | None, chosen: Side, rejected: Side) -> Request:
    """What both answers answer. Raises RowError when they do not answer the same."""
    if chosen.before != rejected.before:
        raise RowError("The two answers do not follow the same turns, so neither was preferred to the other.")
    if not chosen.before:
        if explicit is None:
            raise RowError("There is no prompt.")
        return explicit
    asked = [{"role": "system", "content": chosen.system}] if chosen.system else []
    repeated = request_of(chat_of([*asked, *chosen.before]))
    if explicit is None or explicit.prompt.strip() == repeated.prompt.strip():
        # The longer tale counts: a prompt beside a list of turns often is its last question only.
        if explicit is not None and len(explicit.history) > len(repeated.history):
            return explicit
        system = repeated.system or (explicit.system if explicit else "")
        return Request(repeated.prompt, system, repeated.history, repeated.between)
    turns = (*explicit.history, {"role": "user", "content": explicit.prompt}, *explicit.between, *chosen.before)
    return request_of(chat_of([*([{"role": "system", "content": explicit.system}] if explicit.system else ()), *turns]))


def pair_of(request: Request, chosen: str, rejected: str, record: Mapping[str, Any]) -> Lessons:
    """Two answers to a request and which one was better, with scores and models where the row tells them."""
    metadata = chat_metadata(record)
    named = details(prompt_id=record.get("prompt_id"))
    score_chosen, score_rejected, margin = _scores(record)
    models = next(((record[a], record[b]) for a, b in _MODELS if a in record and b in record), ("", ""))
    group = request.group
    answers = (
        request.answer(chosen, score=score_chosen, model=text(models[0]), group=group, metadata={**metadata, **named}),
        request.answer(
            rejected, score=score_rejected, model=text(models[1]), group=group, metadata={**metadata, **named}
        ),
    )
    if chosen.strip() == rejected.strip():
        return Lessons(answers[:1], (), ("The two answers are the same, so none was preferred.",))
    return Lessons(answers, (Preference(0, 1, margin=margin),))


def _scores(record: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    """Both scores on 0-100 and how far they lie apart on 0-1: (v - low) / (high - low), and its difference.

    Values beyond the scale (those of reward models have none) are not taken.
    """
    for better, worse, low, high in _SCORES:
        one, other = number(record.get(better)), number(record.get(worse))
        if one is None or other is None:
            continue
        if not all(low - 1.0 <= each <= high for each in (one, other)):
            return None, None, None
        a, b = (max(0.0, (each - low) / (high - low)) for each in (one, other))
        return 100.0 * a, 100.0 * b, min(1.0, abs(a - b)) if a >= b else None
    return None, None, None


class TrlPreference(RowFormat):
    """Rows with `chosen` and `rejected`, texts or lists of messages, with or without a `prompt`."""

    name: str = "trl_preference"
    title: str = "Preference pairs (TRL, UltraFeedback, axolotl)"
    mapping: Mapping[str, str] = {
        "prompt": "prompt; without it the turns that both answers share",
        "chosen": "the preferred event's response",
        "rejected": "the other event's response",
        "score_chosen, score_rejected": "score (1-10 becomes 0-100) and the preference's margin",
        "system": "system",
        "tools": "metadata.tools",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.8 with a prompt; without one 0.7 when both answers are lists of turns."""
        if share(sample, "prompt", "chosen", "rejected"):
            return 0.8 * share(sample, "prompt", "chosen", "rejected")
        both = [row for row in sample if isinstance(row, dict) and is_chat(row.get("chosen"))]
        return 0.7 * share(both, "chosen", "rejected", without=frozenset(_NAMED)) * len(both) / max(1, len(sample))

    def read(self, value: Any) -> Lessons:
        """The two answers in one row. Raises RowError."""
        record = record_of(value)
        prompt, system = record.get("prompt"), text(record.get("system"))
        chosen, rejected = (side_of(record.get(key), key) for key in ("chosen", "rejected"))
        if isinstance(prompt, str) and is_transcript(prompt):
            explicit: Request | None = request_of(chat_of(turns_of(prompt)[:-1] or turns_of(prompt), system=system))
        else:
            explicit = request_from(prompt, system=system) if prompt else None
        return pair_of(request_before(explicit, chosen, rejected), chosen.response, rejected.response, record)


class AnthropicHH(RowFormat):
    """Rows with `chosen` and `rejected`, each a whole written-out chat of `Human:` and `Assistant:`."""

    name: str = "anthropic_hh"
    title: str = "Anthropic HH transcripts"
    mapping: Mapping[str, str] = {
        "chosen": "the preferred event: its last answer is the response, the turns before it prompt and history",
        "rejected": "the other event's response",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.95 when both answers are written-out chats."""
        fitting = sum(
            isinstance(row, dict) and is_transcript(row.get("chosen")) and is_transcript(row.get("rejected"))
            for row in sample
        )
        return 0.95 * fitting / len(sample) if sample else 0.0

    def read(self, value: Any) -> Lessons:
        """The two answers in one row. Raises RowError."""
        record = record_of(value)
        chosen, rejected = (side_of(turns_of(required(record, key)), key) for key in ("chosen", "rejected"))
        return pair_of(request_before(None, chosen, rejected), chosen.response, rejected.response, record)


class OpenAIPreference(RowFormat):
    """OpenAI's rows for preference fine-tuning."""

    name: str = "openai_preference"
    title: str = "OpenAI preference pairs"
    mapping: Mapping[str, str] = {
        "input.messages": "prompt, history and system",
        "input.tools": "metadata.tools",
        "preferred_output": "the preferred event's response",
        "non_preferred_output": "the other event's response",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.98 by its keys, which no other format has."""
        return 0.98 * share(sample, "input", "preferred_output", "non_preferred_output")

    def read(self, value: Any) -> Lessons:
        """The two answers in one row. Raises RowError."""
        record = record_of(value)
        asked = parsed(record.get("input"))
        if not isinstance(asked, dict):
            raise RowError("`input` is no object with messages.")
        request = request_of(chat_of(asked.get("messages")))
        chosen, rejected = (side_of(record.get(key), key) for key in ("preferred_output", "non_preferred_output"))
        return pair_of(request_before(request, chosen, rejected), chosen.response, rejected.response, asked)


class ChatPreference(RowFormat):
    """A chat that ends with the user's turn, and two answers to it: axolotl's chat_template and LLaMA-Factory's."""

    name: str = "chat_preference"
    title: str = "Chats with two answers (axolotl, LLaMA-Factory)"
    mapping: Mapping[str, str] = {
        "messages or conversations": "prompt, history and system",
        "chosen": "the preferred event's response",
        "rejected": "the other event's response",
        "system": "system",
        "tools": "metadata.tools",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.9 when a chat stands beside two answers, and no prompt."""
        fits = [
            share(sample, key, "chosen", "rejected", without=frozenset({"prompt"}))
            for key in ("messages", "conversations")
        ]
        return 0.9 * min(1.0, sum(fits))

    def read(self, value: Any) -> Lessons:
        """The two answers in one row. Raises RowError."""
        record = record_of(value)
        turns = record["messages"] if "messages" in record else record.get("conversations")
        chosen, rejected = (side_of(record.get(key), key) for key in ("chosen", "rejected"))
        request = request_of(chat_of(turns, system=text(record.get("system"))))
        return pair_of(request_before(request, chosen, rejected), chosen.response, rejected.response, record)


class ColumnPreference(RowFormat):
    """Texts in columns: what was asked, the better and the worse answer."""

    def __init__(self, name: str, title: str, prompts: Sequence[str], chosen: str, rejected: str) -> None:
        self.name = name
        self.title = title
        self._prompts = tuple(prompts)
        self._chosen = chosen
        self._rejected = rejected
        self.mapping = {
            " or ".join(prompts): "prompt",
            "system": "system",
            chosen: "the preferred event's response",
            rejected: "the other event's response",
        }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.75 when the three columns are there."""
        others = frozenset({"messages", "conversations"} - set(self._prompts))
        return 0.75 * max(share(sample, key, self._chosen, self._rejected, without=others) for key in self._prompts)

    def read(self, value: Any) -> Lessons:
        """The two answers in one row. Raises RowError."""
        record = record_of(value)
        key = next((each for each in self._prompts if each in record), self._prompts[0])
        if key == "instruction":
            request = instruction_of(record)
        else:
            request = request_from(required(record, key), system=text(record.get("system")))
        chosen, rejected = (required(record, each) for each in (self._chosen, self._rejected))
        return pair_of(request, chosen, rejected, record)


COLUMN_PREFERENCES: Final = (
    ColumnPreference("alpaca_preference", "Alpaca pairs (LLaMA-Factory)", ["instruction"], "chosen", "rejected"),
    ColumnPreference("intel_preference", "Intel Orca pairs (axolotl chatml.intel)", ["question"], "chosen", "rejected"),
    ColumnPreference("icr_preference", "ICR pairs (axolotl chatml.icr)", ["input"], "chosen", "rejected"),
    ColumnPreference(
        "response_preference",
        "Argilla and H2O pairs (chosen_response, rejected_response)",
        ["instruction", "prompt", "question", "input"],
        "chosen_response",
        "rejected_response",
    ),
)
