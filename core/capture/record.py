"""The one way in: an output and what is said of it is checked, sanitised, judged and stored, and durable on return."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.capture.incoming import Incoming, clean, incoming_from
from core.capture.judged import Said, judged
from core.capture.judging import Judge
from core.categories import Category, category
from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from core.select.difficulty import difficulty
from core.select.reward import Reward, reward
from core.validate.feedback import current_feedback_type
from core.validate.quality import assess_event
from core.validate.validator import Finding, Validation
from storage import events, judgments, ui_state
from storage.db import Store
from storage.events import RECENT_SECONDS
from storage.rows import EventRow, FeedbackType, Tier

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
        self.judging = Judge(store, config, categories)

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

    def _record(self, incoming: Incoming, now: float, recent: dict[str, int]) -> Recorded:
        own = category(self.categories, incoming.category)
        capture = self.config.capture
        hidden = incoming.sanitize and capture.sanitize
        cleaned = clean(incoming, max_chars=capture.max_chars, secret=self._secret() if hidden else None)
        at = now if incoming.created_at is None else float(incoming.created_at)
        new = judged(cleaned, own, self.judging.validator(own), at=at)
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
            return self.judging.follow(event_id)
        return None if said.correction is None else self.judging.validate(event, said.correction)

    def _secret(self) -> bytes:
        """The store's own key for the hashes of user ids, made once."""
        found = ui_state.load(self.store, _SECRET_KEY)
        if found is None:
            found = secrets.token_hex(_SECRET_BYTES)
            ui_state.save(self.store, _SECRET_KEY, found)
        return bytes.fromhex(str(found))
