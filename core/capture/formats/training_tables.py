"""Rows with a question and an answer in columns under the usual names, and H2O's chains of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from core.capture.formats.chats import Request, request_from
from core.capture.formats.export_values import label, shown, text
from core.capture.formats.parts import Lessons, Row, RowError, RowFormat, Source, Turn
from core.capture.formats.training_chat import record_of
from core.capture.formats.training_text import required

_PROMPTS: Final = ("prompt", "instruction", "question", "query", "input")
_RESPONSES: Final = ("answer", "response", "output", "completion")
_OTHERS: Final = frozenset({"chosen", "rejected", "label", "kto_tag", "messages", "conversations", "rejected_response"})


def _keys(record: Any) -> tuple[str, str]:
    """The columns with the question and the answer; empty when there are none."""
    if not isinstance(record, dict) or record.keys() & _OTHERS:
        return "", ""
    asked = next((key for key in _PROMPTS if key in record), "")
    answered = next((key for key in _RESPONSES if key in record), "")
    return (asked, answered) if asked and answered else ("", "")


class QuestionAnswer(RowFormat):
    """Rows with a question and an answer under the usual names."""

    name: str = "question_answer"
    title: str = "Questions and answers in columns"
    mapping: Mapping[str, str] = {
        "prompt, instruction, question, query or input": "prompt",
        "answer, response, output or completion": "response",
        "system": "system",
        "category": "category",
        "model": "model",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.5 when both columns are there: their names say little."""
        return 0.5 * sum(bool(_keys(row)[0]) for row in sample) / len(sample) if sample else 0.0

    def read(self, value: Any) -> Lessons:
        """The answer in one row. Raises RowError."""
        record = record_of(value)
        asked, answered = _keys(record)
        if not asked:
            raise RowError("It has no columns for a question and its answer.")
        request = request_from(required(record, asked), system=text(record.get("system")))
        category, model = text(record.get("category")), text(record.get("model"))
        return Lessons((request.answer(required(record, answered), category=category, model=model),))


class H2OChains(QuestionAnswer):
    """H2O LLM Studio's rows, which name the row before them in a chat by `parent_id`."""

    name: str = "h2o"
    title: str = "H2O LLM Studio"
    mapping: Mapping[str, str] = {
        **QuestionAnswer.mapping,
        "parent_id": "history: the questions and answers of the rows above in the chain",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.9 when ids, parents, a question and an answer are there."""
        fitting = sum(bool(_keys(row)[0]) and {"id", "parent_id"} <= row.keys() for row in sample)
        return 0.9 * fitting / len(sample) if sample else 0.0

    def lessons(self, source: Source) -> Iterator[tuple[Row, Lessons | RowError]]:
        """Every row with the chain before it; the rows that others name as their parent are held."""
        parents = {_id(row.value, "parent_id") for row in source.rows()} - {""}
        held = {_id(row.value, "id"): row.value for row in source.rows() if _id(row.value, "id") in parents}
        for row in source.rows():
            try:
                yield row, RowError(row.error) if row.error else self._chained(row.value, held)
            except RowError as error:
                yield row, error
            except RecursionError:
                yield row, RowError("It is nested too deeply.")

    def _chained(self, value: Any, held: Mapping[str, Mapping[str, Any]]) -> Lessons:
        (answer,) = self.read(value).answers
        system, problems = answer.system, []
        turns: list[Turn] = []
        passed = {_id(value, "id")}
        parent = _id(value, "parent_id")
        while parent:
            if parent in passed:
                raise RowError("It stands in a chain of parents that leads back to itself.")
            passed.add(parent)
            above = held.get(parent)
            if above is None:
                problems.append(f"Its parent {shown(parent)} is not in the file, so what came before is missing.")
                break
            asked, answered = _keys(above)
            turns[:0] = (
                {"role": "user", "content": text(above.get(asked))},
                {"role": "assistant", "content": text(above.get(answered))},
            )
            system = system or text(above.get("system"))
            parent = _id(above, "parent_id")
        request = Request(answer.prompt, system, tuple(turns))
        whole = request.answer(answer.response, category=answer.category, model=answer.model)
        return Lessons((whole,), (), tuple(problems))


def _id(value: Any, key: str) -> str:
    found = label(value.get(key)) if isinstance(value, dict) else ""
    return "" if found.lower() in ("nan", "none", "null") else found
