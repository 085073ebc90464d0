from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import Select
from core.select.alike.vectors import Vectors
from core.select.review import reordered, review_order
from core.select.split import bucket, content_hash, prompt_hash
from storage import events, judgments
from storage.db import Store
from storage.rows import EventFilter, NewEvent
from tui.review.queue import with_order

PENDING = EventFilter(verdict="pending")
Add = Callable[..., int]


@pytest.fixture
def add(store: Store) -> Add:
    def adder(prompt: str, score: float = 50.0, **over: object) -> int:
        event = NewEvent(
            created_at=1.0, category="erd", model="m", prompt=prompt, response=f"Answer to {prompt}",
            content_hash=content_hash(prompt, prompt), prompt_hash=prompt_hash(prompt),
            bucket=bucket(prompt_hash(prompt)), feedback_type="neutral", score=score, valid=True, quality=0.5,
            tier="bronze",
        )  # fmt: skip
        return events.add(store, replace(event, **over))  # type: ignore[arg-type]

    return adder


def test_what_is_like_a_labelled_one_comes_later(store: Store, add: Add) -> None:
    shop, other_shop = add("the shop with its many customers", 40.0), add("the shop with its many customer", 41.0)
    lake = add("a quiet lake in the northern hills", 44.0)
    assert list(review_order(store, PENDING)) == [shop, lake, other_shop]
    judgments.judge(store, shop, "bad", now=2.0)
    assert list(review_order(store, PENDING)) == [other_shop, lake]
    assert list(review_order(store, PENDING, labelled=[shop])) == [lake, other_shop]
    assert list(reordered(store, [other_shop, lake], [shop])) == [lake, other_shop]
    assert list(reordered(store, [lake, other_shop], [])) == [other_shop, lake]


def test_the_weights_of_the_formula_are_the_users(store: Store, add: Add) -> None:
    unsure, good = add("the shop", 20.0, quality=0.4), add("a lake", 90.0, quality=0.6)
    assert list(review_order(store, PENDING)) == [unsure, good]
    assert list(review_order(store, PENDING, constants=Select(uncertainty_weight=0.0))) == [good, unsure]


def test_texts_are_compared_by_what_is_given(store: Store, add: Add) -> None:
    first, same_meaning, third = add("automobile", 10.0), add("car", 12.0), add("lake", 19.0)

    def embed(texts: object) -> Vectors:
        return np.array([[0.0, 1.0] if "lake" in text else [1.0, 0.0] for text in texts], dtype=np.float32)  # type: ignore[attr-defined]

    assert list(review_order(store, PENDING)) == [first, same_meaning, third]
    assert list(review_order(store, PENDING, embed=embed)) == [first, third, same_meaning]


def test_labelled_ones_that_the_filter_lets_pass_are_not_lost(store: Store, add: Add) -> None:
    ids = [add(f"prompt of number {number} and nothing else") for number in range(5)]
    found = review_order(store, EventFilter(), labelled=ids[:2])
    assert sorted(found) == ids
    assert set(found[3:]) == set(ids[:2])


def test_what_is_gone_keeps_its_place_at_the_end(store: Store, add: Add) -> None:
    ids = [add(f"prompt of number {number} and nothing else") for number in range(3)]
    found = reordered(store, [*ids, 99, 98], [ids[0]])
    assert list(found[2:]) == [ids[0], 99, 98]


@given(st.data())
def test_a_new_order_loses_and_doubles_nothing_and_keeps_what_is_fixed(data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, 30), unique=True))
    order = data.draw(st.lists(st.integers(0, 30), unique=True))
    start = data.draw(st.integers(0, len(ids)))
    fixed = data.draw(st.sets(st.integers(0, 30)))
    found = with_order(ids, order, start, fixed)
    tail = ids[start:]
    assert sorted(found) == sorted(tail)
    free = [event_id for event_id in found if event_id in order and event_id not in fixed]
    assert free == [event_id for event_id in order if event_id in tail and event_id not in fixed]
    assert all(now == before for now, before in zip(found, tail, strict=True) if before in fixed or before not in order)
