"""Where each event of a category stands: on which side of the split, how hard among the others, and whether the next
training takes it. It looks at the whole category once; what is known of an event alone is in `core.explain`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from core import training
from core.categories import Category, loop_of, select_of
from core.config import Config, Select
from core.errors import FinetuneError
from core.select import curriculum
from core.select.active import value_parts
from core.select.batch import SMALLEST
from core.select.eligible import Eligible
from core.select.hard.hard_negatives import STATES, TO_DO, HardNegative, hard_negatives
from core.select.lessons import Lesson
from core.select.training_batch import calibrated_difficulty, candidate_of
from core.train.presets import resolve_base
from core.triggers import decide
from core.validate.gate import Held
from storage.pins import open_pins
from storage.rows import DatasetItem

if TYPE_CHECKING:
    from core.paths import Home
    from core.select.dataset import Selection
    from storage.db import Store

LARGEST: Final = 20_000
"""Events of a category that the app looks through for the standing of each: some seconds. Half a million would take
minutes and gigabytes, after every change."""
Side = Literal["train", "validation", "test", "kept for testing", "held back"]
_ASKED = ", because you asked for it"
_STILL_ASKED = "; you asked for it, so it is taken first as soon as it may be"
_COPY = re.compile(r"near-copy of event (\d+)")


@dataclass(frozen=True, slots=True)
class Standing:
    """One event among those of its category.

    `why` explains `side`. `held` is why it may not be trained on, empty where it may, `held_kind` that in a word;
    `near_copy_of` the event that it nearly repeats. `quantile` is its difficulty 0-1 among what may be trained on, None
    outside of that. `place` is its place in training order among the `size` examples of the next batch, None where it
    is not in it; `batch` says so in words, with the reason. `pinned`: a person asked for it to be in it.
    """

    side: Side
    why: str
    held: str
    held_kind: str
    near_copy_of: int | None
    quantile: float | None
    stage: str | None
    hard: str | None
    hard_difficulty: float | None
    place: int | None
    size: int
    batch: str
    pinned: bool


class Standings:
    """The standing of every event of one category at one moment, worked out once."""

    def __init__(
        self,
        category: Category,
        found: Eligible,
        selection: Selection,
        hard: Mapping[int, HardNegative],
        *,
        constants: Select,
        level: int | None,
        learned: frozenset[int],
        waits: str,
        pinned: Collection[int] = (),
    ) -> None:
        self._category = category
        self._found = found
        self._constants = constants
        self._hard = hard
        self._level = level
        self._learned = learned
        self._waits = waits
        self._pinned = pinned
        self._quantiles = calibrated_difficulty(found.train)
        self._lessons = {each.event.id: each for each in found.train}
        self._watching = {each.event.id for each in found.validation}
        self._tested = {each.id for each in found.test}
        batch = [each for each in selection.items if each.split == "train" and each.origin in ("event", "replay")]
        self._batch: dict[int, tuple[int, DatasetItem]] = {
            each.event_id: (at, each) for at, each in enumerate(batch, 1)
        }

    def of(self, event_id: int) -> Standing:
        """Where an event of the category stands; one that came in since counts as held back."""
        held = self._found.held.get(event_id)
        side, why = self._side(event_id, held)
        quantile = self._quantiles.get(event_id)
        hard = self._hard.get(event_id)
        copy = _COPY.match(held.reason) if held is not None else None
        place = self._batch[event_id][0] if event_id in self._batch else None
        return Standing(
            side=side,
            why=why,
            held="" if held is None else held.reason,
            held_kind="" if held is None else held.kind,
            near_copy_of=int(copy[1]) if copy else None,
            quantile=quantile,
            stage=None if quantile is None else curriculum.stage_of(quantile),
            hard=None if hard is None else f"{hard.state} ({', '.join(hard.reasons)})",
            hard_difficulty=None if hard is None else hard.difficulty,
            place=place,
            size=len(self._batch),
            batch=self._in_words(event_id, held),
            pinned=event_id in self._pinned,
        )

    def _side(self, event_id: int, held: Held | None) -> tuple[Side, str]:
        if event_id in self._tested:
            return "test", "its prompt is kept for testing: versions are compared on it, none learns from it"
        if held is not None and held.kind == "held out":
            return (
                "kept for testing",
                "its prompt is kept for testing; another answer to it, or none, is asked for there",
            )
        if event_id in self._watching:
            return "validation", "it watches a training without being learned"
        if event_id in self._lessons:
            return "train", "it may be trained on"
        return "held back", "it does not pass the gate" if held is not None else "it came in after this was worked out"

    def _in_words(self, event_id: int, held: Held | None) -> str:
        size = len(self._batch)
        if event_id in self._batch:
            place, item = self._batch[event_id]
            again = ", as a replay of what was learned before" if item.origin == "replay" else ""
            again += _ASKED if event_id in self._pinned else ""
            return f"in the next batch: place {place} of {size} in training order{again}{self._waits}"
        if held is not None:
            return f"held back: {held.reason}{_STILL_ASKED * (event_id in self._pinned)}"
        if event_id in self._watching:
            return f"not in the next batch: it watches the training instead{_STILL_ASKED * (event_id in self._pinned)}"
        lesson = self._lessons.get(event_id)
        if lesson is None:
            return "not known yet"
        return f"not in the next batch of {size}: {self._passed_over(lesson)}{self._waits}"

    def _passed_over(self, lesson: Lesson) -> str:
        """Why a lesson that might be in the batch is not."""
        if lesson.event.id in self._pinned:
            return "you asked for it, and for more than there is room for"
        if lesson.event.id in self._learned:
            return "the version to go on from has learned it already"
        failure = self._constants.hard_negatives and self._is_open_failure(lesson.event.id)
        stage = curriculum.stage_of(self._quantiles[lesson.event.id])
        if not failure and self._level is not None and self._level < curriculum.MIXED:
            mix = curriculum.MIXES[self._level]
            if not mix.get(stage):
                return f"the curriculum takes {' and '.join(mix)} ones for now, and this one is {stage}"
        chosen = [self._lessons[event] for event in self._batch if event in self._lessons]
        if not self._constants.active:
            return f"{len(chosen)} with a higher reward were chosen"
        own = self._value(lesson)
        better = sum(self._value(each) > own for each in chosen)
        others = len(chosen) - better
        if not others:
            return f"{better} more informative ones were chosen"
        why = "more unlike the rest, or needed for the mix"
        return f"{better} more informative ones were chosen, and {others} that are {why}"

    def _is_open_failure(self, event_id: int) -> bool:
        hard = self._hard.get(event_id)
        return hard is not None and hard.state in TO_DO and hard.own_failure

    def _value(self, lesson: Lesson) -> float:
        return value_parts(candidate_of(lesson), self._constants).own


def standings(
    store: Store,
    home: Home,
    config: Config,
    category: Category,
    *,
    now: float,
    limit: int | None = None,
    selection: Selection | None = None,
) -> Standings:
    """The standing of every event of a category. Reads all of them: seconds for tens of thousands.

    The next batch is `selection`, else what the worker would train on now: `limit` examples, without one as many as the
    category's policy says (the smallest batch while it is not due). Embeddings are used where they are cached; none are
    computed. Raises FinetuneError.
    """
    from core.select.dataset import eligible_of

    constants = select_of(category, config)
    found = eligible_of(store, home, category, now=now, config=config)
    learned, waits = frozenset[int](), ""
    level = training.level(store, category.name) if constants.curriculum else None
    if selection is None:
        learned = _learned(store, home, config, category)
        size, waits = (limit, "") if limit is not None else _size(store, home, config, category, found)
        if size is not None:
            taken = training.taken(store, home, category)
            size, known = training.with_missed(found, taken, learned, size)
            learned = frozenset(known)
        selection = _selection(store, home, config, category, found, now=now, limit=size, level=level, learned=learned)
    hard = {each.event_id: each for each in hard_negatives(store, category, constants=constants, states=STATES)}
    return Standings(
        category,
        found,
        selection,
        hard,
        constants=constants,
        level=level,
        learned=learned,
        waits=waits,
        pinned=open_pins(store, category.name),
    )


def _selection(
    store: Store,
    home: Home,
    config: Config,
    category: Category,
    found: Eligible,
    *,
    now: float,
    limit: int | None,
    level: int | None,
    learned: frozenset[int],
) -> Selection:
    from core.select.alike.meaning import preview
    from core.select.dataset import select_dataset

    return preview(
        store,
        config,
        lambda meaning: select_dataset(
            store,
            home,
            category,
            now=now,
            seed=0,
            limit=limit,
            level=level if limit else None,
            config=config,
            learned=learned,
            meaning=meaning,
            found=found,
        ),
    )


def _learned(store: Store, home: Home, config: Config, category: Category) -> frozenset[int]:
    """What the version that the next run goes on from has learned; nothing where its base model is not at hand."""
    if not loop_of(category, config).incremental:
        return frozenset()
    try:
        base = resolve_base(category.base_model or config.train.base_model, home, make=False)
        start = training.start_of(store, home, config, category.name, base.name)
    except FinetuneError:
        return frozenset()
    return frozenset(training.learned(store, start))


def _size(store: Store, home: Home, config: Config, category: Category, found: Eligible) -> tuple[int | None, str]:
    """How many examples the next training takes, and why it does not begin yet (as an end of a sentence)."""
    decision = decide(training.outlook(store, home, config, category, found), loop_of(category, config))
    return (decision.limit, "") if decision.due else (SMALLEST, f"; it waits: {decision.reason}")
