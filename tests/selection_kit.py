"""Events of the category `erd` in a store, and what a training would take of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from versions_kit import add_version

from assets.demo.corpus import ideal, requests
from core.categories import Category
from core.config import Config, Select
from core.paths import Home
from core.select.alike.meaning import PLAIN, Meaning
from core.select.dataset import Selection, freeze, select_dataset
from core.select.split import bucket, content_hash, is_held_out, prompt_hash
from core.training import adapter_of
from storage import events, judgments, runs, versions
from storage.db import Store
from storage.rows import DatasetItem, NewEvent, VersionRow

NOW = 1_700_000_000.0
Add = Callable[..., int]


def new_event(prompt: str, response: str = "", *, score: float | None = 95.0, **over: object) -> NewEvent:
    """An output that may be trained on; without a `response` one unlike all others."""
    key = prompt_hash(prompt)
    answer = response or f"A long and particular answer to {prompt}, number {key[3:15]} of its kind {key[15:]}"
    event = NewEvent(
        created_at=NOW - 60.0,
        category="erd",
        model="m",
        prompt=prompt,
        response=answer,
        content_hash=content_hash(prompt, answer),
        prompt_hash=key,
        bucket=bucket(key),
        feedback_type="success" if score and score >= 80 else "neutral",
        score=score,
        valid=True,
        quality=0.7,
        tier="bronze",
    )
    return replace(event, **over)  # type: ignore[arg-type]


def add_event(store: Store, prompt: str, response: str = "", **over: object) -> int:
    """Stores such an output; its id."""
    return events.add(store, new_event(prompt, response, **over))  # type: ignore[arg-type]


def add_failure(store: Store, prompt: str, correction: str | None = None) -> int:
    """Stores an output that failed, with what a person made of it."""
    event = add_event(store, prompt, score=20.0, feedback_type="validation_failure")
    if correction is not None:
        judgments.judge(store, event, "correct", correction=correction, now=NOW)
    return event


@cache
def prompts(number: int, *, held_out: bool | None = False) -> tuple[str, ...]:
    """Prompts unlike each other, of one side of the split (or of both, for None)."""
    found: list[str] = []
    index = 0
    while len(found) < number:
        text = f"{prompt_hash(str(index))[3:]} asks for {prompt_hash(str(-index))[3:]}"
        if held_out is None or on_the_test_side(text) is held_out:
            found.append(text)
        index += 1
    return tuple(found)


@cache
def worded(number: int) -> tuple[NewEvent, ...]:
    """Requests in English on both sides of the split, with right diagrams: rules can reword them."""
    return tuple(
        new_event(each.prompt, ideal(each), metadata={"expected": {"entities": list(each.entities)}})
        for each in requests(3, number, split="feedback")
    )


def on_the_test_side(prompt: str) -> bool:
    return is_held_out(bucket(prompt_hash(prompt)))


def chosen(
    store: Store,
    home: Home,
    category: Category,
    *,
    seed: int = 0,
    now: float = NOW,
    limit: int | None = None,
    level: int | None = None,
    learned: Sequence[int] | set[int] = (),
    meaning: Meaning = PLAIN,
    **over: object,
) -> Selection:
    """What would be trained on; `over` are settings of the learning components."""
    config = Config(select=Select(**over))  # type: ignore[arg-type]
    return select_dataset(
        store, home, category, now=now, seed=seed, limit=limit, level=level, learned=learned, meaning=meaning,
        config=config,
    )  # fmt: skip


def items_of(selection: Selection, split: str) -> list[DatasetItem]:
    return [item for item in selection.items if item.split == split]


def split(selection: Selection, name: str) -> list[int]:
    """The events of a split, in its order."""
    return [item.event_id for item in items_of(selection, name)]


def trained(store: Store, selection: Selection, *, started: bool = True, start: int | None = None) -> int:
    """A run on a frozen selection, ended if it was started; its id."""
    run = runs.enqueue(
        store,
        created_at=NOW,
        category=selection.category,
        base_model="demo",
        method="sft",
        settings={},
        dataset_id=freeze(store, selection, now=NOW),
        parent_version=None,
        start_version=start,
    )
    if started:
        assert runs.claim(store, run, pid=1, pid_started=1.0, now=NOW)
        runs.finish(store, run, "finished", now=NOW + 1.0)
    return run


def version_of(store: Store, run: int, number: int) -> int:
    """The version that a run made, without any file; its id."""
    row = runs.get(store, run)
    return versions.add(
        store,
        created_at=NOW + number,
        name=f"ft-demo-{row.category}-v{number}",
        category=row.category,
        base_model="demo",
        number=number,
        run_id=run,
        parent_id=None,
        dataset_id=row.dataset_id,
        folder=f"models/demo/{row.category}/v{number}",
        settings={},
        code_version="1",
    )


def add_start(store: Store, home: Home, number: int | None = None, *, adapter: bool = True, **more: Any) -> VersionRow:
    """A proved version with small files, and an adapter that a run could go on from; `more` goes to `add_version`."""
    version = add_version(store, home, number, **more)
    if adapter:
        file = adapter_of(home, version)
        file.parent.mkdir(parents=True)
        file.write_bytes(b"weights")
    return version
