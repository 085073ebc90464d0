"""Training files with answers that are labelled good or bad, step by step, or ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from core.capture.formats.chats import Request, chat_of, request_from, request_of
from core.capture.formats.export_values import details, number, parsed, shown, text, verdict_of
from core.capture.formats.parts import Answer, Lessons, Preference, RowError, RowFormat, Source
from core.capture.formats.training_chat import chat_metadata, record_of, share
from core.capture.formats.training_pairs import side_of
from core.capture.formats.training_text import instruction_of, required, response_of
from core.capture.formats.transcripts import turns_of

_PROMPTS = ("prompt", "instruction", "question")


def label_of(value: Any, key: str) -> Literal["good", "bad"]:
    """What a label says: true or false, 1 or 0, or a word for a thumb. Raises RowError when it is something else."""
    found = verdict_of(value)
    if isinstance(value, str) and found is None:
        found = {"true": "good", "1": "good", "false": "bad", "0": "bad"}.get(value.strip().lower())  # type: ignore[assignment]
    elif found is None and number(value) == 0:
        found = "bad"
    if found is None:
        raise RowError(f"`{key}` is {shown(value)}, true or false was expected.")
    return found


class LabelledCompletion(RowFormat):
    """Rows with a prompt, a completion and a label, as TRL's and axolotl's KTO take them."""

    name: str = "kto"
    title: str = "Labelled completions (KTO)"
    mapping: Mapping[str, str] = {
        "prompt, instruction or question": "prompt",
        "completion": "response",
        "label": "verdict: true is good, false is bad",
        "system": "system",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.9 with a label; 0.6 for axolotl's rows without one, which are not told from others by their prompt."""
        labelled = sum(share(sample, key, "completion", "label") for key in _PROMPTS)
        return 0.9 * min(1.0, labelled) or 0.6 * max(share(sample, key, "completion") for key in _PROMPTS[1:])

    def read(self, value: Any) -> Lessons:
        """The answer in one row with its verdict. Raises RowError."""
        record = record_of(value)
        key = next((each for each in _PROMPTS if each in record), "prompt")
        if key == "instruction":
            request = instruction_of(record)
        else:
            request = request_from(record.get(key), system=text(record.get("system")))
        response, along = response_of(record.get("completion"), "completion")
        verdict = label_of(record["label"], "label") if record.get("label") is not None else None
        return Lessons((request.answer(response, verdict=verdict, metadata={**chat_metadata(record), **along}),))


class LabelledChat(RowFormat):
    """LLaMA-Factory's KTO: a chat or an Alpaca row with a `kto_tag`, which speaks of the last answer."""

    name: str = "llamafactory_kto"
    title: str = "LLaMA-Factory KTO"
    mapping: Mapping[str, str] = {
        "conversations or messages": "prompt, history, system and, at its end, the response",
        "instruction, input, output": "prompt and response",
        "kto_tag": "verdict: true is good, false is bad",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.95 when a tag stands beside a chat or an instruction."""
        found = sum(share(sample, key, "kto_tag") for key in ("conversations", "messages", "instruction"))
        return 0.95 * min(1.0, found)

    def read(self, value: Any) -> Lessons:
        """The last answer in one row with its verdict. Raises RowError."""
        record = record_of(value)
        verdict = label_of(record.get("kto_tag"), "kto_tag")
        if "instruction" in record:
            request, response = instruction_of(record), required(record, "output")
        else:
            key = "messages" if "messages" in record else "conversations"
            side = side_of(record.get(key), key)
            turns = [{"role": "system", "content": side.system}, *side.before] if side.system else [*side.before]
            request, response = request_of(chat_of(turns, system=text(record.get("system")))), side.response
        return Lessons((request.answer(response, verdict=verdict, metadata=chat_metadata(record)),))


class Stepwise(RowFormat):
    """Rows with `completions`, the steps of one answer, and a label for each, as TRL takes them."""

    name: str = "stepwise"
    title: str = "Answers labelled step by step (TRL)"
    mapping: Mapping[str, str] = {
        "prompt": "prompt",
        "completions": "response, a line for each step, and metadata.steps",
        "labels": "verdict: good when every step is right; the wrong ones are named in the note",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.95 by its keys, which no other format has."""
        return 0.95 * share(sample, "prompt", "completions", "labels")

    def read(self, value: Any) -> Lessons:
        """The answer in one row. Raises RowError."""
        record = record_of(value)
        steps, labels = parsed(record.get("completions")), parsed(record.get("labels"))
        if not isinstance(steps, list) or not steps or not all(isinstance(each, str) for each in steps):
            raise RowError("`completions` is no list of texts.")
        if not isinstance(labels, list) or len(labels) != len(steps):
            count = len(labels) if isinstance(labels, list) else "no"
            raise RowError(f"The numbers of steps ({len(steps)}) and of labels ({count}) differ.")
        right = [label_of(each, "labels") == "good" for each in labels]
        wrong = [str(place) for place, each in enumerate(right, 1) if not each]
        answer = request_from(record.get("prompt"), system=text(record.get("system"))).answer(
            "\n".join(steps),
            verdict="bad" if wrong else "good",
            note=f"Wrong step{'s' if len(wrong) > 1 else ''}: {', '.join(wrong)}." if wrong else "",
            metadata={"steps": [{"text": step, "right": each} for step, each in zip(steps, right, strict=True)]},
        )
        return Lessons((answer,))


class RankedAnswers(RowFormat):
    """Rows with a prompt and `answers` that carry a rank, as Nectar has them."""

    name: str = "nectar"
    title: str = "Ranked answers (Nectar)"
    mapping: Mapping[str, str] = {
        "prompt": "prompt, and history when it is a written-out chat",
        "answers[].answer": "response, an event each",
        "answers[].rank": "the best is preferred to each of the others; the margin is the distance of their ranks",
        "answers[].model": "model",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.95 when the answers carry ranks."""
        fitting = 0
        for row in sample:
            answers = parsed(row.get("answers")) if isinstance(row, dict) and "prompt" in row else None
            first = answers[0] if isinstance(answers, list) and answers else None
            fitting += isinstance(first, dict) and {"answer", "rank"} <= first.keys()
        return 0.95 * fitting / len(sample) if sample else 0.0

    def read(self, value: Any) -> Lessons:
        """Every answer of one row, best first. Raises RowError."""
        record = record_of(value)
        request = _asked(record)
        answers = parsed(record.get("answers"))
        ranked: list[tuple[float, Answer]] = []
        problems: list[str] = []
        for place, each in enumerate(answers if isinstance(answers, list) else [], 1):
            rank = number(each.get("rank")) if isinstance(each, dict) else None
            if rank is None or not text(each.get("answer")).strip():
                problems.append(f"Answer {place} has no text or no rank and was left out.")
                continue
            known = details(rank=rank)
            answer = request.answer(each["answer"], model=text(each.get("model")), group=request.group, metadata=known)
            ranked.append((rank, answer))
        if not ranked:
            raise RowError("There are no answers with a text and a rank.")
        ranked.sort(key=lambda each: each[0])
        best, span = ranked[0][0], ranked[-1][0] - ranked[0][0]
        preferences = tuple(
            Preference(0, place, source="ranking", margin=(rank - best) / span)
            for place, (rank, _) in enumerate(ranked)
            if rank > best
        )
        return Lessons(tuple(answer for _, answer in ranked), preferences, tuple(problems))


def _asked(record: Mapping[str, Any]) -> Request:
    prompt = required(record, "prompt")
    turns = turns_of(prompt)
    if not turns:
        return request_from(prompt)
    if turns[-1]["role"] == "assistant" and not turns[-1]["content"]:
        turns.pop()
    return request_of(chat_of(turns))
