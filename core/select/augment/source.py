"""What augmentation takes and gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from core.validate.validator import Validation

Method = Literal["synonym", "paraphrase", "context", "order", "model", "back_translation"]
METHODS: Final[tuple[Method, ...]] = ("synonym", "paraphrase", "context", "order", "model", "back_translation")
BY_MODEL: Final[frozenset[Method]] = frozenset({"model", "back_translation"})

Validate = Callable[[str, str, Mapping[str, Any]], Validation]
"""The verdict of the category's validator on (prompt, target, metadata)."""


@dataclass(frozen=True, slots=True)
class Source:
    """An example of the train split. `context` holds retrieved passages, an empty line between two; `score` is 0-100.

    `metadata["expected"]`, where it is there, is what the validator knows of a right answer.
    """

    event_id: int
    prompt: str
    target: str
    system: str = ""
    context: str = ""
    history: Sequence[Mapping[str, Any]] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """A new example; system text and history are those of its parent `event_id`, in whose split it belongs.

    `similarity` (0-1) compares the prompts, or the targets where the prompt is the parent's own (`order`).
    """

    event_id: int
    prompt: str
    target: str
    origin: Method
    similarity: float


@dataclass(frozen=True, slots=True)
class Augmented:
    """The variants by event id, in the order in which they were accepted.

    `refused` counts by reason what was made and not proved; `barren` is the number of sources without any variant.
    """

    items: list[Variant]
    refused: Mapping[str, int]
    barren: int

    @property
    def by_method(self) -> dict[str, int]:
        """The number of variants by method, the most frequent first."""
        return dict(Counter(item.origin for item in self.items).most_common())
