"""What lies beside the conversations of a ChatGPT export: thumbs, and answers that were compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from core.capture.formats.export_values import Judged, items, joined, label, mapping, parsed, shown, text, verdict_of
from core.capture.formats.parts import RowError, Source

FEEDBACK: Final = "message_feedback.json"
COMPARISONS: Final = "model_comparisons.json"


@dataclass(frozen=True, slots=True)
class Rating:
    """A thumb for the message `message` of `conversation` (which may be unknown)."""

    message: str
    conversation: str
    user: str
    verdict: Judged
    note: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """Ratings by message, rated messages and user ids by conversation, and (better, worse) messages."""

    ratings: Mapping[str, Rating] = field(default_factory=dict)
    rated_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)
    compared: Mapping[tuple[str, str], float | None] = field(default_factory=dict)


def beside(source: Source) -> Beside:
    """What the files next to `source` say; rows that say nothing usable are reported where those files are read."""
    ratings: dict[str, Rating] = {}
    rated_in: dict[str, tuple[str, ...]] = {}
    users: dict[str, str] = {}
    for value in _values(source.sibling(FEEDBACK)):
        try:
            rating = feedback_of(value)
        except (RowError, RecursionError):
            continue
        ratings[rating.message] = rating
        if rating.conversation:
            rated_in[rating.conversation] = (*rated_in.get(rating.conversation, ()), rating.message)
            users[rating.conversation] = rating.user
    compared: dict[tuple[str, str], float | None] = {}
    for value in _values(source.sibling(COMPARISONS)):
        try:
            pair = comparison_of(value)
        except (RowError, RecursionError):
            continue
        if pair is not None:
            compared[pair] = None
    return Beside(ratings, rated_in, users, compared)


def _values(source: Source | None) -> Iterator[Any]:
    if source is not None:
        yield from (row.value for row in source.rows() if not row.error)


def feedback_of(value: Any) -> Rating:
    """One row of message_feedback.json. Raises RowError when it names no message or no thumb."""
    entry = mapping(value)
    message = label(entry.get("message_id")) or label(entry.get("id"))
    if not message:
        raise RowError("The rating names no message.")
    verdict = verdict_of(entry.get("rating"))
    if verdict is None:
        raise RowError(f"The rating is {shown(entry.get('rating'))}, neither thumbs up nor thumbs down.")
    said = mapping(parsed(entry.get("content")))
    tags = [*items(entry.get("tags")), *items(said.get("tags"))]
    return Rating(
        message=message,
        conversation=label(entry.get("conversation_id")),
        user=label(entry.get("user_id")),
        verdict=verdict,
        note=joined(entry.get("text"), entry.get("comment"), said.get("text")),
        tags=tuple(dict.fromkeys(tag for tag in tags if isinstance(tag, str))),
    )


def comparison_of(value: Any) -> tuple[str, str] | None:
    """One row of model_comparisons.json: the ids of the better and the worse message, None when called equal.

    The file is not documented: ids and choice are looked for in the row and in its `input`, `output` and `metadata`.
    Raises RowError when the two answers or the choice are not there.
    """
    entry = mapping(value)
    found: dict[str, Any] = {}
    for part in (entry.get("metadata"), entry.get("input"), entry.get("output"), entry):
        found.update(mapping(parsed(part)))
    original, new = label(found.get("original_message_id")), label(found.get("new_message_id"))
    if not original or not new:
        raise RowError("The comparison names no original and new message, so what was compared is unknown.")
    rating = found.get("completion_comparison_rating") or found.get("feedback_choice")
    choice = text(rating).lower()
    if choice in ("new", "new_is_better", "better"):
        return new, original
    if choice in ("original", "original_is_better", "worse"):
        return original, new
    if choice in ("same", "tie", "skip", "none"):
        return None
    raise RowError(f"The comparison's choice is {shown(rating)}, which is none of new, original and same.")
