"""The results of a Label Studio annotation, read onto the answers of its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.capture.formats.annotated import Said
from core.capture.formats.export_values import (
    five_star,
    items,
    label,
    mapping,
    number,
    parsed,
    shown,
    star_verdict,
    text,
    verdict_of,
)
from core.capture.formats.field_roles import Task, is_correction, is_note, same_name, task_of
from core.capture.formats.siblings import ranked


@dataclass(frozen=True, slots=True)
class Board:
    """The task as the annotator saw it; `ids` finds the answer that a ranked item is."""

    task: Task
    prompt: str
    items_key: str
    ids: Mapping[str, int]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Board:
        """The task in a task's data; a list of items with ids makes each item an answer. Raises RowError."""
        task = task_of(data)
        asked = next((str(key) for key, value in data.items() if value == task.asked.request.prompt), "")
        for key, value in data.items():
            listed = {label(mapping(each).get("id")): _item_text(mapping(each)) for each in items(parsed(value))}
            listed = {name: each for name, each in listed.items() if name and each.strip()}
            if listed:
                ids = {name: position for position, name in enumerate(listed)}
                return cls(replace(task, answers=listed), asked, str(key), ids)
        return cls(task, asked, "", {})

    def position(self, name: str) -> int | None:
        """The position of the answer that a tag called `name` shows; None when it shows none."""
        names = list(self.task.answers)
        found = same_name(name, names)
        return names.index(found) if found else None


def _item_text(item: Mapping[str, Any]) -> str:
    return next((item[key] for key in ("body", "text", "content", "html", "title") if text(item.get(key)).strip()), "")


def suggested(predictions: Sequence[Any]) -> tuple[str, str]:
    """What the last prediction wrote or picked, and the model that did; empty texts when there is none."""
    for each in reversed(predictions):
        prediction = mapping(each)
        for result in items(prediction.get("result")):
            value = mapping(mapping(result).get("value"))
            words = [word for key in ("text", "choices") for word in _words(value.get(key))]
            if words:
                return ", ".join(words), text(prediction.get("model_version"))
    return "", ""


def _words(value: Any) -> list[str]:
    return [word for word in ([value] if isinstance(value, str) else items(value)) if isinstance(word, str) and word]


def read_results(results: Sequence[Any], board: Board, said: Said, problems: list[str]) -> Said:
    """`said` with what the results say; those that say nothing known are named in `problems`."""
    for each in results:
        result = mapping(each)
        value = mapping(result.get("value"))
        name, shows = text(result.get("from_name")), text(result.get("to_name"))
        if "selected" in value:
            _pairwise(value["selected"], shows, board, said, problems)
        elif "ranker" in value:
            _ranker(value["ranker"], board, said, problems)
        elif "rating" in value:
            _rating(value["rating"], _about(name, shows, board), said, problems)
        elif "choices" in value:
            _choices(_words(value["choices"]), name, shows, board, said)
        elif text(result.get("type")) in ("textarea", "text") and ("text" in value or "either" in value):
            _text("\n".join(_words(value.get("text", value.get("either")))), name, shows, board, said)
        else:
            problems.append(f"The result {shown(name)} of type {shown(result.get('type'))} was left out.")
    return said


def _pairwise(selected: Any, shows: str, board: Board, said: Said, problems: list[str]) -> None:
    """The first of the compared tags is the left one; tags not named like the fields take these in their order."""
    names = [board.position(part) for part in shows.split(",")] if shows else []
    sides = [position for position in names if position is not None]
    if len(sides) != 2:
        sides = [0, 1]
    if len(board.task.answers) < 2 or (len(board.task.answers) > 2 and None in names[:2]):
        problems.append("The comparison was left out: the task does not hold two answers that it could be about.")
    elif selected in ("left", "right"):
        left, right = sides
        said.votes[(left, right) if selected == "left" else (right, left)] = None
    else:
        problems.append(f"The comparison was left out: {shown(selected)} is neither left nor right.")


def _ranker(value: Any, board: Board, said: Said, problems: list[str]) -> None:
    """One list is a ranking, best first. Several are buckets, which rank only when their names say good and bad."""
    buckets = {
        str(name): [board.ids[label(each)] for each in items(listed) if label(each) in board.ids]
        for name, listed in (mapping(value) or {"rank": value}).items()
    }
    named = {name: listed for name, listed in buckets.items() if name != "_" and listed}
    if not named:
        problems.append("The ranking was left out: no item of the task was ranked.")
    elif len(named) == 1 and verdict_of(next(iter(named))) is None:
        said.votes.update(ranked([[each] for each in next(iter(named.values()))]))
    else:
        for name, listed in named.items():
            verdict = verdict_of(name)
            said.labels[name] = [list(board.task.answers)[each] for each in listed]
            if verdict is not None:
                said.verdicts.update(dict.fromkeys(listed, verdict))
        liked = [each for each, verdict in said.verdicts.items() if verdict == "good"]
        said.votes.update(ranked([liked, [each for each, verdict in said.verdicts.items() if verdict == "bad"]]))


def _rating(value: Any, position: int | None, said: Said, problems: list[str]) -> None:
    """Stars on one answer; Label Studio shows five unless told otherwise, which the export does not tell."""
    stars = number(value)
    if stars is None or not 1 <= stars <= 5 or position is None:
        what = "it is not on a scale of five" if position is not None else "it is not clear which answer it is about"
        problems.append(f"The rating {shown(value)} was left out: {what}.")
        return
    said.scores[position] = five_star(stars)
    verdict = star_verdict(stars)
    if verdict is not None:
        said.verdicts[position] = verdict


def _about(name: str, shows: str, board: Board) -> int | None:
    """The answer that a control is about: the one it stands at, the one it is named after, or the only one."""
    for part in (shows, name, name.rpartition("_")[2]):
        found = board.position(part)
        if found is not None:
            return found
    return 0 if len(board.task.answers) == 1 else None


def _choices(words: Sequence[str], name: str, shows: str, board: Board, said: Said) -> None:
    if not board.task.answers:
        said.text = ", ".join(words)
        return
    position = _about(name, shows, board)
    verdict = verdict_of(words[0]) if len(words) == 1 else None
    if verdict is not None and position is not None:
        said.verdicts[position] = verdict
        return
    picked = board.position(words[0]) if len(words) == 1 else None
    if picked is not None:
        said.votes.update(dict.fromkeys(((picked, each) for each in _others(picked, board)), None))
    elif words:
        said.labels[name] = list(words)


def _others(picked: int, board: Board) -> list[int]:
    return [each for each in range(len(board.task.answers)) if each != picked]


def _text(words: str, name: str, shows: str, board: Board, said: Said) -> None:
    """A text of the annotator: a remark by its name, else a better answer where one answer can be meant."""
    if not words.strip():
        return
    position = _about(name, shows, board)
    if is_note(name):
        said.notes.append(words)
    elif not board.task.answers:
        said.text = words
    elif verdict_of(words) is not None and not is_correction(name) and position is not None:
        said.verdicts[position] = verdict_of(words) or "good"
    elif position is not None:
        said.corrections[position] = words
    else:
        said.notes.append(words)
