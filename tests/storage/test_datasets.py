"""Datasets, and which events a category has taken, trained on, and a version learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from storage import datasets, events, runs, versions
from storage.db import Store
from storage.errors import ConflictError, NotFoundError
from storage.rows import DatasetItem, NewEvent

ITEM = DatasetItem(0, 1, "train", "p", "t", "", 1.0, 0.2, "easy")
MakeDataset = Callable[..., int]


@pytest.fixture
def make(filled: Store) -> MakeDataset:
    """`make(1, 2, test=[3])`: a dataset that trains on events 1 and 2 and tests on 3."""
    numbers = iter(range(100))

    def adder(*train: int, test: tuple[int, ...] = (), category: str = "erd") -> int:
        items = [replace(ITEM, position=at, event_id=event) for at, event in enumerate(train)]
        items += [
            replace(ITEM, position=len(items) + at, event_id=event, split="test") for at, event in enumerate(test)
        ]
        return datasets.add(
            filled, created_at=1.0, category=category, hash=f"b2:{next(numbers)}", seed=0, settings={}, counts={},
            items=items,
        )  # fmt: skip

    return adder


def queued(
    store: Store,
    dataset: int,
    *,
    base: str = "demo",
    category: str = "erd",
    start: int | None = None,
    method: str = "sft",
) -> int:
    return runs.enqueue(
        store, created_at=1.0, category=category, base_model=base, method=method, settings={}, dataset_id=dataset,
        parent_version=None, start_version=start,
    )  # fmt: skip


def version(store: Store, number: int, run: int | None, dataset: int | None) -> int:
    return versions.add(
        store, created_at=1.0, name=f"ft-demo-erd-v{number}", category="erd", base_model="demo", number=number,
        run_id=run, parent_id=None, dataset_id=dataset, folder=f"models/demo/erd/v{number}", settings={},
        code_version="1",
    )  # fmt: skip


def test_an_item_keeps_all_that_it_is(filled: Store) -> None:
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi\n"}]
    items = [
        ITEM,
        replace(
            ITEM, position=1, prompt="reworded", weight=0.25, origin="paraphrase", history=turns, system="Be brief."
        ),
        replace(ITEM, position=2, event_id=2, stage="hard", difficulty=0.9, origin="replay"),
        replace(ITEM, position=3, event_id=3, split="validation", stage=""),
        replace(ITEM, position=4, event_id=0, split="validation", rejected="worse"),
        replace(ITEM, position=5, split="validation", desirable=False),
    ]
    kept = datasets.add(
        filled, created_at=1.0, category="erd", hash="h", seed=3, settings={"a": 1}, counts={"train": 3}, items=items
    )
    assert datasets.items(filled, kept) == items
    assert datasets.items(filled, kept, "validation") == items[3:]
    row = datasets.get(filled, kept)
    assert (row.seed, row.settings, row.counts) == (3, {"a": 1}, {"train": 3})


def test_the_same_hash_is_the_same_dataset_of_a_category(filled: Store) -> None:
    def add(category: str, seed: int) -> int:
        return datasets.add(
            filled, created_at=1.0, category=category, hash="h", seed=seed, settings={}, counts={}, items=[ITEM]
        )

    first = add("erd", 1)
    assert add("erd", 2) == first != add("poems", 1)
    assert datasets.get(filled, first).seed == 1
    assert len(datasets.items(filled, first)) == 1


def test_an_item_of_an_unknown_event_leaves_nothing_behind(filled: Store) -> None:
    with pytest.raises(ConflictError):
        datasets.add(
            filled, created_at=1.0, category="erd", hash="h", seed=0, settings={}, counts={},
            items=[ITEM, replace(ITEM, position=1, event_id=999)],
        )  # fmt: skip
    with pytest.raises(NotFoundError):
        datasets.get(filled, 1)
    assert datasets.items(filled, 1) == []


def test_what_is_taken_includes_runs_that_wait_and_what_is_trained_on_does_not(
    filled: Store, make: MakeDataset
) -> None:
    first = queued(filled, make(1, 2, test=(9,)))
    second = queued(filled, make(3))
    queued(filled, make(4), base="qwen3-1.7b")
    queued(filled, make(5, category="poems"), category="poems")
    assert datasets.taken_event_ids(filled, "erd", "demo") == {1, 2, 3}
    assert datasets.taken_event_ids(filled, "erd", "qwen3-1.7b") == {4}
    assert datasets.taken_event_ids(filled, "erd", "none") == set()
    assert datasets.trained_event_ids(filled, "erd") == set()
    assert runs.claim(filled, second, pid=1, pid_started=1.0, now=2.0)
    runs.finish(filled, second, "failed", now=3.0, error="x")
    assert datasets.trained_event_ids(filled, "erd") == {3}, "it may have learned before it failed"
    assert runs.claim(filled, first, pid=1, pid_started=1.0, now=2.0)
    assert datasets.trained_event_ids(filled, "erd") == {1, 2, 3}
    assert datasets.trained_event_ids(filled, "poems") == set()


def test_each_method_takes_and_learns_for_itself(filled: Store, make: MakeDataset) -> None:
    lessons, more = make(1, 2), make(5)
    pairs = datasets.add(
        filled, created_at=1.0, category="erd", hash="pairs", seed=0, settings={}, counts={},
        items=[
            replace(ITEM, event_id=2, rejected="worse"),
            replace(ITEM, position=1, event_id=0, prompt="asked elsewhere", rejected="no"),
            replace(ITEM, position=2, event_id=9, split="test"),
        ],
    )  # fmt: skip
    run = queued(filled, lessons)
    first = version(filled, 1, run, lessons)
    second_run = queued(filled, pairs, start=first, method="dpo")
    second = version(filled, 2, second_run, pairs)
    third = version(filled, 3, queued(filled, more, start=second), more)
    assert datasets.taken_event_ids(filled, "erd", "demo") == {1, 2, 5}
    assert datasets.taken_event_ids(filled, "erd", "demo", method="dpo") == {2}
    learned = [datasets.learned_event_ids(filled, each) for each in (first, second, third)]
    assert learned == [{1, 2}, {1, 2}, {1, 2, 5}]
    known = {("p", "t", "worse", True), ("asked elsewhere", "t", "no", True)}
    assert [datasets.learned_texts(filled, each, "dpo") for each in (first, second, third)] == [set(), known, known]
    assert datasets.learned_texts(filled, third, "kto") == set()
    assert (datasets.trained_event_ids(filled, "erd"), datasets.trained_without_event(filled, "erd")) == (set(), set())
    assert runs.claim(filled, second_run, pid=1, pid_started=1.0, now=2.0)
    assert datasets.trained_event_ids(filled, "erd") == {2}, "by whatever method, its prompt has been trained on"
    assert datasets.trained_without_event(filled, "erd") == {"asked elsewhere"}
    assert datasets.trained_without_event(filled, "poems") == set()


def test_a_version_has_learned_what_those_before_it_had(filled: Store, make: MakeDataset) -> None:
    base = version(filled, 0, None, None)
    data = [make(1, 2, test=(10,)), make(3), make(2, 4), make(5)]
    first = version(filled, 1, queued(filled, data[0]), data[0])
    second = version(filled, 2, queued(filled, data[1], start=first), data[1])
    third = version(filled, 3, queued(filled, data[2], start=second), data[2])
    afresh = version(filled, 4, queued(filled, data[3]), data[3])
    learned = {each: datasets.learned_event_ids(filled, each) for each in (base, first, second, third, afresh)}
    assert learned == {base: set(), first: {1, 2}, second: {1, 2, 3}, third: {1, 2, 3, 4}, afresh: {5}}
    assert datasets.learned_event_ids(filled, 999) == set()


def test_what_a_version_of_another_category_has_learned_is_learned_too(
    filled: Store, make: MakeDataset, new_event: Callable[..., NewEvent]
) -> None:
    other = events.add(filled, new_event(50, category="poems"))
    data = make(other, category="poems"), make(1)
    older = version(filled, 1, queued(filled, data[0], category="poems"), data[0])
    newer = version(filled, 2, queued(filled, data[1], start=older), data[1])
    assert datasets.learned_event_ids(filled, newer) == {other, 1}


def test_the_open_run_is_found_behind_newer_ones_that_ended(filled: Store, make: MakeDataset) -> None:
    assert runs.open_run(filled, "erd", "demo") is None
    first, second = queued(filled, make(1)), queued(filled, make(2))
    other = queued(filled, make(3), base="qwen3-1.7b")
    assert runs.claim(filled, second, pid=1, pid_started=1.0, now=2.0)
    runs.finish(filled, second, "finished", now=3.0)
    found = runs.open_run(filled, "erd", "demo")
    assert found is not None and (found.id, found.status) == (first, "queued")
    assert runs.claim(filled, first, pid=1, pid_started=1.0, now=2.0)
    found = runs.open_run(filled, "erd", "demo")
    assert found is not None and (found.id, found.status) == (first, "running")
    runs.finish(filled, first, "stopped", now=3.0)
    assert runs.open_run(filled, "erd", "demo") is None
    found = runs.open_run(filled, "erd", "qwen3-1.7b")
    assert found is not None and found.id == other
