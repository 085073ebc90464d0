"""From what a format read to feedback that can be recorded, and the account that an import keeps of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from core.capture.formats.parts import Answer, Lessons, Row, RowError, Turn
from core.capture.incoming import Incoming
from core.capture.keep import Recorded
from storage import pairs
from storage.db import Store

UNKNOWN_MODEL: Final = "unknown"
_UNSCORED_MARGIN: Final = 0.5
_TURNS: Final = 50


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to read a file. `category` and `model` stand in where a row names none; `format` is a format's name, None
    detects it; `mapping` says which column is the prompt, the response, … of a table of one's own."""

    category: str = ""
    model: str = ""
    format: str | None = None
    mapping: Mapping[str, str] | None = None
    keep_pii: bool = False


@dataclass(slots=True)
class Counts:
    """The account of an import: read = accepted + merged + rejected, all in rows.

    A row is accepted when something of it is new (an output, a judgment, a preference), merged when all of it was
    known, rejected when nothing of it could be taken. `judged` counts statements of people that were new, `parts` what
    was left out of rows that were not rejected, `replaced` what the sanitiser replaced in new outputs, by kind.
    """

    read: int = 0
    accepted: int = 0
    merged: int = 0
    rejected: int = 0
    events: int = 0
    judged: int = 0
    pairs: int = 0
    parts: int = 0
    near_duplicates: int = 0
    rejects_bytes: int = 0
    replaced: Counter[str] = field(default_factory=Counter)

    def add_output(self, one: Recorded) -> None:
        """Counts an output, if it was not known before."""
        if not one.duplicate:
            self.events += 1
            self.near_duplicates += one.near_duplicate is not None
            self.replaced.update(one.sanitized)

    def to_mapping(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"replaced": dict(self.replaced)}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Counts:
        """The account as it was kept; empty for an import that has just begun."""
        return cls(**{**values, "replaced": Counter(values.get("replaced", {}))}) if values else cls()


@dataclass(frozen=True, slots=True)
class Taken:
    """A row on its way in: what it holds or why it was refused, and the feedback made of each of its answers."""

    source: str
    format: str
    row: Row
    lessons: Lessons | RowError
    incoming: tuple[Incoming, ...]


def taken(source: str, format_name: str, row: Row, lessons: Lessons | RowError, options: ImportOptions) -> Taken:
    """The feedback in a row; a row without category and an import without one is refused."""
    if isinstance(lessons, RowError):
        return Taken(source, format_name, row, lessons, ())
    if not lessons.answers:
        why = "; ".join(lessons.problems) or "It holds no answer of a model."
        return Taken(source, format_name, row, RowError(why), ())
    if not options.category and any(not answer.category for answer in lessons.answers):
        return Taken(source, format_name, row, RowError("It names no category, and the import was given none."), ())
    made = tuple(incoming_of(answer, f"import:{format_name}", options) for answer in lessons.answers)
    return Taken(source, format_name, row, lessons, made)


def incoming_of(answer: Answer, source: str, options: ImportOptions) -> Incoming:
    """The feedback in one answer, as coming from `source`; what it does not name is taken from the options."""
    return Incoming(
        prompt=answer.prompt,
        response=answer.response,
        category=answer.category or options.category,
        model=answer.model or options.model or UNKNOWN_MODEL,
        score=answer.score,
        feedback_type=answer.feedback_type,
        correction=answer.correction,
        verdict=answer.verdict,
        confidence=answer.confidence,
        context=answer.context,
        system=answer.system,
        source=source,
        group_key=answer.group,
        latency_ms=answer.latency_ms,
        metadata=answer.metadata,
        created_at=answer.created_at,
        sanitize=not options.keep_pii,
        history=recent_turns(answer.history),
        note=answer.note,
    )


def recent_turns(history: Sequence[Turn]) -> Sequence[Turn]:
    """The last 50 turns at most, from a question on: in a chat of thousands each answer would carry all before it."""
    kept = history[-_TURNS:]
    first = next((at for at, turn in enumerate(kept) if turn.get("role") == "user"), len(kept))
    return kept if len(kept) == len(history) else kept[first:]


def add_preferences(
    store: Store, lessons: Lessons, stored: Mapping[int, tuple[Incoming, Recorded]], *, now: float, problems: list[str]
) -> int:
    """Stores the row's preferences between the answers that were taken (by index); how many are new."""
    added = 0
    for one in lessons.preferences:
        if one.chosen not in stored or one.rejected not in stored:
            problems.append("A preference lost one of its two answers.")
            continue
        (chosen, better), (rejected, worse) = stored[one.chosen], stored[one.rejected]
        if better.event_id == worse.event_id:
            problems.append("A preference is between two equal answers.")
            continue
        if pairs.between(store, better.event_id, worse.event_id):
            continue
        texts = pairs.texts(store, better.event_id, worse.event_id)
        pairs.add(
            store,
            created_at=chosen.created_at or rejected.created_at or now,
            category=chosen.category,
            prompt=texts.prompt,
            chosen=texts.chosen,
            rejected=texts.rejected,
            margin=_margin(one.margin, better, worse),
            source=one.source,
            chosen_event=better.event_id,
            rejected_event=worse.event_id,
        )
        added += 1
    return added


def _margin(told: float | None, better: Recorded, worse: Recorded) -> float:
    """What the row tells, else the difference of the scores / 100, else the middle: nobody said by how much."""
    if told is not None:
        return min(1.0, max(0.0, told))
    if better.score is not None and worse.score is not None and better.score > worse.score:
        return (better.score - worse.score) / 100.0
    return _UNSCORED_MARGIN
