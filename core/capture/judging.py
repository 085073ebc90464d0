"""Human judgments about stored events, with all that follows from them kept in step: quality, tier and the pair."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from core.capture.incoming import clean_correction
from core.capture.judged import correction_margin
from core.capture.prepare import Validators
from core.categories import Category, category
from core.config import Config
from core.validate.quality import assess_event
from core.validate.registry import validated
from core.validate.validator import Validation, Validator
from storage import events, judgments, pairs
from storage.db import Store
from storage.rows import EventRow, JudgmentRow, Verdict


class Judge:
    """Judges, undoes and redoes in an open store; each call is one durable transaction."""

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
        now: float | None = None,
    ) -> Validation | None:
        """Adds a judgment; with a correction its validation is returned. `seconds` is the time the person took.

        Raises NotFoundError for an unknown event and ConflictError for a correction without text.
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
                category(self.categories, event.category)  # a correction that cannot be validated is refused
            said_at = time.time() if now is None else now
            judgments.judge(self.store, event_id, kind, correction=correction, note=note, seconds=seconds, now=said_at)
            return self.follow(event_id)

    def undo(self, *, now: float | None = None) -> JudgmentRow | None:
        """Takes back the last judgment in force and returns it; None when there is none."""
        return self._turn(judgments.undo, now)

    def redo(self, *, now: float | None = None) -> JudgmentRow | None:
        """Restores the judgment taken back last and returns it; None when there is none, or one was added since."""
        return self._turn(judgments.redo, now)

    def _turn(self, turn: Callable[..., JudgmentRow | None], now: float | None) -> JudgmentRow | None:
        with self.store.transaction(durable=True):
            turned = turn(self.store, now=time.time() if now is None else now)
            if turned is not None:
                self.follow(turned.event_id)
            return turned

    def follow(self, event_id: int) -> Validation | None:
        """Brings the event's quality, tier and correction pair in step with the judgment that is in force.

        Returns the validation of the correction in force, None without one. An event of a category that is no longer
        configured keeps what it has.
        """
        event = events.get(self.store, event_id)
        own = self.categories.get(event.category)
        if own is None:
            return None
        assessment = assess_event(event, own)
        events.set_assessment(
            self.store, event_id, quality=assessment.quality, tier=assessment.tier, parts=assessment.parts
        )
        pairs.drop_corrections(self.store, event_id)
        if event.correction is None:
            return None
        validation = self.validate(event, event.correction)
        self._add_pair(event, event.correction, validation)
        return validation

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
