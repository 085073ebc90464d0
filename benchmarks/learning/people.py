"""The world in a store: the log recorded through the product, and labelled until the person's time is spent."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from benchmarks.learning.world import BUDGET_S, World, react
from core.loop import LearningLoop
from core.paths import Home
from core.select.review import review_order
from storage import events
from storage.rows import EventFilter, EventRow

CATEGORY: Final = "erd"
MODEL: Final = "demo"
NOW: Final = 1_780_000_000.0
"""The moment of asking, the same in every arm."""
DAY: Final = 86_400.0
LABELS: Final = "labels.json"
REFRESH: Final = 20
"""In the informative order the queue is asked for again after so many labels."""

Order = Literal["arrival", "informative"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A store with labels. `events` gives the event of each row of the log, `judged` the rows that a person saw."""

    home: Home
    events: list[int]
    judged: list[int]

    def log(self, stored: dict[int, EventRow]) -> list[EventRow]:
        """The log as the first generation kept it: every row by itself, ids counted from 1, repeats and all."""
        seen = set(self.judged)
        rows: list[EventRow] = []
        for at, event_id in enumerate(self.events):
            event = replace(stored[event_id], id=at + 1)
            rows.append(event if at in seen else replace(event, verdict=None, correction=None))
        return rows


def label(world: World, folder: Path, order: Order, *, candidates: bool) -> Labelled:
    """Records the log and spends the person's time on it.

    In the order of arrival repeats are seen and judged again; the informative order is that of the review queue.
    """
    home = Home(folder)
    requests = world.requests
    with LearningLoop(home) as loop:
        recorded = loop.record_many(
            {
                "prompt": row.prompt,
                "response": row.response,
                "category": CATEGORY,
                "model": MODEL,
                "created_at": NOW - row.age_days * DAY,
            }
            for row in world.rows
        )
        if candidates:
            loop.record_many(
                {
                    "prompt": requests[at].prompt,
                    "response": answer,
                    "category": CATEGORY,
                    "model": MODEL,
                    "source": "candidate",
                    "group_key": f"candidates-{at}",
                    "created_at": NOW,
                }
                for at, answers in world.candidates
                for answer in answers
            )
        ids = [each.event_id for each in recorded]
        judged: list[int] = []
        left = BUDGET_S
        for at in _queue(loop, ids, judged, order):
            row = world.rows[at]
            said = react(world, requests[row.request], row.response)
            left -= said.seconds
            if left < 0.0:
                break
            judged.append(at)
            verdict = "correct" if said.correction is not None else said.verdict
            loop.recorder.judging.judge(
                ids[at],
                verdict,  # type: ignore[arg-type]
                correction=said.correction,
                seconds=said.seconds,
                now=NOW,
            )
    done = Labelled(home, ids, judged)
    (folder / LABELS).write_text(json.dumps({"events": ids, "judged": judged}), encoding="utf-8")
    return done


def labelled(folder: Path) -> Labelled:
    """A store that `label` made."""
    values = json.loads((folder / LABELS).read_text(encoding="utf-8"))
    return Labelled(Home(folder), values["events"], values["judged"])


def _queue(loop, ids, judged, order):  # type: ignore[no-untyped-def]
    if order == "arrival":
        yield from range(len(ids))
        return
    row_of = {event_id: at for at, event_id in reversed(list(enumerate(ids)))}
    while True:
        pending = review_order(loop.store, EventFilter(category=CATEGORY, verdict="pending"), limit=2_000)
        fresh = [row_of[event_id] for event_id in pending if event_id in row_of]
        if not fresh:
            return
        yield from fresh[:REFRESH]
