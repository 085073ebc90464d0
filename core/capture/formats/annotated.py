"""What annotators said of the answers of one task, put together: the common part of the annotation tools' exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.capture.formats.chats import Request
from core.capture.formats.export_values import Judged, details, joined
from core.capture.formats.field_roles import Task
from core.capture.formats.parts import Answer, Lessons, Preference, RowError
from core.capture.formats.siblings import majority, most_common


@dataclass(slots=True)
class Said:
    """What one annotator said. Answers are called by their position; `text` is a whole answer that they wrote."""

    user: str = ""
    at: float | None = None
    votes: dict[tuple[int, int], float | None] = field(default_factory=dict)
    verdicts: dict[int, Judged] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)
    corrections: dict[int, str] = field(default_factory=dict)
    text: str = ""
    notes: list[str] = field(default_factory=list)
    labels: dict[str, Any] = field(default_factory=dict)


def annotated(
    task: Task,
    said: Sequence[Said],
    problems: Sequence[str],
    *,
    suggestion: str = "",
    model: str = "",
    metadata: Mapping[str, Any] | None = None,
    group: str = "",
) -> Lessons:
    """The answers of the task with what all annotators said of them.

    Of several annotators the verdict and the score said most often count, a tie going to the later one; of texts the
    later; a preference needs more votes for it than against. A task without answers is one in which the annotator
    wrote or picked the answer: the model's `suggestion`, when there is one, is then the response and the annotator's
    text its correction. Raises RowError when nothing was said that can be used.
    """
    problems = list(problems)
    users = list(dict.fromkeys(each.user for each in said if each.user))
    notes = joined(*(note for each in said for note in each.notes))
    at = next((each.at for each in reversed(said) if each.at is not None), None)
    labels: dict[str, Any] = {}
    for each in said:
        labels.update(each.labels)
    about = {**(metadata or {}), **details(user_id=users[0] if len(users) == 1 else users, labels=labels)}
    request = task.asked.request
    common: dict[str, Any] = {
        "context": task.context,
        "created_at": at,
        "group": group or request.group,
        "metadata": about,
    }
    problems += task.asked.problems
    if not task.answers:
        return _written(request, said, suggestion, model or task.model, notes=notes, common=common, problems=problems)
    answers = tuple(
        request.answer(
            response, model=task.model, **_told(position, said), **{**common, "metadata": {**about, "field": name}}
        )
        for position, (name, response) in enumerate(task.answers.items())
    )
    preferences, split = majority(each.votes for each in said)
    preferences = [each for each in preferences if answers[each.chosen].response != answers[each.rejected].response]
    answers = _with_notes(answers, preferences, notes)
    return Lessons(answers, tuple(preferences), (*problems, *split))


def _written(
    request: Request,
    said: Sequence[Said],
    suggestion: str,
    model: str,
    *,
    notes: str,
    common: Mapping[str, Any],
    problems: Sequence[str],
) -> Lessons:
    texts = [each.text for each in said if each.text.strip()]
    if not texts:
        raise RowError(" ".join(["The task holds no answer, and none was written or picked.", *problems[:2]]))
    final = most_common(texts)
    if not suggestion.strip():
        answer = request.answer(final, verdict="good", note=notes, **common)
    elif suggestion == final:
        answer = request.answer(suggestion, verdict="good", model=model, note=notes, **common)
    else:
        answer = request.answer(suggestion, correction=final, model=model, note=notes, **common)
    return Lessons((answer,), (), tuple(problems))


def _told(position: int, said: Sequence[Said]) -> dict[str, Any]:
    verdicts = [each.verdicts[position] for each in said if position in each.verdicts]
    scores = [str(each.scores[position]) for each in said if position in each.scores]
    corrections = [each.corrections[position] for each in said if each.corrections.get(position, "").strip()]
    return {
        "verdict": most_common(verdicts) if verdicts else None,
        "score": float(most_common(scores)) if scores else None,
        "correction": corrections[-1] if corrections else None,
    }


def _with_notes(answers: tuple[Answer, ...], preferences: Sequence[Preference], notes: str) -> tuple[Answer, ...]:
    """A remark on a comparison goes to the answer that won most, a remark on the only answer to that one."""
    if not notes:
        return answers
    wins = [sum(1 for each in preferences if each.chosen == index) for index in range(len(answers))]
    best = wins.index(max(wins))
    return tuple(replace(each, note=notes) if index == best else each for index, each in enumerate(answers))
