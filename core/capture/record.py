"""The one way in: an output and what is said of it is checked, sanitised, judged and stored, and durable on return."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.capture.incoming import Incoming, clean, clean_correction, incoming_from
from core.capture.judged import Said, judged
from core.categories import Category, category
from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from core.select.difficulty import difficulty
from core.select.reward import Reward, reward
from core.select.similarity import is_typo, similarity
from core.validate.feedback import current_feedback_type
from core.validate.quality import assess_event
from core.validate.registry import tells_quality, validated, validator_for
from core.validate.validator import Finding, Validation, Validator
from storage import events, judgments, pairs, ui_state
from storage.db import Store
from storage.events import RECENT_SECONDS
from storage.rows import EventRow, FeedbackType, Tier, Verdict

DAY = 86_400.0
_SECRET_KEY = "capture.user_secret"
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of one piece of feedback. `score` is 0-100 or None, `quality` 0-1, `reward` −1 to 1 as of now.

    With `duplicate` the output was known already: `event_id` is the stored event, and what was said of it was added
    there. `correction_score` is the score of the correction; `sanitized` counts what was replaced, by kind.
    """

    event_id: int
    score: float | None
    valid: bool
    tier: Tier
    quality: float
    reward: float
    feedback_type: FeedbackType
    duplicate: bool
    findings: tuple[Finding, ...]
    sanitized: Mapping[str, int]
    correction_score: float | None = None


class Recorder:
    """Records feedback into an open store; every way in ends here."""

    def __init__(self, store: Store, home: Home, config: Config, categories: Mapping[str, Category]) -> None:
        self.store = store
        self.home = home
        self.config = config
        self.categories = categories
        self._validators: dict[str, Validator] = {}

    def record(
        self,
        *,
        prompt: str,
        response: str,
        category: str,
        model: str,
        score: float | None = None,
        feedback_type: FeedbackType | None = None,
        correction: str | None = None,
        verdict: Literal["good", "bad"] | None = None,
        confidence: float | None = None,
        context: str = "",
        system: str = "",
        source: str = "api",
        group_key: str = "",
        latency_ms: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        created_at: float | None = None,
        sanitize: bool = True,
        seconds: float | None = None,
    ) -> Recorded:
        """Stores one output with what is said of it, on the disk when the call returns.

        `score` (0-100) overrides the validator's; `metadata["expected"]` is what the validator knows of a right answer.
        A correction wins over a verdict and also makes a preference pair. `created_at` is in seconds since the epoch,
        `seconds` the time that the person took. Raises FinetuneError for what cannot be taken; then nothing is stored.
        """
        incoming = Incoming(
            prompt=prompt,
            response=response,
            category=category,
            model=model,
            score=score,
            feedback_type=feedback_type,
            correction=correction,
            verdict=verdict,
            confidence=confidence,
            context=context,
            system=system,
            source=source,
            group_key=group_key,
            latency_ms=latency_ms,
            metadata=metadata,
            created_at=created_at,
            sanitize=sanitize,
            seconds=seconds,
        )
        with self.store.transaction(durable=True):
            return self._record(incoming, time.time(), {})

    def record_many(self, rows: Iterable[Mapping[str, Any]]) -> list[Recorded]:
        """Stores all rows (mappings with the arguments of `record`) in one durable transaction, or none of them.

        The outcome is the same as recording them one by one. Raises FinetuneError that names the row (from 1).
        """
        now, recent = time.time(), dict[str, int]()
        recorded: list[Recorded] = []
        with self.store.transaction(durable=True):
            for number, row in enumerate(rows, 1):
                try:
                    recorded.append(self._record(incoming_from(row), now, recent))
                except FinetuneError as error:
                    error.message = f"Row {number}: {error.message}"
                    raise
        return recorded

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
        """Adds a human judgment about a stored event; a correction also makes a pair, and its validation is returned.

        Raises NotFoundError for an unknown event and ConflictError for a correction without text.
        """
        said_at = time.time() if now is None else now
        with self.store.transaction(durable=True):
            event = events.get(self.store, event_id)
            if correction is not None:
                correction = clean_correction(
                    correction,
                    event,
                    max_chars=self.config.capture.max_chars,
                    sanitised=sanitize and self.config.capture.sanitize,
                )
            judgments.judge(self.store, event_id, kind, correction=correction, note=note, seconds=seconds, now=said_at)
            return None if correction is None else self._add_pair(event, correction, said_at)

    def _record(self, incoming: Incoming, now: float, recent: dict[str, int]) -> Recorded:
        own = category(self.categories, incoming.category)
        capture = self.config.capture
        hidden = incoming.sanitize and capture.sanitize
        cleaned = clean(incoming, max_chars=capture.max_chars, secret=self._secret() if hidden else None)
        at = now if incoming.created_at is None else float(incoming.created_at)
        new = judged(cleaned, own, self._validator(own), at=at)
        known = events.find_by_hash(self.store, own.name, new.event.content_hash)
        event_id = events.add(self.store, new.event) if known is None else known
        if own.name not in recent:
            recent[own.name] = events.recent_count(self.store, own.name, now - RECENT_SECONDS)
        elif known is None and at >= now - RECENT_SECONDS:
            recent[own.name] += 1
        corrected = self._say(event_id, new.said)
        event = events.get(self.store, event_id)
        assessment = assess_event(event, own)
        return Recorded(
            event_id=event_id,
            score=event.score,
            valid=event.valid,
            tier=assessment.tier,
            quality=assessment.quality,
            reward=self._reward(event, own, now, recent[own.name]).value,
            feedback_type=current_feedback_type(event),
            duplicate=known is not None,
            findings=new.findings,
            sanitized=cleaned.counts,
            correction_score=corrected.score if corrected else None,
        )

    def _reward(self, event: EventRow, own: Category, now: float, recent: int) -> Reward:
        return reward(
            event.score,
            current_feedback_type(event),
            age_days=(now - event.created_at) / DAY,
            difficulty=difficulty(own.complexity, len(event.prompt), len(event.context)),
            recent=recent,
            constants=self.config.select,
        )

    def _say(self, event_id: int, said: Said) -> Validation | None:
        """Adds what a person said, unless the same is in force already (feedback that is loaded twice)."""
        if said.verdict is None:
            return None
        event = events.get(self.store, event_id)
        if (event.verdict, event.correction) != (said.verdict, said.correction):
            judgments.judge(
                self.store, event_id, said.verdict, correction=said.correction, seconds=said.seconds, now=said.at
            )
            if said.correction is not None:
                return self._add_pair(event, said.correction, said.at)
        if said.correction is None:
            return None
        return self._validate(event, said.correction)

    def _add_pair(self, event: EventRow, correction: str, at: float) -> Validation:
        """Correction ≻ original, and the validation of the correction.

        The margin is the score difference / 100, or how far the texts differ where the score tells nothing; then a
        mended typo makes no pair.
        """
        own = category(self.categories, event.category)
        validation = self._validate(event, correction)
        gain = 0.0
        if event.score is not None and tells_quality(self._validator(own)):
            gain = (validation.score - event.score) / 100.0
        alike = similarity(event.response, correction)
        if gain <= 0.0 and is_typo(alike):
            return validation
        pairs.add(
            self.store,
            created_at=at,
            category=event.category,
            prompt=event.prompt,
            chosen=correction,
            rejected=event.response,
            margin=min(1.0, max(0.0, gain if gain > 0.0 else 1.0 - alike.value)),
            source="correction",
            rejected_event=event.id,
        )
        return validation

    def _validator(self, own: Category) -> Validator:
        if own.name not in self._validators:
            self._validators[own.name] = validator_for(own)
        return self._validators[own.name]

    def _validate(self, event: EventRow, correction: str) -> Validation:
        own = category(self.categories, event.category)
        return validated(self._validator(own), correction, event.prompt, event.metadata)

    def _secret(self) -> bytes:
        """The store's own key for the hashes of user ids, made once."""
        found = ui_state.load(self.store, _SECRET_KEY)
        if found is None:
            found = secrets.token_hex(_SECRET_BYTES)
            ui_state.save(self.store, _SECRET_KEY, found)
        return bytes.fromhex(str(found))
