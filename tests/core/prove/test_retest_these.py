"""Re-tests of chosen hard negatives: only those are asked, none of them twice, and the figures are of them alone."""

from __future__ import annotations

import pytest
from test_retest import CATEGORY, GOOD, Told, event
from versions_kit import add_version

from core.backends.backend import Sampling
from core.config import Select
from core.paths import Home
from core.prove.retest import Retested, events_tested_by, retest_these
from storage import events, hard_tests
from storage.db import Store
from storage.rows import VersionRow


@pytest.fixture
def failed(store: Store) -> list[int]:
    return events.add_many(store, [event(number) for number in range(1, 7)])


def run(store: Store, backend: Told, version: VersionRow, ids: list[int], told: list[int] | None = None) -> Retested:
    return retest_these(
        store, backend, "model.gguf", version, CATEGORY, event_ids=ids, constants=Select(), sampling=Sampling(), seed=3,
        progress=lambda at, total: told.extend([at, total]) if told is not None else None,
    )  # fmt: skip


def test_only_those_are_asked_in_the_order_given(store: Store, home: Home, failed: list[int]) -> None:
    version, told = add_version(store, home, 1), list[int]()
    backend = Told(lambda prompt: GOOD if prompt.endswith("2") else "nothing")
    found = run(store, backend, version, [failed[3], failed[1]], told)
    assert backend.asked == ["Draw shop 4", "Draw shop 2"]
    assert told == [1, 2, 2, 2]
    assert (found.tested, found.solved, found.failed) == (2, 1, 1)
    assert events_tested_by(store, "erd", version.id) == {failed[1], failed[3]}


def test_what_was_answered_is_not_asked_again_and_still_counts(store: Store, home: Home, failed: list[int]) -> None:
    version = add_version(store, home, 1)
    run(store, Told(lambda _: GOOD), version, failed[:2])
    backend = Told(lambda _: "nothing")
    found = run(store, backend, version, failed[1:3])
    assert backend.asked == ["Draw shop 3"]
    assert (found.tested, found.solved, found.failed) == (2, 1, 1)


def test_what_was_answered_before_a_fault_is_kept(store: Store, home: Home, failed: list[int]) -> None:
    version = add_version(store, home, 1)
    with pytest.raises(ConnectionResetError):
        run(store, Told(lambda _: GOOD, fail_after=2), version, failed)
    assert events_tested_by(store, "erd", version.id) == set(failed[:2])


def test_the_stamp_changes_with_everything_that_hard_negatives_follow_from(
    store: Store, home: Home, failed: list[int]
) -> None:
    version = add_version(store, home, 1)
    before = hard_tests.stamp(store, "erd")
    assert hard_tests.stamp(store, "erd") == before
    run(store, Told(lambda _: GOOD), version, failed[:1])
    after = hard_tests.stamp(store, "erd")
    assert after != before
    events.add_many(store, [event(9)])
    assert hard_tests.stamp(store, "erd") != after
