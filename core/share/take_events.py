"""The events of a bundle on their way in: through the recorder like any other, then what people said of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from core.capture.formats.parts import Lessons, Row, RowError
from core.capture.import_rows import Taken
from core.capture.incoming import Incoming, clean_correction
from core.capture.judging import Judge
from core.capture.keep import precedence
from core.errors import FinetuneError
from core.share.archive import Archive
from core.share.bundle import EVENT_KEYS
from core.share.manifest import EVENTS
from storage import events, judgments
from storage.rows import Verdict

_KNOWN: Final = frozenset((*EVENT_KEYS, "id", "feedback_type", "judgments"))
_NEEDED: Final = ("id", "prompt", "response", "category", "model")
_KINDS: Final[tuple[str, ...]] = get_args(Verdict)
_DEEPEST: Final = 100
_LINE_FACTOR: Final = 40  # ten fields of at most `capture.max_chars` characters, each of at most four bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """What a person said of an output; `at` in seconds since the epoch."""

    kind: Verdict
    at: float
    correction: str | None
    note: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Sent:
    """An event as the bundle tells it: its row, its id in the sender's store, what was said, what cannot be taken."""

    taken: Taken
    id: int
    statements: tuple[Statement, ...] = ()
    problems: tuple[str, ...] = ()


def read_events(archive: Archive, source: str, *, keep_pii: bool, max_chars: int) -> Iterator[Sent]:
    """Every event of a bundle, or the reason why it cannot be taken."""
    for number, value in read_rows(archive, EVENTS, max_chars):
        row = value if isinstance(value, Row) else Row(number, value)
        try:
            if row.error:
                raise RowError(row.error)
            yield _sent(source, row, keep_pii)
        except RowError as error:
            yield Sent(Taken(source, "bundle", row, error, ()), 0)


def read_rows(archive: Archive, name: str, max_chars: int) -> Iterator[tuple[int, Any]]:
    """The JSON objects of a file with their lines; a `Row` with an error where a line holds none."""
    for number, line in archive.lines(name, max_chars * _LINE_FACTOR):
        if line is None:
            yield number, Row(number, None, "The line is longer than any event may be.")
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, Row(number, None, f"The line is no JSON ({type(error).__name__}).")
            continue
        if isinstance(value, dict) and _is_deep(value):
            yield number, Row(number, None, "It is nested too deeply.")
        else:
            yield number, value if isinstance(value, dict) else Row(number, value, "The line holds no object.")


def _is_deep(value: Any) -> bool:
    """Whether there are more levels than what judges and stores the value may have to follow."""
    level = [value]
    for _ in range(_DEEPEST):
        inner = [
            each
            for one in level
            for each in (one.values() if isinstance(one, dict) else one)
            if isinstance(each, dict | list)
        ]
        if not inner:
            return False
        level = inner
    return True


def _sent(source: str, row: Row, keep_pii: bool) -> Sent:
    value: Mapping[str, Any] = row.value
    if missing := [key for key in _NEEDED if key not in value]:
        raise RowError(f"`{missing[0]}` is missing.")
    if strange := [key for key in value if key not in _KNOWN]:
        raise RowError(f"`{strange[0][:40]}` is no field of an event.")
    if not isinstance(value["id"], int) or isinstance(value["id"], bool):
        raise RowError("`id` is no whole number.")
    if not isinstance(value["category"], str):
        raise RowError("`category` is no text.")
    told = {key: value[key] for key in (*EVENT_KEYS, "feedback_type") if key in value}
    statements: list[Statement] = []
    problems: list[str] = []
    said = value.get("judgments", [])
    for one in said if isinstance(said, list) else [said]:
        try:
            statements.append(_statement(one))
        except RowError as error:
            problems.append(error.message)
    if told.get("feedback_type") in ("user_correction", "explicit_positive", "explicit_negative"):
        del told["feedback_type"]  # a person's own words are among the judgments
    incoming = Incoming(**told, sanitize=not keep_pii)
    taken = Taken(source, "bundle", row, Lessons(()), (incoming,))
    return Sent(taken, value["id"], tuple(statements), tuple(problems))


def _statement(value: Any) -> Statement:
    if not isinstance(value, dict):
        raise RowError("A judgment is no object.")
    kind, correction, note = value.get("kind"), value.get("correction"), value.get("note", "")
    if kind not in _KINDS:
        raise RowError("A judgment is of no known kind.")
    if (kind == "correct") != (isinstance(correction, str) and bool(correction.strip())):
        raise RowError("A correction has no text, or another judgment has one.")
    if not isinstance(note, str):
        raise RowError("The note of a judgment is no text.")
    at, seconds = value.get("at"), value.get("seconds")
    if seconds is not None:
        seconds = number_in(seconds, 1e9, "The time that a judgment took")
    return Statement(kind, number_in(at, 1e11, "The time of a judgment"), correction, note, seconds)


def number_in(value: Any, most: float, name: str) -> float:
    """A number from 0 to `most`. Raises RowError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= most:
        raise RowError(f"{name} is no number from 0 to {most:g}.")
    return float(value)


def say(judge: Judge, event_id: int, sent: Sent, *, new: bool, sanitised: bool, problems: list[str]) -> int:
    """Says of a stored event what the bundle tells, as far as it is news; how many judgments were added.

    Of a new event all is said in the order of the sender's log. Of one that was known a judgment is news when it is
    newer than what is in force here and says something else, so that both stores end with the same verdict whichever
    took in the other's bundle first. A judgment that stands in the log already, taken back or not, is never repeated.
    """
    event = events.get(judge.store, event_id)
    limit = judge.config.capture.max_chars
    log = {(row.kind, row.correction, row.created_at) for row in judgments.history(judge.store, event_id)}
    added = 0
    for one in sent.statements:
        try:
            correction = one.correction and clean_correction(
                one.correction, event, max_chars=limit, sanitised=sanitised
            )
            note = one.note and clean_correction(one.note, event, max_chars=limit, sanitised=sanitised)
        except FinetuneError as error:
            problems.append(error.message)
            continue
        if (one.kind, correction, one.at) in log or not (new or _is_news(judge, event_id, one, correction)):
            continue
        judge.judge(
            event_id, one.kind, correction=correction, note=note, seconds=one.seconds, sanitize=False, now=one.at
        )
        log.add((one.kind, correction, one.at))
        added += 1
    return added


def _is_news(judge: Judge, event_id: int, one: Statement, correction: str | None) -> bool:
    holds = judgments.current(judge.store, event_id)
    if holds is None:
        return True
    if (one.kind, correction) == (holds.kind, holds.correction):
        return False
    return precedence(one.at, one.kind, correction) > precedence(holds.created_at, holds.kind, holds.correction)
