"""A/B tests: both arms' answers, stored as they come, and the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from storage import outbox, versions
from storage.columns import LISTED, RowReader, clean, listed, placeholders, to_json
from storage.db import Store
from storage.errors import ConflictError, NotFoundError
from storage.rows import AbPairRow, AbTestRow, TestSource

_read = RowReader(AbTestRow, json_columns=("settings", "result"))
_read_pair = RowReader(AbPairRow, boolean_columns=("correct_a", "correct_b", "judged"))


def start(
    store: Store,
    *,
    created_at: float,
    category: str,
    version_a: int,
    version_b: int,
    seed: int,
    settings: Mapping[str, Any],
    source: TestSource = "stored",
) -> int:
    """Begins a test and returns its id. Raises ConflictError for an unknown version."""
    with store.transaction():
        added = store.write(
            "INSERT INTO ab_tests (created_at, category, version_a, version_b, seed, settings, source) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (created_at, category, version_a, version_b, seed, to_json(settings), source),
        )
        return int(added.lastrowid or 0)


def add_pairs(store: Store, new: Sequence[AbPairRow]) -> None:
    """Stores answers, all or none; one at the same position is replaced. Raises ConflictError for a finished test."""
    values = (
        (
            pair.test_id,
            pair.position,
            pair.event_id,
            clean(pair.prompt),
            clean(pair.response_a),
            clean(pair.response_b),
            pair.score_a,
            pair.score_b,
            pair.latency_a,
            pair.latency_b,
            pair.tokens_a,
            pair.tokens_b,
            pair.winner,
            pair.confidence_a,
            pair.confidence_b,
            pair.correct_a,
            pair.correct_b,
            pair.judged,
        )
        for pair in new
    )
    with store.transaction():
        for test_id in {pair.test_id for pair in new}:
            _require_open(store, test_id)
        store.write_many(f"INSERT OR REPLACE INTO ab_pairs ({_read_pair.columns}) VALUES ({placeholders(18)})", values)


def pairs(store: Store, test_id: int) -> list[AbPairRow]:
    """The answers by position."""
    rows = store.rows(f"SELECT {_read_pair.columns} FROM ab_pairs WHERE test_id = ? ORDER BY position", (test_id,))
    return [_read_pair(row) for row in rows]


def prompt_hashes(store: Store, tests: Sequence[int]) -> dict[tuple[int, int], str]:
    """The prompt's hash of every pair of these tests that has its event, by (test_id, position)."""
    rows = store.rows(
        "SELECT p.test_id, p.position, e.prompt_hash FROM ab_pairs p JOIN events e ON e.id = p.event_id "
        f"WHERE p.test_id IN {LISTED}",
        (listed(tests),),
    )
    return {(test_id, position): known for test_id, position, known in rows}


def finish(store: Store, test_id: int, result: Mapping[str, Any], now: float) -> None:
    """Records the result and publishes it. Raises ConflictError when the test has one already."""
    with store.transaction(durable=True):
        _require_open(store, test_id)
        store.write("UPDATE ab_tests SET result = ?, finished_at = ? WHERE id = ?", (to_json(result), now, test_id))
        test = get(store, test_id)
        outbox.publish(store, "ab_test.completed", test.category, published(store, test), now=now)


def published(store: Store, test: AbTestRow) -> dict[str, Any]:
    """What events tell of a finished test; the version is the candidate."""
    result = test.result or {}
    return {
        **outbox.of_version(store, test.version_b),
        "test_id": test.id,
        "against": versions.get(store, test.version_a).name,
        "verdict": result.get("verdict"),
        "summary": result.get("summary"),
        "metrics": outbox.figures(result),
    }


def _require_open(store: Store, test_id: int) -> None:
    if get(store, test_id).finished_at is not None:
        raise ConflictError(f"A/B test {test_id} has its result already.", hint="Start a new test.")


def get(store: Store, test_id: int) -> AbTestRow:
    """Raises NotFoundError when there is no such test."""
    row = store.row(f"SELECT {_read.columns} FROM ab_tests WHERE id = ?", (test_id,))
    if row is None:
        raise NotFoundError(f"There is no A/B test {test_id}.")
    return _read(row)


def list_tests(store: Store, category: str | None = None) -> list[AbTestRow]:
    """The tests of a category, or all, newest first."""
    rows = store.rows(
        f"SELECT {_read.columns} FROM ab_tests WHERE category = coalesce(?, category) ORDER BY id DESC", (category,)
    )
    return [_read(row) for row in rows]


def between(store: Store, one: int, other: int) -> list[AbTestRow]:
    """Every test of two versions, whichever was the candidate, oldest first."""
    rows = store.rows(
        f"SELECT {_read.columns} FROM ab_tests WHERE (version_a = ? AND version_b = ?) OR (version_a = ? AND "
        "version_b = ?) ORDER BY id",
        (one, other, other, one),
    )
    return [_read(row) for row in rows]


def latest_between(store: Store, version_a: int, version_b: int) -> AbTestRow | None:
    """The newest test with these two arms in this order, finished or not."""
    row = store.row(
        f"SELECT {_read.columns} FROM ab_tests WHERE version_a = ? AND version_b = ? ORDER BY id DESC LIMIT 1",
        (version_a, version_b),
    )
    return _read(row) if row else None
