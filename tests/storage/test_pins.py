"""Wishes for the next training batch: the newest counts, a run that has started fulfils it, nothing is forgotten."""

from __future__ import annotations

import pytest

from core.select.split import bucket, content_hash, prompt_hash
from storage import datasets, events, pins, runs
from storage.db import Store
from storage.errors import ConflictError
from storage.rows import DatasetItem, NewEvent


def add(store: Store, prompt: str, category: str = "erd") -> int:
    key = prompt_hash(prompt)
    event = NewEvent(
        created_at=1.0, category=category, model="m", prompt=prompt, response="r", prompt_hash=key, bucket=bucket(key),
        content_hash=content_hash(prompt, "r"), feedback_type="neutral", score=20.0, valid=True, quality=0.5,
        tier="rejected",
    )  # fmt: skip
    return events.add(store, event)


def test_the_newest_wish_of_an_event_counts(store: Store) -> None:
    one, other, elsewhere = add(store, "a"), add(store, "b"), add(store, "c", "support")
    assert pins.pin(store, one, now=5.0)
    assert not pins.pin(store, one, now=6.0), "it is wished already"
    assert pins.pin(store, elsewhere, now=7.0)
    assert pins.open_pins(store, "erd") == {one: 5.0}
    assert pins.open_pins(store) == {one: 5.0, elsewhere: 7.0}
    assert not pins.unpin(store, other, now=8.0)
    assert pins.unpin(store, one, now=8.0)
    assert pins.open_pins(store, "erd") == {}
    assert pins.pin(store, one, now=9.0)
    assert pins.open_pins(store, "erd") == {one: 9.0}
    assert not pins.pin(store, 99, now=9.0), "there is no such event"


def trained(store: Store, event_id: int, *, queued: float, split: str = "train", started: bool = True) -> None:
    item = DatasetItem(0, event_id, split, "p", "t", "", 1.0, 0.5, "")  # type: ignore[arg-type]
    data = datasets.add(
        store, created_at=queued, category="erd", hash=f"b2:{queued}{split}", seed=0, settings={}, counts={},
        items=[item],
    )  # fmt: skip
    run = runs.enqueue(
        store, created_at=queued, category="erd", base_model="m", method="sft", settings={}, dataset_id=data,
        parent_version=None,
    )  # fmt: skip
    if started:
        assert runs.claim(store, run, pid=1, pid_started=1.0, now=queued)
        runs.finish(store, run, "finished", now=queued + 1)


@pytest.mark.parametrize(
    ("run", "still"),
    [
        ({"queued": 20.0}, False),
        ({"queued": 20.0, "started": False}, True),
        ({"queued": 20.0, "split": "validation"}, True),
        ({"queued": 5.0}, True),
    ],
)
def test_a_run_that_was_queued_later_and_trains_on_it_fulfils_the_wish(
    store: Store, run: dict[str, object], still: bool
) -> None:
    event = add(store, "a")
    pins.pin(store, event, now=10.0)
    trained(store, event, **run)  # type: ignore[arg-type]
    assert (event in pins.open_pins(store, "erd")) is still
    if not still:
        assert pins.pin(store, event, now=30.0), "it can be wished for again"


def test_a_wish_is_never_rewritten(store: Store) -> None:
    pins.pin(store, add(store, "a"), now=1.0)
    with pytest.raises(ConflictError), store.transaction():
        store.write("UPDATE pins SET pinned = 0")
