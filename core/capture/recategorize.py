"""What another category makes of a stored event: as if it had been recorded there in the first place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.capture.incoming import Clean, Incoming
from core.capture.judged import as_stored, asked_with, judged
from core.categories import Category
from core.errors import ConflictError
from core.select.alike.near import near_keys
from core.validate.registry import validated
from core.validate.validator import Validator
from storage import events
from storage.db import Store
from storage.moves import Move, Placed
from storage.rows import EventRow

_NAMED: Final = 5
_SAID: Final = frozenset({"explicit_positive", "explicit_negative", "user_correction"})
TITLE: Final = "The category was not changed"


def move_of(event: EventRow, to: Category, validator: Validator, left: Validator | None) -> Move:
    """The event's move to the category `to`, whose `validator` judges it anew.

    A score that came with the event stays, as it would in any category; it is told from the validator's own by asking
    the validator of the category that is `left` again: when that finds the same as it did then but gives another score,
    the score was not its. What the event's prompt and texts alone decide (hashes, side of the split, generic) stays.
    """
    incoming = Incoming(
        prompt=event.prompt,
        response=event.response,
        category=to.name,
        model=event.model,
        score=event.score if _came_with_score(event, left) else None,
        confidence=event.confidence,
    )
    texts = {
        "prompt": event.prompt,
        "response": event.response,
        "context": event.context,
        "system": event.system,
        "correction": "",
        "note": "",
    }
    anew = judged(Clean(incoming, texts, event.metadata, event.history, {}), to, validator, at=event.created_at)
    said = event.feedback_type in _SAID
    after = Placed(
        category=to.name,
        score=anew.event.score,
        valid=anew.event.valid,
        feedback_type=event.feedback_type if said else anew.event.feedback_type,
        findings=anew.event.findings,
        quality=anew.event.quality,
        tier=anew.event.tier,
        quality_parts=dict(anew.event.quality_parts),
        near_keys=anew.keys,
    )
    return Move(event.id, _as_it_is(event), after)


def _came_with_score(event: EventRow, left: Validator | None) -> bool:
    if left is None or event.score is None:
        return False
    now = validated(left, event.response, event.prompt, event.metadata)
    then = [found for found in event.findings if found.get("kind") != "generic"]
    own = now.score if now.judged else None
    return own != event.score and (as_stored(now.findings), now.valid) == (then, event.valid)


def _as_it_is(event: EventRow) -> Placed:
    return Placed(
        category=event.category,
        score=event.score,
        valid=event.valid,
        feedback_type=event.feedback_type,
        findings=event.findings,
        quality=event.quality,
        tier=event.tier,
        quality_parts=dict(event.quality_parts),
        near_keys=near_keys(event.category, asked_with(event.history, event.prompt), event.response),
    )


def movable(store: Store, event_ids: Sequence[int], category: str) -> list[EventRow]:
    """The events that a move to the category concerns: those that are there and not in it already.

    Raises ConflictError when there is none, or where the category holds an exact copy of one, or would hold two.
    """
    wanted = list(dict.fromkeys(event_ids))
    found = events.get_many(store, wanted)
    moving = [event for event in found if event.category != category]
    if not moving:
        whole = "They are" if len(wanted) > 1 else f"Event {wanted[0]} is" if wanted else "Nothing is"
        raise ConflictError(
            f"{whole} of the category {category} already, or gone." if wanted else "No event was named.",
            title=TITLE,
            hint="Choose another category, or other events.",
        )
    copies = events.ids_by_hash(store, category, [event.content_hash for event in moving])
    clashes: list[str] = []
    for event in moving:
        other = copies.setdefault(event.content_hash, event.id)
        if other != event.id:
            clashes.append(f"{event.id} repeats event {other}")
    if clashes:
        more = f" and {len(clashes) - _NAMED} more" if len(clashes) > _NAMED else ""
        raise ConflictError(
            f"The category {category} would hold the same output twice: event {', '.join(clashes[:_NAMED])}{more}.",
            title=TITLE,
            hint="Leave those events out, or reject them where they are.",
        )
    return moving
