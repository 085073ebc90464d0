"""What a person asks for comes first in the next batch, and is told so."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selection_kit import NOW, add_event, add_failure, chosen, prompts, split
from test_training_batch import batch, ids, lesson

from core.categories import Category
from core.config import Config, Loop, Select
from core.paths import Home
from core.select.dataset import freeze
from core.standing import standings
from storage import pins
from storage.db import Store


def test_what_was_asked_for_is_chosen_first() -> None:
    pool = [lesson(number, hard=number % 4 == 0) for number in range(1, 41)]
    without = set(ids(batch(pool, limit=8).fresh))
    left_out = [each.event.id for each in pool if each.event.id not in without][:3]
    found = batch(pool, limit=8, pinned=left_out)
    assert set(ids(found.fresh[:3])) == set(left_out)
    assert found.pinned == 3
    assert len(found.fresh) == 8


def test_what_was_asked_for_is_trained_on_again_though_it_was_learned() -> None:
    pool = [lesson(number) for number in range(1, 11)]
    learned = set(range(1, 9))
    found = batch(pool, limit=3, learned=learned, pinned=[2])
    assert sorted(ids(found.fresh)) == [2, 9, 10]
    assert 2 not in ids(found.replayed)


@given(
    pinned=st.sets(st.integers(1, 24)),
    limit=st.integers(1, 24),
    share=st.floats(0, 1),
    hard=st.sets(st.integers(1, 24)),
)
@settings(max_examples=40)
def test_a_batch_is_full_and_holds_as_much_of_what_was_asked_for_as_there_is_room_for(
    pinned: set[int], limit: int, share: float, hard: set[int]
) -> None:
    pool = [lesson(number, hard=number in hard) for number in range(1, 25)]
    found = ids(batch(pool, limit=limit, pinned=pinned, constants=Select(hard_share=share)).fresh)
    assert len(found) == len(set(found)) == limit
    assert len(pinned & set(found)) == min(limit, len(pinned))


def test_the_selection_honours_wishes_and_so_does_the_explanation(store: Store, home: Home, erd: Category) -> None:
    texts = prompts(12)
    events = [add_event(store, text, score=88.0 + number) for number, text in enumerate(texts[:10])]
    waiting = add_failure(store, texts[10])
    plain = split(chosen(store, home, erd, limit=3), "train")
    asked = next(event for event in events if event not in plain)
    pins.pin(store, asked, now=NOW)
    pins.pin(store, waiting, now=NOW)
    found = chosen(store, home, erd, limit=3)
    assert asked in split(found, "train")
    assert found.counts["pinned"] == 1
    config = Config(select=Select(embeddings="none"), loop=Loop(incremental=False))
    known = standings(store, home, config, erd, now=NOW, limit=3)
    assert known.of(asked).pinned and known.of(asked).batch.endswith("because you asked for it")
    assert known.of(waiting).batch.endswith("you asked for it, so it is taken first as soon as it may be")
    assert not known.of(plain[0]).pinned


@pytest.mark.parametrize("limit", [None, 3])
def test_the_same_wishes_give_the_same_dataset(store: Store, home: Home, erd: Category, limit: int | None) -> None:
    for text in prompts(10):
        add_event(store, text)
    pins.pin(store, 7, now=NOW)
    one, other = (chosen(store, home, erd, limit=limit) for _ in range(2))
    assert freeze(store, one, now=NOW) == freeze(store, other, now=NOW + 9)
