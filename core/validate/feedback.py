"""What kind of feedback an event is: said by a person, or told by its score."""

from __future__ import annotations

from typing import Final, get_args

from storage.rows import EventRow, FeedbackType, NewEvent, Verdict

SUCCESS_FROM: Final = 80.0
FAILURE_BELOW: Final = 60.0
FEEDBACK_TYPES: Final[tuple[str, ...]] = get_args(FeedbackType)
_BY_VERDICT: Final[dict[str, FeedbackType]] = {
    "good": "explicit_positive",
    "bad": "explicit_negative",
    "reject": "explicit_negative",
    "correct": "user_correction",
}


def feedback_type_of(score: float | None, verdict: Verdict | None) -> FeedbackType:
    """A person's verdict decides; without one a score of 80 or more is a success, below 60 a failure, else neutral."""
    if verdict is not None and verdict in _BY_VERDICT:
        return _BY_VERDICT[verdict]
    if score is None or FAILURE_BELOW <= score < SUCCESS_FROM:
        return "neutral"
    return "success" if score >= SUCCESS_FROM else "validation_failure"


def current_feedback_type(event: EventRow | NewEvent) -> FeedbackType:
    """The type as of now: the verdict in force decides. What a person said and then took back counts no more."""
    if event.verdict in _BY_VERDICT:
        return _BY_VERDICT[event.verdict]
    if event.feedback_type in _BY_VERDICT.values():
        return feedback_type_of(event.score, None)
    return event.feedback_type
