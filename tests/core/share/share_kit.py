"""Two people's stores, and what is compared of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.capture.record import Recorder
from core.categories import load_categories
from core.config import load_config
from core.paths import Home
from core.share.bundle import BundleSummary, in_force, write_bundle
from core.share.unbundle import BundleReport, import_bundle
from storage import events, judgments, pairs, versions
from storage.db import Store, open_store
from storage.rows import EventFilter, EventRow

GOOD = (
    "erDiagram\n    shop ||--o{ order : takes\n    shop {\n        int id PK\n    }\n    order {\n        int id\n    }"
)
POOR = "erDiagram\n    shop ||--o{ order : x\n    shop {\n        string shopName\n    }"
NOW = 1_700_000_000.0


@dataclass(slots=True)
class Person:
    """One person's home, open."""

    home: Home
    store: Store
    recorder: Recorder

    def record(self, prompt: str, response: str = GOOD, **more: Any) -> int:
        row = {"category": "erd", "model": "demo", "created_at": NOW, **more}
        return self.recorder.record(prompt=prompt, response=response, **row).event_id

    def rank(self, better: int, worse: int) -> None:
        """The person ranked the good answer to "ranked" above the poor one; both are recorded."""
        pairs.add(
            self.store,
            created_at=NOW,
            category="erd",
            prompt="ranked",
            chosen=GOOD,
            rejected=POOR,
            margin=0.4,
            source="ranking",
            chosen_event=better,
            rejected_event=worse,
        )

    def bundle(self, path: Path, **more: Any) -> BundleSummary:
        return write_bundle(self.store, self.home, self.recorder.categories, path, **more)

    def take(self, path: Path, **more: Any) -> BundleReport:
        return import_bundle(self.recorder, path, processes=0, **more)

    def events(self) -> list[EventRow]:
        return list(events.iter_events(self.store, EventFilter()))

    def outputs(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Everything of each output that travels, by prompt and response."""
        found = {}
        for event in self.events():
            kept = {
                name: getattr(event, name)
                for name in (
                    "created_at", "category", "model", "content_hash", "bucket", "score", "quality", "tier", "valid",
                    "confidence", "system", "context", "source", "group_key", "latency_ms", "metadata", "history",
                    "verdict", "correction", "judged_at",
                )
            }  # fmt: skip
            said = [
                (one.kind, one.created_at, one.correction, one.note, one.seconds)
                for one in in_force(judgments.history(self.store, event.id))
            ]
            found[event.prompt, event.response] = {**kept, "said": said}
        return found

    def pairs(self) -> list[tuple[Any, ...]]:
        return sorted(
            (pair.category, pair.prompt, pair.chosen, pair.rejected, pair.margin, pair.source, pair.created_at)
            for name in pairs.categories(self.store)
            for pair in pairs.list_pairs(self.store, name)
        )

    def versions(self) -> list[str]:
        return [version.name for version in versions.list_versions(self.store)]

    def counts(self) -> tuple[int, ...]:
        return tuple(
            int(self.store.value(f"SELECT count(*) FROM {name}"))
            for name in ("events", "judgments", "pairs", "versions")
        )


def person(root: Path, config: str = "") -> Person:
    """The person whose home is `root`, with a configuration file of that text."""
    home = Home(root)
    home.ensure()
    if config:
        home.config.write_text(config, encoding="utf-8")
    store = open_store(home.store)
    return Person(home, store, Recorder(store, home, load_config(home), load_categories(home)))
