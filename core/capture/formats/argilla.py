"""Argilla: records with fields, suggestions and responses, nested or with one column each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.capture.formats.annotated import Said, annotated
from core.capture.formats.argilla_records import Record, flat_record, nested_record
from core.capture.formats.export_rows import answered, share
from core.capture.formats.export_values import (
    details,
    label,
    mapping,
    number,
    shown,
    star_verdict,
    verdict_of,
)
from core.capture.formats.field_roles import Task, is_correction, is_note, same_name, task_of
from core.capture.formats.parts import Lessons, Row, RowError, Source
from core.capture.formats.siblings import ranked

_LONG: Final = 40


class ArgillaRecords:
    """One record. Of several annotators the later text and the value given most often count (a tie: the later).

    An export does not say how long a rating's scale is: it is taken to be 1 to 5, unless some record of the file has a
    rating above 5, then 1 to 10; beyond that ratings are only kept as labels.
    """

    name = "argilla"
    title = "Argilla records"
    mapping: Mapping[str, str] = {
        "fields.prompt, instruction, …": "prompt",
        "fields.response, answer-1, …": "responses",
        "responses: ranking": "preferences",
        "responses: rating": "score, and good or bad at the ends",
        "responses: label": "verdict or preference; the answer itself when the record holds none",
        "responses: text": "correction, or note when it is named comment, reason, …",
        "suggestions": "response, when the record holds no answer",
        "user_id": "user_id",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.95 for records with fields and responses, and for rows with columns called `<question>.responses`."""
        return share(
            sample,
            lambda row: (
                (isinstance(row.get("fields"), Mapping) and not {"responses", "suggestions"}.isdisjoint(row))
                or any(str(key).endswith((".responses", ".responses.status")) for key in row)
            ),
        )

    def lessons(self, source: Source) -> Iterator[tuple[Row, Lessons | RowError]]:
        """Every record with what the annotators said."""
        longest: dict[str, float] = defaultdict(float)
        for row in source.rows():
            try:
                record = _record(mapping(row.value))
            except RecursionError:
                continue
            for question, value in ((name, each) for said in record.said.values() for name, each in said.items()):
                found = number(value) if not isinstance(value, str) else None
                if found is not None:
                    longest[question] = max(longest[question], found)
        scales = {question: 5 if top <= 5 else 10 if top <= 10 else 0 for question, top in longest.items()}
        yield from answered(source, lambda value: _lessons(_record(mapping(value)), scales))


def _record(row: Mapping[str, Any]) -> Record:
    return nested_record(row) if isinstance(row.get("fields"), Mapping) else flat_record(row)


def _lessons(record: Record, scales: Mapping[str, int]) -> Lessons:
    problems = list(record.problems)
    if not record.said:
        raise RowError(" ".join(["Nobody submitted a response.", *problems[:3]]))
    reader = _Reader(task_of(record.fields), scales, problems)
    said = []
    for user, values in record.said.items():
        said.append(Said(user=user))
        for question, value in values.items():
            reader.read(question, value, said[-1])
    suggestion, agent = "", ""
    for each in record.suggestions.values():
        if isinstance(each.value, str) and not suggestion:
            suggestion, agent = each.value, each.agent
    about = details(record_id=record.id, record=record.metadata)
    return annotated(reader.task, said, problems, suggestion=suggestion, model=agent, metadata=about, group=record.id)


@dataclass(slots=True)
class _Reader:
    """Reads the values of questions, whose kinds an export does not name, by their shape."""

    task: Task
    scales: Mapping[str, int]
    problems: list[str]
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = list(self.task.answers)

    def read(self, question: str, value: Any, said: Said) -> None:
        """Adds to `said` what `value` says as the response to `question`."""
        if isinstance(value, list | tuple):
            self._several(question, value, said)
        elif isinstance(value, str):
            self._text(question, value, said)
        elif number(value) is not None:
            self._rating(question, number(value) or 0.0, said)
        elif value is not None:
            self.problems.append(f"The response to {shown(question)} was left out: it is {shown(value)}.")

    def _several(self, question: str, value: Sequence[Any], said: Said) -> None:
        places = [(number(mapping(each).get("rank")), label(mapping(each).get("value"))) for each in value]
        if not places or any(rank is None for rank, _ in places):
            words = [each for each in value if isinstance(each, str)]
            if words and not self.names:
                said.text = ", ".join(words)
            elif words:
                said.labels[question] = words
            return
        groups: dict[float, list[int]] = defaultdict(list)
        for rank, name in places:
            position = self._position(name)
            if position is None:
                self.problems.append(f"The rank of {shown(name)} was left out: no answer of the record is called so.")
            else:
                groups[rank or 0.0].append(position)
        said.votes.update(ranked([groups[rank] for rank in sorted(groups)]))

    def _position(self, name: str) -> int | None:
        found = same_name(name, self.names)
        if found:
            return self.names.index(found)
        tail = name.rpartition("-")[2].rpartition("_")[2]
        ends = [each for each in self.names if tail and each.lower().endswith(tail.lower())]
        return self.names.index(ends[0]) if len(ends) == 1 else None

    def _rating(self, question: str, value: float, said: Said) -> None:
        scale, position = self.scales.get(question, 0), self._about(question)
        if position is None or not scale or not 1 <= value <= scale:
            said.labels[question] = value
            return
        share = (value - 1) / (scale - 1)
        said.scores[position] = share * 100
        verdict = star_verdict(1 + share * 4)
        if verdict is not None:
            said.verdicts[position] = verdict

    def _about(self, question: str) -> int | None:
        if len(self.names) == 1:
            return 0
        found = [index for index, name in enumerate(self.names) if same_name(name, [question]) or name in question]
        return found[0] if len(found) == 1 else None

    def _text(self, question: str, value: str, said: Said) -> None:
        position = self._about(question)
        if not value.strip():
            return
        if is_note(question):
            said.notes.append(value)
        elif not self.names:
            said.text = value
        elif verdict_of(value) is not None and position is not None:
            said.verdicts[position] = verdict_of(value) or "good"
        elif (picked := self._position(value)) is not None:
            others = [index for index in range(len(self.names)) if index != picked]
            said.votes.update({(picked, other): None for other in others})
        elif position is not None and (is_correction(question) or len(value) > _LONG):
            said.corrections[position] = value
        else:
            said.labels[question] = value
