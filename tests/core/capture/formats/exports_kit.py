"""Sources held in memory, the fixtures of exports, and what must hold of everything a format makes of a row."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.capture.formats.exports import EXPORT_FORMATS
from core.capture.formats.parts import Format, Lessons, Row, RowError
from core.errors import FinetuneError

FIXTURES = Path(__file__).parent / "fixtures" / "exports"
LLM_ROWS: list[dict[str, Any]] = [
    {
        "id": "01h1",
        "model": "llama3.2:3b",
        "prompt": "Capital of Peru?",
        "system": "Be brief.",
        "prompt_json": None,
        "options_json": '{"temperature": 0.2}',
        "response": "Lima",
        "response_json": None,
        "conversation_id": "c1",
        "duration_ms": 812,
        "datetime_utc": "2024-05-29T13:46:19.5",
        "input_tokens": 12,
        "output_tokens": 2,
    },
    {
        "id": "01h2",
        "model": "qwen2.5:7b",
        "prompt": "2+2?",
        "system": None,
        "response": "4",
        "conversation_id": "c2",
        "duration_ms": None,
        "datetime_utc": "2024-05-29T13:47:00+00:00",
    },
    {
        "id": "01h3",
        "model": "llama3.2:3b",
        "prompt": "And of Chile?",
        "system": None,
        "response": "Santiago",
        "conversation_id": "c1",
        "duration_ms": 500,
        "datetime_utc": "2024-05-29T13:48:00",
    },
    {"id": "01h4", "model": "m", "prompt": None, "response": "x", "datetime_utc": "2024-05-29T13:48:00"},
    {"id": "01h5", "model": "m", "prompt": "x", "response": "", "datetime_utc": "2024-05-29T13:48:00"},
]


@dataclass(frozen=True)
class ListSource:
    """Values as a source; `beside` are its siblings by name."""

    name: str
    values: Sequence[Any]
    kind: str = "json"
    beside: Mapping[str, ListSource] = field(default_factory=dict)

    def rows(self) -> Iterator[Row]:
        for number, value in enumerate(self.values, start=1):
            yield Row(number, value)

    def sibling(self, name: str) -> ListSource | None:
        return self.beside.get(name)


def load(file: str) -> list[Any]:
    """The rows of a fixture."""
    text = (FIXTURES / file).read_text(encoding="utf-8")
    if file.endswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines()]
    value = json.loads(text)
    return value if isinstance(value, list) else [value]


def source(file: str, *, name: str = "", values: Sequence[Any] | None = None, **beside: str) -> ListSource:
    """A fixture as a source; `beside` names fixtures to lie next to it as `<key>.json`."""
    near = {f"{key}.json": ListSource(f"{key}.json", load(other)) for key, other in beside.items()}
    return ListSource(name or file, load(file) if values is None else values, "json", near)


def format_of(wanted: ListSource) -> Format:
    """The only format that takes the source."""
    found = [each for each in EXPORT_FORMATS if each.matches(wanted, wanted.values) > 0]
    assert len(found) == 1, [each.name for each in found]
    return found[0]


def read(wanted: ListSource) -> list[Lessons | RowError]:
    """What the format of the source makes of each row, checked."""
    return checked(format_of(wanted), wanted)


def checked(form: Format, wanted: ListSource) -> list[Lessons | RowError]:
    """What `form` makes of each row; asserts what must hold whatever stands in the rows."""
    found = list(form.lessons(wanted))
    assert [row.number for row, _ in found] == list(range(1, len(wanted.values) + 1))
    for _, lessons in found:
        if isinstance(lessons, RowError):
            assert isinstance(lessons, FinetuneError) and len(lessons.message) > 10
            continue
        assert lessons.answers or lessons.problems
        for answer in lessons.answers:
            assert answer.prompt.strip() and answer.response.strip()
            texts = (answer.system, answer.context, answer.model, answer.note, answer.group, answer.category)
            assert all(isinstance(each, str) for each in texts)
            assert answer.score is None or 0 <= answer.score <= 100
            assert answer.verdict in (None, "good", "bad")
            assert answer.correction is None or answer.correction.strip()
            assert answer.latency_ms is None or (answer.latency_ms >= 0 and math.isfinite(answer.latency_ms))
            assert answer.created_at is None or 0 < answer.created_at <= 1e11
            json.dumps([dict(answer.metadata), [dict(turn) for turn in answer.history]], allow_nan=False)
            for turn in answer.history:
                assert turn["role"] in ("user", "assistant", "tool") and isinstance(turn["content"], str)
        for each in lessons.preferences:
            assert each.chosen != each.rejected
            assert {each.chosen, each.rejected} <= set(range(len(lessons.answers)))
            assert lessons.answers[each.chosen].response != lessons.answers[each.rejected].response
            assert each.margin is None or 0 <= each.margin <= 1
        pairs = [frozenset((each.chosen, each.rejected)) for each in lessons.preferences]
        assert len(pairs) == len(set(pairs))
        assert all(isinstance(each, str) and each for each in lessons.problems)
    return [lessons for _, lessons in found]


def every_source() -> dict[str, tuple[Format, ListSource]]:
    """Each fixture as a source with its format, by a name."""
    by_name = {each.name: each for each in EXPORT_FORMATS}
    near = {"message_feedback": "chatgpt_message_feedback.json", "model_comparisons": "chatgpt_model_comparisons.json"}
    scores = {"scores": "langfuse_scores.json", "score_configs": "langfuse_score_configs.json"}
    found = {
        "open_webui_feedback": source("open_webui_feedback.json"),
        "open_webui_chats": source("open_webui_chats.json"),
        "chatgpt": source("chatgpt_conversations.json", name="conversations.json", **near),
        "chatgpt_beside": source("chatgpt_model_comparisons.json", name="a.zip/model_comparisons.json"),
        "langfuse": source("langfuse_observations.json", name="observations.json", **scores),
        "label_studio": source("label_studio.json"),
        "label_studio_min": source("label_studio_min.json"),
        "argilla": source("argilla.json"),
        "prodigy": source("prodigy.jsonl"),
        "promptfoo": source("promptfoo.json"),
        "fastchat": source("fastchat_log.jsonl"),
        "openpipe": source("openpipe.jsonl"),
        "kiln": source("kiln_repaired.kiln"),
        "llm_logs": ListSource("logs.db#responses", LLM_ROWS, "sqlite"),
    }
    more = {
        "langfuse (traces)": source("langfuse_traces.jsonl"),
        "langfuse (items)": source("langfuse_items.json"),
        "argilla (flat)": source("argilla_flat.json"),
        "fastchat (cleaned)": source("fastchat_battles.json"),
        "kiln (trace)": source("kiln_passed.kiln"),
        "chatgpt_beside (ratings)": source("chatgpt_message_feedback.json", name="message_feedback.json"),
    }
    assert found.keys() == by_name.keys()
    return {name: (by_name[name.split(" ")[0]], each) for name, each in {**found, **more}.items()}
