"""What of a category may be trained on now, what is kept for testing, and why the rest is held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.categories import Category
from core.config import Select
from core.select.alike.similarity import near_duplicates
from core.select.held_out import parted, sides_of
from core.select.lessons import Lesson, common_outputs, lessons_from
from core.select.own_reward import Fault, RewardFunction
from core.validate.gate import Held
from storage import events
from storage.db import Store
from storage.rows import EventRow


@dataclass(frozen=True, slots=True)
class Eligible:
    """Every event of a category in its place: `train` may be trained on, `validation` watches the training (both in the
    order of their ids), `test` (one event a prompt) is what versions are tested on, `held` has, by event id, a reason
    for each other one.

    `faults` says what is wrong with the category's own reward function.
    """

    considered: int
    train: list[Lesson]
    validation: list[Lesson]
    test: list[EventRow]
    held: dict[int, Held]
    faults: tuple[Fault, ...] = ()

    @property
    def count(self) -> int:
        """How many lessons passed the gate."""
        return len(self.train) + len(self.validation)


def eligible(
    store: Store, category: Category, *, now: float, constants: Select, own: RewardFunction | None = None
) -> Eligible:
    """Sorts every event of the category; the same store gives the same answer at any time of asking.

    `own` is the category's own reward function, where it has one.
    """
    sides = sides_of(store, category.name, constants)
    considered, test = sides.considered, sides.test
    held = {event_id: Held("held out", "kept for testing") for event_id in sorted(sides.kept)}
    trainable = [event for event in considered if event.id not in sides.kept]
    passed: list[Lesson] = []
    found = lessons_from(
        trainable,
        category,
        now=now,
        recent=sum(event.created_at >= now - events.RECENT_SECONDS for event in considered),
        common=common_outputs(considered),
        constants=constants,
        own=own,
    )
    for event, each in zip(trainable, found, strict=True):
        if isinstance(each, Held):
            held[event.id] = each
        else:
            passed.append(each)
    kept, repeats = _distinct(passed, test, constants.near_duplicate)
    held.update(repeats)
    train, validation = parted(
        kept, lambda each: (each.event.bucket, each.event.prompt_hash), sides.trained_prompts, constants
    )
    return Eligible(len(considered), train, validation, test, held, own.faults if own else ())


def _distinct(passed: list[Lesson], test: Sequence[EventRow], floor: float) -> tuple[list[Lesson], dict[int, Held]]:
    """The lessons of which none nearly repeats a better one or what is kept for testing, and those that do."""
    # A correction before any answer, then the better lesson, then the newer one.
    passed.sort(key=lambda each: (not each.corrected, -each.strength, -each.event.created_at, each.event.id))
    # What is tested on comes first: a lesson that nearly repeats it would teach the answers of the test.
    prompts = [event.prompt for event in test] + [each.event.prompt for each in passed]
    outputs = [event.correction or event.response for event in test] + [each.target for each in passed]
    kept: list[Lesson] = []
    repeats: dict[int, Held] = {}
    repeated = near_duplicates(prompts, outputs, floor, always=len(test))
    for index, each in enumerate(passed, len(test)):
        other = repeated.get(index)
        if other is None:
            kept.append(each)
        elif other < len(test):
            reason = f"near-copy of event {test[other].id}, which is kept for testing"
            repeats[each.event.id] = Held("near test", reason)
        else:
            original = passed[other - len(test)].event.id
            repeats[each.event.id] = Held("near-duplicate", f"near-copy of event {original}")
    return sorted(kept, key=lambda each: each.event.id), repeats
