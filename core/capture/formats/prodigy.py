"""Prodigy's annotations: choices among options, and yes or no to an answer or a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.capture.formats.annotated import Said, annotated
from core.capture.formats.export_rows import share
from core.capture.formats.export_values import Judged, details, items, joined, label, mapping, seconds, shown, text
from core.capture.formats.field_roles import Task, task_of
from core.capture.formats.parts import Lessons, RowError, RowFormat


class ProdigyAnnotations(RowFormat):
    """One task: accepted options are preferred to the others; an answer or label is good or bad."""

    name = "prodigy"
    title = "Prodigy annotations"
    mapping: Mapping[str, str] = {
        "prompt, question, text, …": "prompt",
        "options": "responses",
        "accept": "good, and preferences to the options not taken",
        "answer accept or reject": "verdict of the response or the label",
        "user_input": "correction, or the response when there is none",
        "_timestamp": "created_at",
    }

    def matches(self, source: Any, sample: Sequence[Any]) -> float:
        """0.95 when the rows are answered and carry Prodigy's hashes or view."""
        return share(
            sample,
            lambda row: (
                row.get("answer") in ("accept", "reject", "ignore")
                and not {"_task_hash", "_input_hash", "_view_id", "_annotator_id"}.isdisjoint(row)
            ),
        )

    def read(self, value: Any) -> Lessons:
        """One task. Raises RowError."""
        entry = mapping(value)
        answer = entry.get("answer")
        if answer == "ignore":
            raise RowError("The annotator ignored the task.")
        if answer not in ("accept", "reject"):
            raise RowError(f"The task's answer is {shown(answer)}, neither accept nor reject.")
        said = Said(
            user=label(entry.get("_annotator_id")) or label(entry.get("_session_id")),
            at=seconds(entry.get("_timestamp")),
            notes=[joined(entry.get("comment"), entry.get("note"))],
        )
        options = items(entry.get("options"))
        fields = {key: each for key, each in entry.items() if not str(key).startswith("_") and key != "answer"}
        task = task_of(fields)
        problems: list[str] = []
        verdict: Judged = "good" if answer == "accept" else "bad"
        if options:
            task = _choice(task, entry, verdict, said, problems)
        elif task.answers:
            said.verdicts = dict.fromkeys(range(len(task.answers)), verdict)
            if len(task.answers) == 1 and text(entry.get("user_input")).strip():
                said.corrections[0] = str(entry["user_input"])
        elif label(entry.get("label")):
            task = Task(task.asked, task.context, {"label": label(entry["label"])})
            said.verdicts[0] = verdict
        elif verdict == "good":
            said.text = text(entry.get("user_input"))
        about = details(view=text(entry.get("_view_id")), task_hash=entry.get("_task_hash"), meta=entry.get("meta"))
        return annotated(task, [said], problems, metadata=about, group=label(entry.get("_input_hash")))


def _choice(task: Task, entry: Mapping[str, Any], verdict: Judged, said: Said, problems: list[str]) -> Task:
    names: dict[str, str] = {}
    for position, each in enumerate(items(entry.get("options")), start=1):
        option = mapping(each)
        words = text(option.get("text")) or text(option.get("html"))
        if words.strip():
            names[label(option.get("id")) or str(position)] = words
        else:
            problems.append(f"Option {position} was left out: it holds no text.")
    if not names:
        raise RowError("No option holds text.")
    order = list(names)
    taken = [order.index(label(each)) for each in items(entry.get("accept")) if label(each) in names]
    others = [position for position in range(len(order)) if position not in taken]
    if verdict == "bad" and taken:
        raise RowError("The task was rejected although options were taken, so neither can be trusted.")
    if verdict == "good" and not taken:
        problems.append("No option was taken, so none is preferred.")
    said.verdicts = dict.fromkeys(taken, "good") if verdict == "good" else dict.fromkeys(others, "bad")
    said.votes = {(better, worse): None for better in taken for worse in others}
    return Task(task.asked, task.context, names, task.model)
