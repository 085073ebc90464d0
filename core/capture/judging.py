"""Human judgments about stored events, with all that follows from them kept in step: quality, tier and the pair."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from core.capture.incoming import clean_correction
from core.capture.judged import correction_margin
from core.capture.prepare import Validators
from core.capture.recategorize import TITLE, movable, move_of
from core.categories import Category, category
from core.config import Config
from core.errors import CategoryError, ConflictError
from core.validate.quality import assess_event
from core.validate.registry import validated
from core.validate.validator import Validation, Validator
from storage import events, judgments, pairs
from storage.db import Store
from storage.judgments import Turned
from storage.rows import EventRow, Opinion, Verdict

__all__ = ["Judge", "Turned"]

Progress = Callable[[int, int], None]
_PORTION: Final = 500


class _CancelledError(Exception):
    """The person has stopped a judgment of many events."""


class Judge:
    """Judges, moves, undoes and redoes in an open store; each call is one durable transaction."""

    def __init__(
        self, store: Store, config: Config, categories: Mapping[str, Category], validators: Validators | None = None
    ) -> None:
        self.store = store
        self.config = config
        self.categories = categories
        self._validators = validators or Validators()

    def judge(
        self,
        event_id: int,
        kind: Verdict,
        *,
        correction: str | None = None,
        note: str = "",
        seconds: float | None = None,
        sanitize: bool = True,
        repeat: bool = False,
        now: float | None = None,
    ) -> Validation | None:
        """Adds a judgment; with a correction its validation is returned. `seconds` is the time the person took.

        With `repeat` the event was asked about again, blind: the judgment is marked as repeating the one in force, and
        holds from now on, but for a skip, which leaves that in force. Raises NotFoundError for an unknown event and
        ConflictError for a correction without text.
        """
        with self.store.transaction(durable=True):
            event = events.get(self.store, event_id)
            if correction is not None:
                correction = clean_correction(
                    correction,
                    event,
                    max_chars=self.config.capture.max_chars,
                    sanitised=sanitize and self.config.capture.sanitize,
                )
                if event.category not in self.categories:
                    raise CategoryError(
                        f"Nothing describes the category `{event.category[:60]}`, so a correction cannot be checked.",
                        hint="Move the event to another category (C in Review), or describe this one in config.toml.",
                    )
            first = judgments.current(self.store, event_id) if repeat else None
            judgments.judge(
                self.store,
                event_id,
                kind,
                correction=correction,
                note=note,
                seconds=seconds,
                repeats=first.id if first else None,
                now=time.time() if now is None else now,
            )
            return self.follow(event_id)

    def judge_many(
        self,
        event_ids: Sequence[int],
        kind: Opinion,
        *,
        note: str = "",
        now: float | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> int:
        """Judges many events alike, all of them or none; one undo takes it back. How many were judged.

        Events that are gone are left out. `progress(done, total)` counts to twice the events: they are judged, then
        assessed anew. When `cancelled` tells true on the way everything is taken back, and 0 is returned.
        """

        def told(done: int, total: int, *, second: bool = False) -> None:
            if cancelled is not None and cancelled():
                raise _CancelledError
            if progress is not None:
                progress(done + total * second, 2 * total)

        try:
            with self.store.transaction(durable=True):
                judged = judgments.judge_many(
                    self.store,
                    event_ids,
                    kind,
                    note=note,
                    now=time.time() if now is None else now,
                    progress=told,
                )
                for at in range(0, len(judged), _PORTION):
                    self._follow(judged[at : at + _PORTION])
                    told(min(at + _PORTION, len(judged)), len(judged), second=True)
        except _CancelledError:
            return 0
        return len(judged)

    def move(
        self,
        event_ids: Sequence[int],
        category_name: str,
        *,
        note: str = "",
        now: float | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> tuple[int, ...]:
        """Moves events to another category, which validates and scores them anew; one undo takes it back.

        All that hangs on the category follows, as if they had been recorded there. A pair or a comparison of two events
        says nothing while they stand in different categories. Datasets that are frozen, and the tests that were made on
        them, stay as they are, and no event changes its side of the split, which its prompt alone decides.

        Returns the events that were moved; those that are in the category already, or gone, are left out. When
        `cancelled` tells true while they are validated none is moved, and nothing is returned. Raises CategoryError for
        an unknown category, ConflictError when no event is left or the category holds a copy of one.
        """
        to = category(self.categories, category_name)
        moving = movable(self.store, event_ids, to.name)
        # Before the store is locked: a validator may take seconds.
        moves = []
        for done, event in enumerate(moving, 1):
            if cancelled is not None and cancelled():
                return ()
            left = self.categories.get(event.category)
            moves.append(move_of(event, to, self.validator(to), self.validator(left) if left else None))
            if progress is not None:
                progress(done, len(moving))
        with self.store.transaction(durable=True):
            # What came in meanwhile may be a copy, and another process may have moved one of them.
            if [event.category for event in movable(self.store, event_ids, to.name)] != [
                one.before.category for one in moves
            ]:
                raise ConflictError(
                    "The events were changed meanwhile.", title=TITLE, hint="Look at them again, then repeat it."
                )
            judgments.move(self.store, moves, note=note, now=time.time() if now is None else now)
            moved = tuple(one.event_id for one in moves)
            self._follow(moved)
        return moved

    def undo(self, *, now: float | None = None) -> Turned | None:
        """Takes back what was said last of what is in force, and returns it; None when there is nothing."""
        return self._turn(judgments.undo, now)

    def redo(self, *, now: float | None = None) -> Turned | None:
        """Restores what was taken back last, and returns it.

        None when there is nothing, or something was said since.
        """
        return self._turn(judgments.redo, now)

    def _turn(self, turn: Callable[..., Turned | None], now: float | None) -> Turned | None:
        with self.store.transaction(durable=True):
            turned = turn(self.store, now=time.time() if now is None else now)
            if turned is not None:
                for at in range(0, turned.count, _PORTION):
                    self._follow(turned.event_ids[at : at + _PORTION])
            return turned

    def follow(self, event_id: int) -> Validation | None:
        """Brings the event's quality, tier and correction pair in step with the judgment that is in force.

        Returns the validation of the correction in force, None without one. An event of a category that is no longer
        configured keeps what it has.
        """
        return self._follow([event_id]).get(event_id)

    def _follow(self, event_ids: Sequence[int]) -> dict[int, Validation]:
        known = [event for event in events.get_many(self.store, event_ids) if event.category in self.categories]
        assessed = []
        for event in known:
            found = assess_event(event, self.categories[event.category])
            assessed.append((event.id, found.quality, found.tier, found.parts))
        events.set_assessments(self.store, assessed)
        pairs.drop_corrections(self.store, [event.id for event in known])
        validations: dict[int, Validation] = {}
        for event in known:
            if event.correction is not None:
                validations[event.id] = self.validate(event, event.correction)
                self._add_pair(event, event.correction, validations[event.id])
        return validations

    def _add_pair(self, event: EventRow, correction: str, validation: Validation) -> None:
        """Correction ≻ original."""
        margin = correction_margin(event.score, event.response, correction, validation)
        if margin is None:
            return
        pairs.add(
            self.store,
            created_at=event.judged_at or event.created_at,
            category=event.category,
            prompt=event.prompt,
            chosen=correction,
            rejected=event.response,
            margin=margin,
            source="correction",
            rejected_event=event.id,
        )

    def validator(self, own: Category) -> Validator:
        """The validator of a category, made once."""
        return self._validators.of(own)

    def validate(self, event: EventRow, correction: str) -> Validation:
        """What the category's validator says of a correction of the event."""
        own = category(self.categories, event.category)
        return validated(self.validator(own), correction, event.prompt, event.metadata)
