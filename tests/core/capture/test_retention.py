"""Retention: the oldest of the lowest tier go first, and what is protected never."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.capture import retention as cleaning
from core.capture.retention import clean_up
from core.config import Capture, Config
from core.paths import Home
from core.select.alike.near import near_keys
from storage import ab_tests, datasets, events, judgments, near, pairs, retention, versions
from storage.db import Store, integrity_problems, open_store
from storage.errors import ConflictError
from storage.rows import AbPairRow, DatasetItem, EventFilter, NewEvent

NOW = 1_700_000_000.0
DAY = 86_400.0


def config(limit: int) -> Config:
    return replace(Config(), capture=Capture(retention=limit))


def event(number: int, **changes: Any) -> NewEvent:
    values: dict[str, Any] = {
        "created_at": NOW - (1000 - number) * DAY,
        "category": "erd",
        "model": "m",
        "prompt": f"prompt {number}",
        "response": f"response {number}",
        "content_hash": f"b2:{number:032x}",
        "prompt_hash": f"b2:{number:032x}",
        "bucket": 50,
        "feedback_type": "success",
        "score": 90.0,
        "valid": True,
        "quality": 0.8,
        "tier": "silver",
    }
    return NewEvent(**(values | changes))


def left(store: Store, category: str = "erd") -> list[int]:
    return list(events.event_ids(store, EventFilter(category=category), order="id"))


def dataset(store: Store, event_id: int) -> None:
    items = [DatasetItem(0, event_id, "train", "p", "t", "", 1.0, 0.2, "easy")]
    datasets.add(store, created_at=1.0, category="erd", hash="h", seed=0, settings={}, counts={}, items=items)


def ab_pair(store: Store, event_id: int) -> None:
    ids = [
        versions.add(
            store,
            created_at=1.0,
            name=f"v{number}",
            category="erd",
            base_model="demo",
            number=number,
            run_id=None,
            parent_id=None,
            dataset_id=None,
            folder="f",
            settings={},
            code_version="1",
        )
        for number in (1, 2)
    ]
    test = ab_tests.start(
        store, created_at=1.0, category="erd", version_a=ids[0], version_b=ids[1], seed=0, settings={}
    )
    ab_tests.add_pairs(store, [AbPairRow(test, 0, event_id, "p", "a", "b", 1.0, 2.0, 1.0, 1.0, 1, 1, "b")])


def test_the_oldest_of_the_lowest_tier_go_first(store: Store) -> None:
    tiers = ["gold", "rejected", "bronze", "silver", "rejected", "bronze", "silver", "gold"]
    events.add_many(store, [event(number, tier=tier) for number, tier in enumerate(tiers, 1)])
    (done,) = clean_up(store, config(5), now=NOW)
    assert left(store) == [1, 4, 6, 7, 8]
    assert (done.category, done.before, done.remaining, done.over, done.protected) == ("erd", 8, 5, 0, {})
    assert done.removed == {"rejected": 2, "bronze": 1}
    assert done.youngest_days == 995.0
    assert clean_up(store, config(5), now=NOW) == []
    clean_up(store, config(1), now=NOW)
    assert left(store) == [8]


def test_age_decides_within_a_tier_and_not_the_order_of_recording(store: Store) -> None:
    events.add_many(store, [event(9 - number) for number in range(6)])
    clean_up(store, config(2), now=NOW)
    assert left(store) == [1, 2]


def test_what_is_protected_stays_whatever_its_tier(store: Store) -> None:
    events.add_many(store, [event(number, tier="rejected") for number in range(1, 7)])
    events.add_many(store, [event(7, tier="rejected", bucket=19), event(8, tier="rejected", bucket=20)])
    events.add_many(store, [event(number, tier="gold") for number in (9, 10)])
    judgments.judge(store, 1, "skip", now=NOW)
    judgments.judge(store, 2, "good", now=NOW)
    judgments.undo(store, now=NOW)
    dataset(store, 3)
    for number, side in ((4, "chosen_event"), (5, "rejected_event")):
        sides: dict[str, Any] = {side: number}
        pairs.add(
            store, created_at=1.0, category="erd", prompt="p", chosen="c", rejected="r", margin=0.5, source="ranking",
            **sides,
        )  # fmt: skip
    ab_pair(store, 6)
    (done,) = clean_up(store, config(3), now=NOW)
    assert left(store) == [1, 2, 3, 4, 5, 6, 7]
    assert (done.remaining, done.over) == (7, 4)
    assert done.removed == {"rejected": 1, "gold": 2}
    assert done.protected == {
        "held out for testing": 1,
        "judged by a person": 2,
        "in a dataset": 1,
        "in a preference pair": 2,
        "in an A/B test": 1,
    }
    (again,) = clean_up(store, config(3), now=NOW)
    assert (again.removed, again.youngest_days, again.over) == ({}, None, 4)


def test_the_share_that_is_held_out_is_that_of_the_configuration(store: Store) -> None:
    events.add_many(store, [event(number, bucket=number) for number in range(1, 9)])
    few = replace(config(1), select=replace(Config().select, held_out_percent=5))
    clean_up(store, few, now=NOW)
    assert left(store) == [1, 2, 3, 4]


def test_held_out_events_never_crowd_out_those_to_train_on(store: Store) -> None:
    events.add_many(store, [event(number, bucket=0) for number in range(1, 21)])
    events.add_many(store, [event(number) for number in range(21, 31)])
    (done,) = clean_up(store, config(10), now=NOW)
    assert left(store) == [*range(1, 21), *range(26, 31)]
    assert (done.remaining, done.over, done.protected) == (25, 15, {"held out for testing": 20})


def test_only_the_categories_that_are_named_and_only_their_own_events(store: Store) -> None:
    for category in ("a", "b", "c"):
        events.add_many(store, [event(number, category=category) for number in range(1, 5)])
    assert [done.category for done in clean_up(store, config(3), ["c", "a", "nothing"], now=NOW)] == ["a", "c"]
    assert [len(left(store, name)) for name in "abc"] == [3, 4, 3]
    assert [done.category for done in clean_up(store, config(3), now=NOW)] == ["b"]


def test_a_dry_run_tells_the_same_and_removes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "BATCH", 3)
    tiers = ["gold", "rejected", "bronze", "silver"] * 5
    events.add_many(store, [event(number, tier=tier, bucket=number) for number, tier in enumerate(tiers, 15)])
    told = clean_up(store, config(10), now=NOW, dry_run=True)
    assert len(left(store)) == 20
    assert clean_up(store, config(10), now=NOW) == told
    assert told[0].remaining == 10 == len(left(store))


def test_search_near_duplicates_and_integrity_follow(store: Store) -> None:
    ids = events.add_many(store, [event(number, prompt=f"number{number} here") for number in range(1, 5)])
    near.add(store, {row.id: near_keys(row.category, row.prompt, row.response) for row in events.get_many(store, ids)})
    clean_up(store, config(1), now=NOW)
    assert list(events.event_ids(store, EventFilter(text="here"))) == [4]
    assert list(events.event_ids(store, EventFilter(text="number1"))) == []
    assert near.drop_orphans(store) == 0
    assert integrity_problems(store) == []


def test_who_is_judged_meanwhile_by_another_process_stays(
    store: Store, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "BATCH", 2)
    events.add_many(store, [event(number) for number in range(1, 9)])
    other = open_store(home.store)
    gone = cleaning._gone(store, "erd", config(2))
    next(gone)
    judgments.judge(other, 3, "good", now=NOW)
    events.add_many(other, [event(20), event(21)])
    list(gone)
    assert left(store) == [3, 10]


def test_what_is_referred_to_cannot_be_removed_by_force(store: Store) -> None:
    events.add_many(store, [event(number) for number in range(1, 4)])
    dataset(store, 2)
    with pytest.raises(ConflictError):
        retention.remove(store, [1, 2], [])
    assert left(store) == [1, 2, 3]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["rejected", "bronze", "silver", "gold"]),
            st.integers(0, 5),
            st.integers(0, 99),
            st.booleans(),
        ),
        max_size=14,
    ),
    st.integers(1, 12),
    st.integers(1, 4),
)
def test_for_any_store(home: Home, rows: list[tuple[Any, int, int, bool]], limit: int, batch: int) -> None:
    home.store.unlink(missing_ok=True)
    for suffix in ("-wal", "-shm"):
        home.store.with_name(home.store.name + suffix).unlink(missing_ok=True)
    with open_store(home.store) as opened, pytest.MonkeyPatch.context() as patch:
        patch.setattr(cleaning, "BATCH", batch)
        events.add_many(
            opened, [event(number, tier=tier, created_at=NOW + age, bucket=bucket)
                     for number, (tier, age, bucket, _) in enumerate(rows, 1)]
        )  # fmt: skip
        kept = {number for number, (_, _, bucket, said) in enumerate(rows, 1) if said or bucket < 20}
        for number, row in enumerate(rows, 1):
            if row[3]:
                judgments.judge(opened, number, "bad", now=NOW)
        order = {tier: place for place, tier in enumerate(retention.TIERS)}
        free = sorted(
            set(range(1, len(rows) + 1)) - kept, key=lambda one: (order[rows[one - 1][0]], rows[one - 1][1], one)
        )
        to_train = sum(bucket >= 20 for _, _, bucket, _ in rows)
        expected = set(range(1, len(rows) + 1)) - set(free[: max(0, min(len(rows) - limit, to_train - limit // 2))])
        clean_up(opened, config(limit), now=NOW)
        assert set(left(opened)) == expected
