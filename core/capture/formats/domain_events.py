"""JSON or JSONL of domain events by name, each in its envelope: what `POST /events` takes, kept in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.capture.domain_events import NAME_KEYS, answer_from_envelope, domain_events
from core.capture.formats.parts import Lessons, RowFormat, Source


class DomainEvents(RowFormat):
    """Each row is one event, `{"event": "scam.detected", "data": {…}, "timestamp": …}`; its name gives the category."""

    name = "domain_events"
    title = "Domain events by name"
    mapping: Mapping[str, str] = {
        "event (or event_type, event_name, type, name)": "category",
        "data (or payload, detail, properties; else the rest of the row)": "prompt, response and the rest, by event",
        "timestamp": "created_at",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """The share of the sample that names a known event, at most 0.97; 0 below a half.

        An application writes unknown events into the same file, so that not every row has to be known.
        """
        if not sample:
            return 0.0
        known = sum(_is_known(row) for row in sample)
        share = known / len(sample)
        return min(0.97, 0.9 + 0.07 * share) if share >= 0.5 else 0.0

    def read(self, value: Any) -> Lessons:
        """The one example of an event. Raises RowError for an unknown name or a payload that lacks something."""
        return Lessons((answer_from_envelope(value),))


def _is_known(row: Any) -> bool:
    names = (row.get(key) for key in NAME_KEYS) if isinstance(row, Mapping) else ()
    return any(isinstance(name, str) and name.strip().lower() in domain_events() for name in names)
