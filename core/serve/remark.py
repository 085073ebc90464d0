"""What a caller says of an answer afterwards: read from the forms in which applications send it, and kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from core.capture.formats.export_values import label, number, shown, star_verdict, verdict_of
from core.capture.incoming import clean_correction
from core.capture.record import Recorder
from core.errors import FinetuneError
from core.select.split import content_hash
from core.validate.feedback import FAILURE_BELOW, SUCCESS_FROM
from storage import events, judgments
from storage.rows import EventRow, Verdict

ID_KEYS: Final = ("id", "response_id")
_SCALE_KEYS: Final = ("scale", "out_of", "max")
_TITLE: Final = "The feedback was not taken"
_STARS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Remark:
    """What was said of one answer, at `at` (seconds since the epoch).

    `response_id` is the id of the gateway or the one in the answer's body. Without a verdict and a correction the
    person gave a middle mark, which says neither good nor bad. `seconds` is the time that the person took.
    """

    response_id: str
    at: float
    verdict: Literal["good", "bad"] | None = None
    correction: str = ""
    note: str = ""
    seconds: float | None = None

    def to_json(self) -> str:
        """One line of a journal."""
        return json.dumps({"remark": asdict(self)}, separators=(",", ":"))


def remark_from(body: Any, *, at: float) -> Remark:
    """The remark in a request's body. Raises FinetuneError for one that says nothing, or nothing clear.

    An answer is named by `id` or `response_id`. What is said of it may be a `verdict` (good, bad, up, down, 1, -1,
    true, 👍, …), a `rating` (the same words, 1 or -1 for a thumb, 2 to 5 for stars, 1 star with `"scale": 5`), `stars`
    1-5, a `score` 0-100, and a `correction`, each with a `note` and the `seconds` that the person took.
    """
    if not isinstance(body, Mapping):
        raise _refused(f"Feedback is an object, not {shown(body)}.", 'Send {"id": "…", "verdict": "good"}.')
    response_id = next((found for key in ID_KEYS if (found := label(body.get(key)))), "")
    if not response_id:
        raise _refused(
            "The feedback names no answer.",
            "Give the answer's X-Finetune-Response-Id, or the id in its body, as `id`.",
        )
    correction, note = _text(body, "correction"), _text(body, "note") or _text(body, "comment")
    marks = [read(body) for read in (_verdict, _rating, _stars, _score)]
    given = [mark for mark in marks if mark is not None]
    said = {mark for mark in given if mark != "middle"}
    if len(said) > 1:
        raise _refused("The feedback says good and bad at once.", "Send one of verdict, rating and score.")
    if not given and not correction:
        raise _refused(
            "The feedback says neither good nor bad." + (" A note alone is not kept." if note else ""),
            "Send a verdict (good or bad), a rating, a score from 0 to 100, or a correction.",
        )
    seconds = number(body.get("seconds"))
    return Remark(
        response_id=response_id,
        at=at,
        verdict="good" if "good" in said else "bad" if "bad" in said else None,
        correction=correction,
        note=note,
        seconds=seconds if seconds is not None and 0.0 <= seconds <= 1e9 else None,
    )


Mark = Literal["good", "bad", "middle"]


def _verdict(body: Mapping[str, Any]) -> Mark | None:
    value = body.get("verdict")
    found = verdict_of(value)
    if value is not None and found is None:
        raise _refused(f"`verdict` is {shown(value)}.", "Use good or bad, up or down, 1 or -1.")
    return found


def _rating(body: Mapping[str, Any]) -> Mark | None:
    value = body.get("rating")
    if value is None:
        return None
    stars = any(number(body.get(key)) == _STARS for key in _SCALE_KEYS)
    if isinstance(value, str) and value.strip().endswith("/5"):
        value, stars = value.strip().removesuffix("/5"), True
    found = number(value)
    if found is None:
        told = verdict_of(value)
    elif not stars and found in (1.0, -1.0):
        told = verdict_of(found)
    elif 1.0 <= found <= _STARS:
        return star_verdict(found) or "middle"
    else:
        told = None
    if told is None:
        raise _refused(f"`rating` is {shown(value)}.", "Use up or down, 1 or -1, or 2 to 5 stars (1 star: stars = 1).")
    return told


def _stars(body: Mapping[str, Any]) -> Mark | None:
    value = body.get("stars")
    if value is None:
        return None
    found = number(value)
    if found is None or not 1.0 <= found <= _STARS:
        raise _refused(f"`stars` is {shown(value)}, not a number from 1 to 5.", "Send 1 to 5.")
    return star_verdict(found) or "middle"


def _score(body: Mapping[str, Any]) -> Mark | None:
    value = body.get("score")
    if value is None:
        return None
    found = number(value)
    if found is None or not 0.0 <= found <= 100.0:
        raise _refused(f"`score` is {shown(value)}, not a number from 0 to 100.", "Send 0 to 100, or a verdict.")
    if 0.0 < found <= 1.0:
        raise _refused(
            f"`score` is {found:g}, which may be a share of 1 or of 100.",
            "Send it on the scale 0 to 100, or a verdict.",
        )
    return "good" if found >= SUCCESS_FROM else "bad" if found < FAILURE_BELOW else "middle"


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _refused(f"`{key}` is {shown(value)}, not text.", "Send it as a string.")
    return value if value.strip() else ""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a remark: the verdict that it made, and whether anything changed by it."""

    event_id: int
    verdict: Verdict | None
    changed: bool
    correction_score: float | None = None

    def to_mapping(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def apply(recorder: Recorder, remark: Remark, event_id: int) -> Applied:
    """Judges the event of an answer, durable when the call returns.

    The same remark changes nothing the second time, whether a caller repeats it or a journal is read again after a
    kill, and it does not override what was said later. Raises NotFoundError for an event that is gone, and
    FinetuneError for a text that cannot be taken.
    """
    store = recorder.store
    with store.transaction(durable=True):
        event = events.get(store, event_id)
        verdict, correction = _statement(recorder, remark, event)
        if verdict is None:
            return Applied(event_id, None, changed=False)
        note = _cleaned(recorder, remark.note, event) if remark.note else ""
        if not _is_news(recorder, remark, event, (verdict, correction, note)):
            return Applied(event_id, verdict, changed=False)
        validation = recorder.judging.judge(
            event_id, verdict, correction=correction, note=note, seconds=remark.seconds, now=remark.at
        )
        return Applied(event_id, verdict, changed=True, correction_score=validation.score if validation else None)


def _statement(recorder: Recorder, remark: Remark, event: EventRow) -> tuple[Verdict | None, str | None]:
    """A correction that changes nothing is praise, as everywhere else."""
    if not remark.correction:
        return remark.verdict, None
    correction = _cleaned(recorder, remark.correction, event)
    if content_hash("", correction) == content_hash("", event.response):
        return "good", None
    return "correct", correction


def _is_news(recorder: Recorder, remark: Remark, event: EventRow, statement: tuple[Verdict, str | None, str]) -> bool:
    log = judgments.history(recorder.store, event.id)
    if any((row.created_at, row.kind) == (remark.at, statement[0]) for row in log):
        return False
    if event.judged_at is not None and event.judged_at > remark.at:
        return False
    current = judgments.current(recorder.store, event.id)
    if current is None:
        return True
    verdict, correction, note = statement
    same = (current.kind, current.correction) == (verdict, correction)
    return not same or (bool(note) and note != current.note)


def _cleaned(recorder: Recorder, text: str, event: EventRow) -> str:
    capture = recorder.config.capture
    return clean_correction(text, event, max_chars=capture.max_chars, sanitised=capture.sanitize)


def _refused(message: str, hint: str) -> FinetuneError:
    return FinetuneError(message, title=_TITLE, hint=hint)
