"""From feedback to an event ready to be stored: checked, sanitised, validated and judged, without the store."""

from __future__ import annotations

from collections.abc import Mapping

from core.capture.incoming import Incoming, clean
from core.capture.judged import Judged, judged
from core.categories import Category, category
from core.config import Capture
from core.validate.registry import validator_for
from core.validate.validator import Validator


class Validators:
    """The validator of each category, made once."""

    def __init__(self) -> None:
        self._made: dict[str, Validator] = {}

    def of(self, own: Category) -> Validator:
        """Raises CategoryError for a validator that does not exist or refuses its options."""
        if own.name not in self._made:
            self._made[own.name] = validator_for(own)
        return self._made[own.name]


class Preparer:
    """Prepares feedback; `secret` keys the hashes of user ids. It can be sent to another process."""

    def __init__(
        self, capture: Capture, categories: Mapping[str, Category], secret: bytes, validators: Validators | None = None
    ) -> None:
        self._capture = capture
        self._categories = categories
        self._secret = secret
        self._validators = validators or Validators()

    def prepare(self, incoming: Incoming, now: float) -> Judged:
        """Judges one output; what has no time of its own is of `now`. Raises FinetuneError for what cannot be taken."""
        own = category(self._categories, incoming.category)
        hidden = incoming.sanitize and self._capture.sanitize
        cleaned = clean(incoming, max_chars=self._capture.max_chars, secret=self._secret if hidden else None)
        at = now if incoming.created_at is None else float(incoming.created_at)
        return judged(cleaned, own, self._validators.of(own), at=at)
