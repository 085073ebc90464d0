"""What of a category may be trained on now, what is kept for testing, and why the rest is held back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from core.categories import Category
from core.config import Select
from core.select.alike.similarity import near_duplicates
from core.select.held_out import held_out_from, keeps_test
from core.select.lessons import Lesson, common_outputs, lessons_from
from core.select.own_reward import Fault, RewardFunction
from core.select.split import is_validation
from core.validate.gate import Held
from storage import datasets, events
from storage.db import Store
from storage.rows import EventFilter, EventRow

_VALIDATION_NEEDS = 20


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
    considered = list(events.iter_events(store, EventFilter(category=category.name)))
    trained = datasets.trained_event_ids(store, category.name)
    test = held_out_from(considered, trained, limit=constants.max_test, percent=constants.held_out_percent)
    held: dict[int, Held] = {}
    trainable: list[EventRow] = []
    trained_prompts = {event.prompt_hash for event in considered if event.id in trained}
    for event in considered:
        if keeps_test(event, len(considered), trained_prompts, constants.held_out_percent):
            held[event.id] = Held("held out", "kept for testing")
        else:
            trainable.append(event)
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
    train, validation = _parts(kept, trained_prompts, constants)
    return Eligible(len(considered), train, validation, test, held, own.faults if own else ())


def _parts(
    lessons: Sequence[Lesson], trained_prompts: Collection[str], constants: Select
) -> tuple[list[Lesson], list[Lesson]]:
    """Train and validation. A small category needs every example for training; a large one watches `max_validation`.

    What was trained on once, while the category was small, does not watch: its loss would tell what is remembered.
    """
    if len(lessons) < _VALIDATION_NEEDS:
        return list(lessons), []
    watching = [
        each
        for each in lessons
        if is_validation(each.event.bucket, constants.held_out_percent)
        and each.event.prompt_hash not in trained_prompts
    ]
    watching.sort(key=lambda each: (each.event.prompt_hash, each.event.id))
    last = watching[: constants.max_validation][-1].event.prompt_hash if watching else ""
    # Cut between two prompts, never between two answers to one.
    watched = {each.event.id for each in watching if each.event.prompt_hash <= last}
    return (
        [each for each in lessons if each.event.id not in watched],
        [each for each in lessons if each.event.id in watched],
    )


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
