"""Label Studio: its JSON export, and the flattened JSON-MIN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.capture.formats.annotated import Said, annotated
from core.capture.formats.export_rows import share
from core.capture.formats.export_values import details, items, label, mapping, parsed, seconds, verdict_of
from core.capture.formats.field_roles import is_correction, is_note
from core.capture.formats.label_studio_results import Board, read_results, suggested
from core.capture.formats.parts import Lessons, RowError, RowFormat

_MAPPING: Final = {
    "data.prompt, question, text, …": "prompt",
    "data.answer1, response, …, items": "responses",
    "Pairwise, Ranker": "preferences",
    "Rating": "score (v - 1) / 4 * 100; good from 4, bad to 2",
    "Choices": "verdict; the answer itself when the task holds none",
    "TextArea": "correction, or note when it is named comment, reason, …",
    "predictions": "response, when the task holds no answer",
    "completed_by": "user_id",
}
_FLAT: Final = frozenset({"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"})


class LabelStudioJson(RowFormat):
    """One task with its annotations. Cancelled annotations are left out and named."""

    name = "label_studio"
    title = "Label Studio JSON"
    mapping: Mapping[str, str] = _MAPPING

    def matches(self, source: Any, sample: Sequence[Any]) -> float:
        """0.95 when the rows are tasks with data and annotations."""
        return share(
            sample,
            lambda row: (
                isinstance(row.get("data"), Mapping)
                and (isinstance(row.get("annotations"), list) or isinstance(row.get("completions"), list))
            ),
        )

    def read(self, value: Any) -> Lessons:
        """One task. Raises RowError."""
        entry = mapping(value)
        data = mapping(entry.get("data"))
        notes: list[str] = []
        taken = []
        told = items(entry.get("annotations")) or items(entry.get("completions"))
        if not told:
            raise RowError("The task was not annotated yet.")
        for position, each in enumerate(told, start=1):
            annotation = mapping(each)
            name = label(annotation.get("id")) or str(position)
            if annotation.get("was_cancelled") is True:
                notes.append(f"Annotation {name} was skipped by the annotator.")
            elif not items(annotation.get("result")):
                notes.append(f"Annotation {name} is empty.")
            else:
                taken.append(annotation)
        if not taken:
            raise RowError(" ".join(["No annotation can be used.", *notes[:3]]))
        board = Board.of(data)
        # An expert's reference annotation ("ground truth") is heard last, so that it decides ties.
        taken.sort(key=lambda each: (each.get("ground_truth") is True, _time(each) or 0.0))
        said = [
            read_results(
                items(annotation.get("result")),
                board,
                Said(user=_user(annotation.get("completed_by")), at=_time(annotation)),
                notes,
            )
            for annotation in taken
        ]
        suggestion, model = suggested(items(entry.get("predictions")))
        return annotated(
            board.task,
            said,
            notes,
            suggestion=suggestion,
            model=model,
            metadata=details(task_id=label(entry.get("id")), project=label(entry.get("project"))),
            group=label(entry.get("id")),
        )


class LabelStudioMin(RowFormat):
    """One annotation a row, its results beside the task's own fields."""

    name = "label_studio_min"
    title = "Label Studio JSON-MIN"
    mapping: Mapping[str, str] = _MAPPING

    def matches(self, source: Any, sample: Sequence[Any]) -> float:
        """0.95 when the rows carry the keys that JSON-MIN adds to a task's fields."""
        return share(sample, lambda row: {"annotation_id", "lead_time"} <= row.keys() and len(_FLAT & row.keys()) >= 4)

    def read(self, value: Any) -> Lessons:
        """One annotation. Raises RowError."""
        entry = mapping(value)
        fields = {str(key): each for key, each in entry.items() if key not in _FLAT}
        results = [result for key, each in fields.items() for result in _results(key, parsed(each))]
        named = {result["from_name"] for result in results}
        board = Board.of({key: each for key, each in fields.items() if key not in named})
        known = set(board.task.answers) | {board.prompt, board.items_key}
        results += [
            {"from_name": key, "type": "text", "value": {"either": each}}
            for key, each in fields.items()
            if key not in named and key not in known and _is_result(key, each, answered=bool(board.task.answers))
        ]
        problems: list[str] = []
        said = Said(user=_user(entry.get("annotator")), at=_time(entry))
        read_results(results, board, said, problems)
        about = details(task_id=label(entry.get("id")), annotation_id=label(entry.get("annotation_id")))
        return annotated(board.task, [said], problems, metadata=about, group=label(entry.get("id")))


def _is_result(name: str, value: Any, *, answered: bool) -> bool:
    """Whether a text is something the annotator said; JSON-MIN does not keep it apart from the task's own fields.

    Beside an answer only a remark, a correction or a verdict can be told; without one the last text is the label.
    """
    says = is_note(name) or is_correction(name) or verdict_of(value) is not None or not answered
    return isinstance(value, str) and bool(value.strip()) and says


def _results(name: str, value: Any) -> list[dict[str, Any]]:
    """The results in a column of JSON-MIN: a list of the values, or one of them."""
    found = []
    for each in value if isinstance(value, list) else [value]:
        entry = mapping(each)
        kinds = [kind for kind in ("selected", "ranker", "rating", "choices", "text") if kind in entry]
        if kinds and "id" not in entry:
            found.append({"from_name": name, "to_name": entry.get("to_name"), "type": kinds[0], "value": entry})
    return found


def _time(annotation: Mapping[str, Any]) -> float | None:
    return seconds(annotation.get("updated_at")) or seconds(annotation.get("created_at"))


def _user(value: Any) -> str:
    """An annotator is written as a number, an address or an object with both."""
    return label(value) or label(mapping(value).get("email")) or label(mapping(value).get("id"))
