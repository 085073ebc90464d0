"""The side of every event, and that nothing ever crosses over: as data grows, after trainings, with variants."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz
from selection_kit import NOW, Add, chosen, new_event, on_the_test_side, prompts, split, trained, version_of, worded

from core.categories import Category
from core.config import Select
from core.paths import Home
from core.select.eligible import Eligible, eligible
from core.select.split import bucket, is_validation, prompt_hash
from storage import datasets, events, judgments
from storage.db import Store, open_store

FRESH_STORES = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
NewStore = Callable[[], Store]


@pytest.fixture
def new_store(tmp_path: Path) -> NewStore:
    """Makes an empty store, another one each time."""
    made: list[Path] = []

    def make() -> Store:
        made.append(tmp_path / f"store{len(made)}.db")
        return open_store(made[-1])

    return make


def found(store: Store, category: Category) -> Eligible:
    return eligible(store, category, now=NOW, constants=Select())


def validation_prompts(number: int) -> list[str]:
    return [text for text in prompts(40 * number) if is_validation(bucket(prompt_hash(text)))][:number]


def test_fewer_than_twenty_lessons_watch_nothing(store: Store, erd: Category, add: Add) -> None:
    (watching,) = validation_prompts(1)
    others = [text for text in prompts(60) if not is_validation(bucket(prompt_hash(text)))]
    event = add(watching)
    for text in others[:18]:
        add(text)
    small = found(store, erd)
    assert (len(small.train), small.validation) == (19, [])
    add(others[18])
    large = found(store, erd)
    assert [each.event.id for each in large.validation] == [event]
    assert large.count == 20


def test_what_was_trained_on_while_there_was_little_never_watches(
    store: Store, home: Home, erd: Category, add: Add
) -> None:
    first, second = validation_prompts(2)
    early = add(first)
    selection = chosen(store, home, erd)
    assert split(selection, "train") == [early]
    waiting = trained(store, selection, started=False)
    others = [text for text in prompts(60) if not is_validation(bucket(prompt_hash(text)))][:20]
    for text in others:
        add(text)
    assert split(chosen(store, home, erd), "validation") == [early], f"run {waiting} has not begun"
    trained(store, selection)
    late = add(second)
    after = chosen(store, home, erd)
    assert split(after, "validation") == [late]
    assert early in split(after, "train")


def test_two_answers_to_one_prompt_watch_together(store: Store, erd: Category, add: Add) -> None:
    first, second = sorted(validation_prompts(2), key=prompt_hash)
    for text in prompts(30):
        if not is_validation(bucket(prompt_hash(text))):
            add(text)
    both = [add(first, "one long answer about apples and pears"), add(first, "quite another one: planes, trains, cars")]
    other = add(second)
    constants = Select(max_validation=1)
    watching = eligible(store, erd, now=NOW, constants=constants).validation
    assert [each.event.id for each in watching] == both
    train = eligible(store, erd, now=NOW, constants=constants).train
    assert other in [each.event.id for each in train]


def test_a_chain_of_near_copies_in_the_test_hides_nothing(store: Store, home: Home, erd: Category, add: Add) -> None:
    """Of two tests that are alike, both keep lessons away, also one that is like the second alone."""
    answer = "the same long answer to every one of them, word for word, with nothing changed in it"

    def grown(text: str, *, held_out: bool) -> str:
        """With four characters more: a near-copy of `text`, and two steps on none any more."""
        options = (f"{text} {first}{second}{first}" for first in "abcdefgh" for second in "ijklmnopq")
        # Tests stand in the order of their hashes; the one that is grown comes later.
        return next(
            each
            for each in options
            if on_the_test_side(each) is held_out and (not held_out or prompt_hash(each) > prompt_hash(text))
        )

    start = grown("a shop with orders", held_out=True)
    middle = grown(start, held_out=True)
    far = grown(middle, held_out=False)
    assert fuzz.ratio(start, far) < 90.0 <= min(fuzz.ratio(start, middle), fuzz.ratio(middle, far))
    add(start, f"{answer}.")
    add(middle, f"{answer}!")
    lesson = add(far, f"{answer}?")
    for text in prompts(4):
        add(text)
    held = found(store, erd).held[lesson]
    assert (held.kind, held.reason) == ("near test", "near-copy of event 2, which is kept for testing")


def test_the_most_that_is_tested_is_a_setting_and_stays_in_order(store: Store, erd: Category, add: Add) -> None:
    for text in prompts(30, held_out=True):
        add(text)
    every = [event.id for event in found(store, erd).test]
    some = eligible(store, erd, now=NOW, constants=Select(max_test=7))
    assert [event.id for event in some.test] == every[:7]
    assert len(every) == len(some.held) == 30, "what is not tested now is not trained on either"


SIDES = ("train", "validation", "test")


@FRESH_STORES
@given(
    st.lists(st.integers(1, 25), min_size=2, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.integers(0, 3),
)
def test_nothing_crosses_over_as_data_grows_and_versions_are_trained(
    new_store: NewStore, home: Home, erd: Category, steps: list[int], trains: list[bool], seed: int
) -> None:
    """Whatever comes in, and whenever a run begins: what was learned is never tested or watched, and what is kept for
    testing once there is a test stays there."""
    texts = [event.prompt for event in worded(100)]
    random.Random(seed).shuffle(texts)
    answers = {event.prompt: event for event in worded(100)}
    with new_store() as store:
        learned: set[int] = set()
        tested: set[int] = set()
        version = None
        for at, count in enumerate(steps):
            events.add_many(store, [answers[text] for text in texts[:count]])
            del texts[:count]
            known: set[int] = datasets.learned_event_ids(store, version) if version else set()
            selection = chosen(store, home, erd, seed=seed, learned=known, augmentation=True)
            train, watching, test = (set(split(selection, name)) for name in SIDES)
            assert not (train & test or train & watching or watching & test)
            assert learned.isdisjoint(test | watching)
            assert tested <= test
            tested |= test
            reworded = [item for item in selection.items if item.origin in ("synonym", "paraphrase")]
            assert not any(on_the_test_side(item.prompt) for item in reworded)
            if trains[at] and selection.counts["train"]:
                learned |= train
                run = trained(store, selection, start=version)
                version = version_of(store, run, at + 1)
                assert datasets.learned_event_ids(store, version) == learned


@FRESH_STORES
@given(st.lists(st.sampled_from(["erd", "poems"]), min_size=20, max_size=60), st.integers(0, 9))
def test_other_categories_change_nothing(
    new_store: NewStore, home: Home, erd: Category, order: list[str], seed: int
) -> None:
    """The same events in the same order give the same training, however many others came in between."""

    def taken(store: Store) -> list[tuple[object, ...]]:
        selection = chosen(store, home, erd, seed=seed, limit=12, level=2)
        return [
            (item.split, item.prompt, item.target, item.weight, item.stage, item.origin) for item in selection.items
        ]

    own = list(worded(order.count("erd")))
    other = [replace(new_event(text, category="poems"), score=5.0) for text in prompts(60)]
    with new_store() as mixed, new_store() as alone:
        events.add_many(alone, own)
        left, rest = iter(own), iter(other)
        events.add_many(mixed, [next(left) if name == "erd" else next(rest) for name in order])
        assert taken(mixed) == taken(alone)


@FRESH_STORES
@given(st.integers(1, 40), st.integers(0, 99), st.sampled_from([None, 1, 7, 20]), st.sampled_from([None, 0, 1, 2, 3]))
def test_what_is_eligible_is_never_left_without_a_batch(
    new_store: NewStore, home: Home, erd: Category, count: int, seed: int, limit: int | None, level: int | None
) -> None:
    """However few stages there are, a batch is as large as asked for; the same seed gives the same hash."""
    with new_store() as store:
        events.add_many(store, [new_event(text, score=85.0 + at % 15) for at, text in enumerate(prompts(count))])
        first, again = (
            chosen(store, home, erd, seed=seed, limit=limit, level=level if limit else None) for _ in range(2)
        )
        assert first.hash == again.hash
        pool = int(str(first.counts["eligible"])) - int(str(first.counts["validation"]))
        assert first.counts["train"] == min(pool, limit or pool) > 0


def test_a_judgment_moves_an_event_out_but_never_across(store: Store, home: Home, erd: Category, add: Add) -> None:
    ids = [add(text) for text in prompts(40, held_out=None)]
    before = chosen(store, home, erd)
    sides = {event: name for name in SIDES for event in split(before, name)}
    assert set(sides.values()) == set(SIDES)
    for event in ids:
        judgments.judge(store, event, "correct", correction=f"a better answer, number {event}", now=NOW)
    after = chosen(store, home, erd)
    assert {event: name for name in SIDES for event in split(after, name)} == sides
    judgments.judge(store, ids[0], "reject", now=NOW + 1)
    assert ids[0] not in {item.event_id for item in chosen(store, home, erd).items}
