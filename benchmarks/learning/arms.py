"""The arms: the first generation, the full loop, and each component by itself, on the one and off the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.learning import first_generation, measure
from benchmarks.learning.people import CATEGORY, NOW, Labelled, Order, labelled
from benchmarks.learning.world import World
from core import training
from core.categories import Category, load_categories
from core.config import Config, Select
from core.select.dataset import select_dataset
from storage import events
from storage.db import open_store
from storage.rows import DatasetItem, EventFilter, EventRow

LIMIT: Final = 50
"""Examples in a batch, of every arm but those of the learning curve."""
FIRST_SIZES: Final = (25, 100, 200)
FULL_SIZES: Final = (6, 12, 25)
"""Sizes of the learning curves besides LIMIT, where each generation needs them to see the score of 80 passed."""
SHORTER: Final = (4, 8, 12, 16)
"""Steps of the shorter runs of the full loop, for the time that it takes to the first generation's score."""
SHORT: Final = 12
"""Steps of the runs in which a component is turned in the full loop: with more of them all variants end at the ceiling
of the score, and nothing could be told apart."""
LONG: Final = 50
"""Steps of the long runs of both generations: eight passes."""


@dataclass(frozen=True, slots=True)
class Arm:
    """`generation` is whose way to choose it is; `on` are the components laid on the first one, `select` the settings
    changed in the full one. The stores differ in `order` (what the person labelled) and `candidates`."""

    name: str
    generation: Literal["base", "first", "full"]
    on: frozenset[first_generation.Component] = frozenset()
    select: Mapping[str, Any] = field(default_factory=dict)
    order: Order = "arrival"
    candidates: bool = False
    limit: int = LIMIT
    steps: int = measure.STEPS
    reversed: bool = False
    other_seed: bool = False


@dataclass(frozen=True, slots=True)
class Component:
    """What is measured alone. `ours` is its name among the first generation's additions, `switch` the changes that turn
    it off in the full loop (or on, where it is off by default); `labels`: it changes what a person labels instead."""

    name: str
    ours: first_generation.Component | None
    switch: Mapping[str, Any]
    labels: Mapping[str, Any] = field(default_factory=dict)
    default_on: bool = True


_OWN: Final = Select()
COMPONENTS: Final = (
    Component("review order", None, {}, {"order": "informative"}),
    Component("gate", "gate", {"min_score": 0.0, "min_reward": -1.0}),
    Component("de-duplication", "dedup", {"near_duplicate": 1.0}),
    Component("reward tanh", "reward", {"reward": "bucket"}),
    Component(
        "reward weights", "weights", {"weigh_by_reward": not _OWN.weigh_by_reward}, default_on=_OWN.weigh_by_reward
    ),
    Component("active selection", "active", {"active": not _OWN.active}, default_on=_OWN.active),
    Component("hard examples", "hard", {"hard_negatives": not _OWN.hard_negatives}, default_on=_OWN.hard_negatives),
    Component("curriculum", "curriculum", {"curriculum": not _OWN.curriculum}, default_on=_OWN.curriculum),
    Component("augmentation", "augmentation", {"augmentation": not _OWN.augmentation}, default_on=_OWN.augmentation),
    Component("candidates", "candidates", {}, {"candidates": True}, default_on=False),
)
FIRST: Final = Arm("first generation", "first")
FULL: Final = Arm("full loop", "full", order="informative")
BASE: Final = Arm("untouched base", "base")
SHORT_FULL: Final = f"full, {SHORT} steps"
LONG_FIRST: Final = f"first, {LONG} steps"
LONG_FULL: Final = f"full, {LONG} steps"
QUICK: Final = frozenset(
    {BASE.name, FIRST.name, FULL.name, SHORT_FULL}
    | {f"first + {name}" for name in ("gate", "reward weights", "active selection")}
    | {f"full − {name}" for name in ("gate", "hard examples", "curriculum")}
)


def all_arms() -> dict[str, Arm]:
    """Every arm by name."""
    return {arm.name: arm for arm in _arms()}


def laid_on(component: Component) -> str:
    """The name of the arm with a component on top of the first generation."""
    return f"first + {component.name}"


def turned(component: Component) -> str:
    """The name of the arm of the full loop in which a component is turned the other way."""
    return f"full {'−' if component.default_on else '+'} {component.name}"


def _arms() -> Iterator[Arm]:
    yield from (BASE, FIRST, FULL)
    for each in COMPONENTS:
        on = frozenset({each.ours}) if each.ours else frozenset()
        yield replace(FIRST, name=laid_on(each), on=on, **each.labels)
        other = {"order": "arrival"} if each.labels.get("order") else each.labels
        yield replace(FULL, name=turned(each), select=each.switch, steps=SHORT, **other)
    yield replace(FIRST, name="control: another seed", other_seed=True)
    yield replace(FIRST, name="control: hard to easy", on=frozenset({"curriculum"}), reversed=True)
    for size in FIRST_SIZES:
        yield replace(FIRST, name=f"first, {size} examples", limit=size)
    for size in FULL_SIZES:
        yield replace(FULL, name=f"full, {size} examples", limit=size)
    yield replace(FIRST, name=LONG_FIRST, steps=LONG)
    yield replace(FULL, name=LONG_FULL, steps=LONG)
    for steps in SHORTER:
        yield replace(FULL, name=f"full, {steps} steps", steps=steps)


def store_folder(work: Path, seed: int, order: Order, candidates: bool) -> Path:
    """Where the labelled store of a seed lies."""
    return work / f"seed-{seed}" / f"{order}{'-candidates' if candidates else ''}"


def batch(arm: Arm, seed: int, work: Path) -> tuple[list[DatasetItem], dict[int, float | None]]:
    """What an arm trains on, in order, and the recorded score of every event that its items may name."""
    found = labelled(store_folder(work, seed, arm.order, arm.candidates))
    config = Config(select=replace(Select(embeddings="none"), **arm.select))
    own = load_categories(found.home)[CATEGORY]
    if arm.select.get("min_score") == 0.0:
        own = replace(own, min_tier="rejected")
    drawn = seed + 1_000 if arm.other_seed else seed
    with open_store(found.home.store) as store:
        stored = {each.id: each for each in events.iter_events(store, EventFilter(category=CATEGORY))}
        if arm.generation == "full":
            level = training.level(store, CATEGORY) if config.select.curriculum else None
            selected = select_dataset(
                store, found.home, own, now=NOW, seed=drawn, limit=arm.limit, config=config, level=level
            )
            items = [each for each in selected.items if each.split == "train"]
            return items, {each.id: each.score for each in stored.values()}
    return _first(arm, found, stored, own, drawn)


def run(arm: Arm, seed: int, world: World, work: Path) -> dict[str, Any]:
    """The figures of one arm with one seed."""
    if arm.generation == "base":
        return measure.examine(world, world.test_answers)
    items, scores = batch(arm, seed, work)
    drawn = seed + 1_000 if arm.other_seed else seed
    return {**measure.contents(world, items, scores), **measure.run(world, items, steps=arm.steps, seed=drawn)}


def _first(
    arm: Arm, found: Labelled, stored: dict[int, EventRow], own: Category, seed: int
) -> tuple[list[DatasetItem], dict[int, float | None]]:
    log = found.log(stored)
    items = first_generation.chosen(log, own, found.home, arm.on, limit=arm.limit, seed=seed)
    if arm.reversed:
        items = first_generation.reversed_order(items)
    return items, {each.id: each.score for each in log}
