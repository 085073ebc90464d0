"""The world in a store: the log recorded through the product, and labelled until the person's time is spent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from benchmarks.learning.world import BUDGET_S, CANDIDATE_PROMPTS, CANDIDATES, TEMPERATURE, Ask, World, react
from core.capture.candidates import SOURCE, candidate_prompts
from core.loop import LearningLoop
from core.paths import Home
from core.select.review import review_order
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

    def log(self, stored: Mapping[int, EventRow]) -> list[EventRow]:
        """The log as the first generation kept it: every row by itself, ids counted from 1, repeats and all, then the
        candidates."""
        seen = set(self.judged)
        rows: list[EventRow] = []
        for at, event_id in enumerate(self.events):
            event = stored[event_id]
            rows.append(event if at in seen else replace(event, verdict=None, correction=None))
        rows += [event for event in stored.values() if event.source == SOURCE]
        return [replace(event, id=at) for at, event in enumerate(rows, 1)]


def label(world: World, folder: Path, order: Order, ask: Ask | None = None) -> Labelled:
    """Records the log and spends the person's time on it; with `ask` the model answers some prompts anew afterwards.

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
        ids = [each.event_id for each in recorded]
        judged: list[int] = []
        left = BUDGET_S
        for at in range(len(ids)) if order == "arrival" else _informative(loop, ids):
            row = world.rows[at]
            said = react(world, requests[row.request], row.response)
            left -= said.seconds
            if left < 0.0:
                break
            judged.append(at)
            loop.recorder.judging.judge(
                ids[at], said.verdict, correction=said.correction, seconds=said.seconds, now=NOW
            )
        if ask is not None:
            _answer_anew(loop, world.seed, ask)
    found = Labelled(home, ids, judged)
    (folder / LABELS).write_text(json.dumps({"events": ids, "judged": judged}), encoding="utf-8")
    return found


def labelled(folder: Path) -> Labelled:
    """A store that `label` made."""
    values = json.loads((folder / LABELS).read_text(encoding="utf-8"))
    return Labelled(Home(folder), values["events"], values["judged"])


def _informative(loop: LearningLoop, ids: Sequence[int]) -> Iterator[int]:
    """The rows as the review queue shows them, ordered anew now and then after what was labelled meanwhile."""
    row_of = {event_id: at for at, event_id in reversed(list(enumerate(ids)))}
    seen: list[int] = []
    pending = EventFilter(category=CATEGORY, verdict="pending")
    while fresh := [each for each in review_order(loop.store, pending, labelled=seen) if each not in seen][:REFRESH]:
        for event_id in fresh:
            seen.append(event_id)
            yield row_of[event_id]


def _answer_anew(loop: LearningLoop, seed: int, ask: Ask) -> None:
    """Records several answers to the prompts that the product would choose for that."""
    chosen = candidate_prompts(loop.store, loop.config, loop.categories[CATEGORY], CANDIDATE_PROMPTS)
    answers = iter(ask([each.prompt for each in chosen for _ in range(CANDIDATES)], TEMPERATURE, seed + 1))
    loop.record_many(
        {
            "prompt": event.prompt,
            "response": next(answers),
            "category": CATEGORY,
            "model": MODEL,
            "source": SOURCE,
            "group_key": f"{SOURCE}:{event.id}",
            "created_at": NOW,
        }
        for event in chosen
        for _ in range(CANDIDATES)
    )
