"""Events that are moved to another category, with all that hangs on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from core.capture.candidates import infer_siblings
from core.capture.comparing import record_comparison, undo_comparison
from core.capture.judging import Judge
from core.capture.record import Recorder
from core.categories import category, load_categories
from core.config import Config
from core.errors import CategoryError, ConflictError
from core.paths import Home
from core.select.alike.near import near_clusters
from storage import comparisons, events, hard_tests, judgments, pairs, versions
from storage.db import Store, integrity_problems, open_store

FLOW = "flowchart TD\n    a[Order comes in] --> b{Paid?}\n    b -->|yes| c[Ship it]\n    b -->|no| d[Remind]"
DIAGRAM = """erDiagram
    shop ||--o{ order : takes
    shop {
        int id PK
    }
    order {
        int id PK
    }"""
ROW: dict[str, Any] = {"prompt": "What happens to an order?", "response": FLOW, "category": "erd", "model": "m"}
NOW = 1_700_000_000.0


@pytest.fixture
def recorder(store: Store, home: Home) -> Recorder:
    return Recorder(store, home, Config(), load_categories(home))


@pytest.fixture
def other(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """Another store of the same home, to compare with."""
    with open_store(tmp_path_factory.mktemp("other") / "store.db") as store:
        yield Recorder(store, home, Config(), load_categories(home))


def state(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """What is known of events, their near-duplicates, pairs and comparisons; without the log of judgments."""
    tables = {
        "events": "SELECT * FROM events ORDER BY id",
        "near_keys": "SELECT * FROM near_keys ORDER BY key, event_id",
        "pairs": "SELECT created_at, category, prompt, chosen, rejected, margin, source, chosen_event, rejected_event "
        "FROM pairs ORDER BY chosen_event, rejected_event, source",
        "comparisons": "SELECT * FROM comparisons ORDER BY id",
    }
    return {table: store.rows(sql) for table, sql in tables.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"verdict": "good"},
        {"verdict": "bad", "note": "wrong"},
        {"correction": FLOW + "\n    c --> e[Done]"},
        {"score": 35.0},
        {"feedback_type": "explicit_negative"},
        {"response": DIAGRAM, "metadata": {"expected": {"entities": ["shop", "order"]}}},
        {"response": DIAGRAM, "history": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}]},
        {"response": "Sure! Here is the diagram.", "confidence": 0.4, "context": "c"},
    ],
)
def test_a_moved_event_is_as_if_recorded_there(recorder: Recorder, other: Recorder, changes: dict[str, Any]) -> None:
    recorder.record(**(ROW | {"created_at": NOW} | changes))
    other.record(**(ROW | {"created_at": NOW, "category": "workflows"} | changes))
    before = state(recorder.store)
    assert recorder.judging.move([1], "workflows", now=NOW + 1.0) == (1,)
    assert state(recorder.store) == state(other.store)
    assert integrity_problems(recorder.store) == []
    recorder.judging.undo()
    assert state(recorder.store) == before
    recorder.judging.redo()
    assert state(recorder.store) == state(other.store)


def test_a_move_stands_in_the_chain_of_judgments(recorder: Recorder) -> None:
    judge, store = recorder.judging, recorder.store
    for number in range(3):
        recorder.record(**(ROW | {"prompt": f"Order {number}?"}))
    judge.judge(1, "good")
    assert judge.move([3, 1, 3], "workflows", note="no ER diagram") == (3, 1)
    judge.judge(1, "bad")
    first = judge.undo()
    assert first is not None
    assert (first.kind, first.event_id, first.count) == ("bad", 1, 1)
    second = judge.undo()
    assert second is not None
    assert (second.kind, second.event_id, second.count, second.note) == ("move", 3, 2, "no ER diagram")
    assert (second.moved_from, second.moved_to) == (("erd",), "workflows")
    assert {event.category for event in events.get_many(store, [1, 2, 3])} == {"erd"}
    assert events.get(store, 1).verdict == "good"
    assert [turned and turned.kind for turned in (judge.redo(), judge.redo(), judge.redo())] == ["move", "bad", None]
    assert [event.category for event in events.get_many(store, [1, 2, 3])] == ["workflows", "erd", "workflows"]
    assert [row.kind for row in judgments.history(store, 3)] == ["move", "undo", "redo"]


def test_an_exact_copy_in_the_other_category_is_refused(recorder: Recorder) -> None:
    recorder.record(**ROW)
    recorder.record(**(ROW | {"category": "workflows"}))
    recorder.record(**(ROW | {"prompt": "Another?"}))
    with pytest.raises(ConflictError, match="event 1 repeats event 2") as refused:
        recorder.judging.move([3, 1], "workflows")
    assert refused.value.hint
    assert events.get(recorder.store, 3).category == "erd"
    assert judgments.undo(recorder.store, now=1.0) is None


def test_two_copies_do_not_meet_in_a_third_category(recorder: Recorder) -> None:
    recorder.record(**ROW)
    recorder.record(**(ROW | {"category": "workflows"}))
    with pytest.raises(ConflictError, match="event 2 repeats event 1"):
        recorder.judging.move([1, 2], "architecture")


def test_what_cannot_be_moved_is_told(recorder: Recorder) -> None:
    recorder.record(**ROW)
    with pytest.raises(CategoryError, match="nowhere"):
        recorder.judging.move([1], "nowhere")
    with pytest.raises(ConflictError, match="Event 1 is of the category erd already"):
        recorder.judging.move([1], "erd")
    with pytest.raises(ConflictError, match="No event"):
        recorder.judging.move([], "erd")
    assert recorder.judging.move([1], "workflows", cancelled=lambda: True) == ()
    assert events.get(recorder.store, 1).category == "erd"


def test_an_undo_needs_no_category_that_is_configured(recorder: Recorder, store: Store) -> None:
    recorder.record(**ROW)
    before = state(store)
    recorder.judging.move([1], "workflows")
    left = {name: own for name, own in recorder.categories.items() if name not in ("erd", "workflows")}
    Judge(store, Config(), left).undo()
    assert state(store) == before


def test_a_comparison_and_its_pair_say_nothing_while_their_events_are_apart(recorder: Recorder) -> None:
    store, judge = recorder.store, recorder.judging
    recorder.record(**ROW)
    recorder.record(**(ROW | {"response": FLOW + "\n    d --> e[Call]"}))
    record_comparison(store, 1, 2, "first", now=NOW)
    together = state(store)
    judge.move([1], "workflows")
    for name in ("erd", "workflows"):
        assert pairs.list_pairs(store, name) == []
        assert comparisons.in_force(store, name) == []
    assert comparisons.counts(store) == {}
    assert pairs.categories(store) == ()
    judge.move([2], "workflows")
    assert [(pair.chosen_event, pair.source) for pair in pairs.list_pairs(store, "workflows")] == [(1, "ranking")]
    assert comparisons.counts(store) == {"workflows": 1}
    undo_comparison(store, "workflows")
    assert pairs.list_pairs(store, "workflows") == []
    record_comparison(store, 1, 2, "first", now=NOW)
    judge.undo()
    judge.undo()
    assert state(store)["events"] == together["events"]
    assert [(pair.chosen_event, pair.category) for pair in pairs.list_pairs(store, "erd")] == [(1, "erd")]


def test_siblings_of_another_category_make_no_pair(recorder: Recorder, home: Home) -> None:
    recorder.record(**(ROW | {"score": 95.0}))
    recorder.record(**(ROW | {"response": FLOW + "\n    d --> e[Call]", "score": 20.0}))
    recorder.judging.move([2], "workflows")
    own = category(recorder.categories, "erd")
    assert infer_siblings(recorder.store, own, Config()) == 0


def test_near_duplicates_are_found_in_the_new_category(recorder: Recorder) -> None:
    long = FLOW + "".join(f"\n    n{number}[Step number {number}] --> m{number}" for number in range(30))
    recorder.record(**(ROW | {"response": long}))
    recorder.judging.move([1], "workflows")
    again = recorder.record(**(ROW | {"response": long + "\n    x --> y", "category": "workflows"}))
    assert again.near_duplicate == 1
    assert near_clusters(recorder.store, "workflows", 0.9) == [[1, 2]]
    assert recorder.record(**(ROW | {"response": long + "\n    z --> y"})).near_duplicate is None


def test_what_a_version_of_the_left_category_answered_counts_no_more(recorder: Recorder) -> None:
    store = recorder.store
    recorder.record(**(ROW | {"score": 10.0}))
    version = versions.add(
        store, created_at=1.0, name="v1", category="erd", base_model="demo", number=1, run_id=None, parent_id=None,
        dataset_id=None, folder="f", settings={}, code_version="1",
    )  # fmt: skip
    hard_tests.add(store, 1, version, at=2.0, response="r", score=90.0, passed=True)
    recorder.judging.move([1], "workflows")
    assert hard_tests.tests(store, "workflows") == hard_tests.tests(store, "erd") == []
    recorder.judging.undo()
    assert len(hard_tests.tests(store, "erd")) == 1


def test_the_side_of_the_split_stays(recorder: Recorder) -> None:
    recorder.record(**ROW)
    before = events.get(recorder.store, 1)
    recorder.judging.move([1], "workflows")
    after = events.get(recorder.store, 1)
    assert (after.bucket, after.prompt_hash, after.content_hash) == (
        before.bucket,
        before.prompt_hash,
        before.content_hash,
    )


def test_the_log_of_moves_is_append_only(recorder: Recorder) -> None:
    recorder.record(**ROW)
    recorder.judging.move([1], "workflows")
    with closing(sqlite3.connect(recorder.store.path)) as foreign:
        for statement in ("UPDATE moves SET to_category = 'x'", "DELETE FROM moves"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                foreign.execute(statement)
