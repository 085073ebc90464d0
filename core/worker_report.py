"""What the worker says of one look at everything."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the worker did: `what` is started, resumed, lost, rolled back, cleaned, delivered or refused."""

    what: str
    text: str
    category: str = ""
    run: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why nothing was done for a category; `stage` is where the loop stands with it."""

    category: str
    stage: str
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What one look at everything did, and why it did not do the rest."""

    at: float
    did: list[Step] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)
