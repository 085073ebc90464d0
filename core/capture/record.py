"""The one way in: an output and what is said of it is checked, sanitised, judged and stored, and durable on return."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.capture.incoming import Incoming, incoming_from
from core.capture.judged import Judged
from core.capture.judging import Judge
from core.capture.keep import Keeper, Recorded
from core.capture.prepare import Preparer, Validators
from core.categories import Category
from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from core.select.own_reward import reward_function
from storage import ui_state
from storage.db import Store
from storage.rows import FeedbackType, Opinion

__all__ = ["Recorded", "Recorder"]

_SECRET_KEY = "capture.user_secret"
_SECRET_BYTES = 32


class Recorder:
    """Records feedback into an open store; every way in ends here."""

    def __init__(self, store: Store, home: Home, config: Config, categories: Mapping[str, Category]) -> None:
        self.store = store
        self.home = home
        self.config = config
        self.categories = categories
        validators = Validators()
        self.judging = Judge(store, config, categories, validators)
        self._keeper = Keeper(store, config, categories, self.judging, lambda own: reward_function(own, home))
        self._validators = validators
        self._preparer: Preparer | None = None

    @property
    def preparer(self) -> Preparer:
        """What judges feedback before it is stored; it needs the store's own secret, which is made on first use."""
        if self._preparer is None:
            self._preparer = Preparer(self.config.capture, self.categories, self._secret(), self._validators)
        return self._preparer

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
        verdict: Opinion | None = None,
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
        history: Sequence[Mapping[str, Any]] = (),
        note: str = "",
    ) -> Recorded:
        """Stores one output with what is said of it, on the disk when the call returns.

        `score` (0-100) overrides the validator's; `metadata["expected"]` is what the validator knows of a right answer.
        A correction wins over a verdict and also makes a preference pair. `created_at` is in seconds since the epoch,
        `seconds` the time that the person took, `history` the turns before the prompt, each with role and content, and
        `note` what the person said in words. Raises FinetuneError for what cannot be taken; then nothing is stored.
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
            history=history,
            note=note,
        )
        now = time.time()
        judged = self.preparer.prepare(incoming, now)  # before the store is locked: a validator may take seconds
        with self.store.transaction(durable=True):
            return self._keeper.keep([judged], now, {})[0]

    def record_many(self, rows: Iterable[Mapping[str, Any]]) -> list[Recorded]:
        """Stores all rows (mappings with the arguments of `record`) in one durable transaction, or none of them.

        The outcome is the same as recording them one by one. Raises FinetuneError that names the row (from 1).
        """
        now = time.time()
        judged: list[Judged] = []
        for number, row in enumerate(rows, 1):
            try:
                judged.append(self.preparer.prepare(incoming_from(row), now))
            except FinetuneError as error:
                error.message = f"Row {number}: {error.message}"
                raise
        with self.store.transaction(durable=True):
            return self._keeper.keep(judged, now, {})

    def keep(self, batch: Sequence[Judged], now: float, recent: dict[str, int]) -> list[Recorded]:
        """Stores outputs that `preparer` has judged, perhaps in another process; call it inside a transaction.

        `recent` counts the recent events by category; give the same mapping to every batch of one import.
        """
        return self._keeper.keep(batch, now, recent)

    def _secret(self) -> bytes:
        """The store's own key for the hashes of user ids, made once."""
        found = ui_state.load(self.store, _SECRET_KEY)
        if found is None:
            found = secrets.token_hex(_SECRET_BYTES)
            ui_state.save(self.store, _SECRET_KEY, found)
        return bytes.fromhex(str(found))
