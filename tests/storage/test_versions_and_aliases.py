"""Datasets, pairs, versions, aliases, A/B tests, and what the front end remembers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.errors import ConflictError, NotFoundError
from storage import ab_tests, aliases, datasets, pairs, ui_state, versions
from storage.db import Store, integrity_problems
from storage.rows import AbPairRow, DatasetItem

NewVersion = Callable[[int], int]


def test_a_dataset_is_kept_once(filled: Store, dataset: int) -> None:
    row = datasets.get(filled, dataset)
    assert (row.seed, row.settings, row.counts) == (3, {"a": [1]}, {"taken": 2})
    assert [item.event_id for item in datasets.items(filled, dataset)] == [1, 2]
    (test,) = datasets.items(filled, dataset, "test")
    assert test == DatasetItem(1, 2, "test", "p2", "t2", "", 1.0, 0.6, "medium")
    again = datasets.add(filled, created_at=9.0, category="erd", hash="b2:d", seed=4, settings={}, counts={}, items=[])
    assert again == dataset
    with pytest.raises(NotFoundError):
        datasets.get(filled, 99)


def test_a_dataset_of_unknown_events_is_refused_whole(filled: Store) -> None:
    item = DatasetItem(0, 99, "train", "p", "t", "", 1.0, 0.2, "easy")
    with pytest.raises(ConflictError):
        datasets.add(filled, created_at=1.0, category="erd", hash="b2:x", seed=1, settings={}, counts={}, items=[item])
    assert filled.value("SELECT count(*) FROM datasets") == 0


def test_pairs(filled: Store) -> None:
    made = [
        pairs.add(
            filled,
            created_at=1.0,
            category=category,
            prompt="p",
            chosen="good \ud800",
            rejected="bad",
            margin=0.4,
            source="correction",
            rejected_event=3,
        )
        for category in ("erd", "other", "erd")
    ]
    rows = pairs.list_pairs(filled, "erd")
    assert [row.id for row in rows] == [made[0], made[2]]
    assert (rows[0].margin, rows[0].chosen_event, rows[0].rejected_event) == (0.4, None, 3)
    assert pairs.count(filled, "erd") == 2


def test_versions(filled: Store, new_version: NewVersion) -> None:
    assert versions.next_number(filled, "erd", "demo") == 1
    base, first = new_version(0), new_version(1)
    assert versions.next_number(filled, "erd", "demo") == 2
    assert versions.next_number(filled, "erd", "other") == 1
    row = versions.by_name(filled, "ft-demo-erd-v1")
    assert (row.id, row.gguf, row.metrics, row.proof, row.proved) == (first, {}, {}, [], False)
    file = {"path": "models/demo/erd/v1/f16.gguf", "sha256": "00", "bytes": 3}
    versions.update(filled, first, gguf={"f16": file}, metrics={"mean_score": 80.5})
    versions.update(filled, first, proof=[{"name": "loads", "passed": True}], proved=True)
    versions.update(filled, first)
    row = versions.get(filled, first)
    assert (row.gguf, row.metrics, row.proved) == ({"f16": file}, {"mean_score": 80.5}, True)
    assert row.proof == [{"name": "loads", "passed": True}]
    assert [row.id for row in versions.list_versions(filled, "erd")] == [base, first]
    assert versions.list_versions(filled, "other") == []
    assert len(versions.list_versions(filled)) == 2
    with pytest.raises(ConflictError):
        new_version(1)
    for missing in (
        lambda: versions.get(filled, 99),
        lambda: versions.by_name(filled, "x"),
        lambda: versions.update(filled, 99, proved=True),
    ):
        with pytest.raises(NotFoundError):
            missing()


def test_an_alias_and_its_history(filled: Store, new_version: NewVersion) -> None:
    one, two = new_version(1), new_version(2)

    def point(to: int, action: aliases.AliasAction, now: float, undoes: int | None = None) -> int:
        return aliases.point(
            filled,
            name="ft-erd",
            category="erd",
            to_version=to,
            action=action,
            who="me",
            why="better",
            evidence={"win_rate": 0.7},
            now=now,
            undoes=undoes,
        )

    assert aliases.get(filled, "ft-erd") is None
    assert aliases.last_undoable(filled, "ft-erd") is None
    first, second = point(one, "promote", 1.0), point(two, "promote", 2.0)
    last = aliases.last_undoable(filled, "ft-erd")
    assert last is not None
    assert (last.id, last.from_version, last.to_version, last.evidence) == (second, one, two, {"win_rate": 0.7})
    point(one, "undo", 3.0, undoes=second)
    remaining = aliases.last_undoable(filled, "ft-erd")
    assert remaining is not None
    assert (remaining.id, remaining.from_version) == (first, None)
    with pytest.raises(ConflictError):
        point(one, "undo", 4.0, undoes=second)
    with pytest.raises(ConflictError):
        point(99, "promote", 4.0)
    alias = aliases.get(filled, "ft-erd")
    assert alias is not None
    assert (alias.version_id, alias.updated_at) == (one, 3.0)
    assert [change.action for change in aliases.history(filled, "ft-erd")] == ["undo", "promote", "promote"]
    assert aliases.list_aliases(filled) == [alias]
    assert integrity_problems(filled) == []


def test_ab_tests(filled: Store, new_version: NewVersion) -> None:
    one, two = new_version(1), new_version(2)
    made = [
        ab_tests.start(filled, created_at=1.0, category="erd", version_a=one, version_b=two, seed=5, settings={"n": 2})
        for _ in range(2)
    ]
    test = made[1]

    def pair(position: int, response: str = "b") -> AbPairRow:
        return AbPairRow(test, position, 1, "p", "a", response, 60.0, 90.0, 0.1, 0.2, 10, 20, "b")

    ab_tests.add_pairs(filled, [pair(1)])
    ab_tests.add_pairs(filled, [pair(0), pair(1, "c")])
    assert ab_tests.pairs(filled, test) == [pair(0), pair(1, "c")]
    assert ab_tests.get(filled, test).result is None
    ab_tests.finish(filled, test, {"wins": 2}, 9.0)
    row = ab_tests.get(filled, test)
    assert (row.result, row.finished_at, row.settings) == ({"wins": 2}, 9.0, {"n": 2})
    for change in (
        lambda: ab_tests.finish(filled, test, {}, 10.0),
        lambda: ab_tests.add_pairs(filled, [pair(2)]),
        lambda: ab_tests.start(
            filled, created_at=1.0, category="erd", version_a=one, version_b=99, seed=5, settings={}
        ),
    ):
        with pytest.raises(ConflictError):
            change()
    assert [row.id for row in ab_tests.list_tests(filled)] == made[::-1]
    assert ab_tests.list_tests(filled, "other") == []
    assert ab_tests.latest_between(filled, one, two) == row
    assert ab_tests.latest_between(filled, two, one) is None
    with pytest.raises(NotFoundError):
        ab_tests.get(filled, 99)


def test_ui_state(store: Store) -> None:
    assert ui_state.load(store, "theme", "dark") == "dark"
    ui_state.save(store, "theme", {"name": "light", "recent": [1, None]})
    ui_state.save(store, "theme", {"name": "light \ud800"})
    assert ui_state.load(store, "theme", None) == {"name": "light \ud800"}
