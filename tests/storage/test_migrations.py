"""Stores of released schemas open, keep what they hold, and end with the schema of a new one."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import pytest

from core.errors import ConflictError, StoreError
from storage import (
    ab_tests,
    aliases,
    datasets,
    db,
    events,
    judgments,
    migrations,
    pairs,
    retention,
    runs,
    ui_state,
    versions,
)
from storage.db import SCHEMA_VERSION, Store, integrity_problems, open_store
from storage.rows import DatasetItem, EventFilter

FROZEN = Path(__file__).with_name("store_v1.db.gz")
"""A store as schema 1 wrote it, with rows in every table. Never written anew once that schema is released."""


def schema(store: Store) -> list[tuple[str, ...]]:
    return store.rows("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name")


@pytest.fixture
def old(tmp_path: Path) -> Store:
    path = tmp_path / "old.db"
    path.write_bytes(gzip.decompress(FROZEN.read_bytes()))
    return open_store(path)


def test_an_old_store_gets_the_schema_of_a_new_one(old: Store, store: Store) -> None:
    assert schema(old) == schema(store)
    assert old.value("PRAGMA user_version") == SCHEMA_VERSION
    assert old.value("SELECT count(*) FROM migrations") == SCHEMA_VERSION
    assert integrity_problems(old) == []


def test_an_old_store_keeps_what_it_holds(old: Store) -> None:
    first, second, third = events.iter_events(old, EventFilter(text="shop"))
    assert (first.verdict, second.correction, third.verdict) == ("good", "better", None)
    assert first.metadata == {"expected": {"entities": ["SHOP"]}}
    assert pairs.count(old, "erd") == 1
    assert runs.metrics(old, 1)[0].value == 1.5
    assert versions.by_name(old, "ft-demo-erd-v1").proved
    assert aliases.history(old, "ft-erd")[0].evidence == {"wins": 1}
    assert len(ab_tests.pairs(old, 1)) == 1
    assert ui_state.load(old, "theme", None) == "dark"
    redone = judgments.redo(old, now=20.0)
    assert redone is not None
    assert redone.event_id == 3


def test_the_examples_of_every_older_schema_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    """Schema 4 makes their table anew: nothing of them may be lost, nor what refers to events."""
    for older in range(1, SCHEMA_VERSION):
        path = tmp_path / f"schema{older}.db"
        path.write_bytes(gzip.decompress(FROZEN.read_bytes()))
        with monkeypatch.context() as patched:
            patched.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:older])
            patched.setattr(db, "SCHEMA_VERSION", older)
            kept = open_store(path)
            names = [name for (name,) in kept.rows("SELECT name FROM pragma_table_info('dataset_items')")]
            before = kept.rows(f"SELECT {', '.join(names)} FROM dataset_items ORDER BY dataset_id, position")
            kept.close()
        assert before, "the frozen store has examples"
        opened = open_store(path)
        assert schema(opened) == schema(store)
        assert opened.rows(f"SELECT {', '.join(names)} FROM dataset_items ORDER BY dataset_id, position") == before
        assert {(item.rejected, item.desirable) for item in datasets.items(opened, 1)} == {("", True)}
        assert integrity_problems(opened) == []
        assert "dataset_items" in retention.protected(opened, "erd", held_out_percent=20)


def test_the_log_of_judgments_of_every_older_schema_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schema 6 makes their table anew: every row, the chain of undo and the ids to come stay."""
    for older in range(1, SCHEMA_VERSION):
        path = tmp_path / f"judged{older}.db"
        path.write_bytes(gzip.decompress(FROZEN.read_bytes()))
        with monkeypatch.context() as patched:
            patched.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:older])
            patched.setattr(db, "SCHEMA_VERSION", older)
            kept = open_store(path)
            names = [name for (name,) in kept.rows("SELECT name FROM pragma_table_info('judgments')")]
            before = kept.rows(f"SELECT {', '.join(names)} FROM judgments ORDER BY id")
            in_force = kept.rows("SELECT id, kind FROM effective_judgments ORDER BY id")
            kept.close()
        assert {row[names.index("kind")] for row in before} >= {"good", "correct", "undo"}
        opened = open_store(path)
        assert opened.rows(f"SELECT {', '.join(names)} FROM judgments ORDER BY id") == before
        assert opened.rows("SELECT id, kind FROM effective_judgments ORDER BY id") == in_force
        assert judgments.redo(opened, now=20.0) is not None
        assert judgments.judge(opened, 1, "bad", now=21.0) == max(row[0] for row in before) + 2
        assert judgments.judge_many(opened, [1, 2], "skip", now=22.0) == [1, 2]
        assert integrity_problems(opened) == []
        with pytest.raises(ConflictError, match="append-only"):
            opened.write("UPDATE judgments SET kind = 'good'")


def test_an_example_without_an_event_stands_in_an_old_store_too(old: Store) -> None:
    item = DatasetItem(0, 0, "train", "p", "better", "", 1.0, 0.2, "easy", rejected="worse", desirable=False)
    added = datasets.add(
        old, created_at=1.0, category="erd", hash="h", seed=0, settings={}, counts={}, items=[item]
    )  # fmt: skip
    assert datasets.items(old, added) == [item]
    assert old.value("SELECT event_id FROM dataset_items WHERE dataset_id = ?", (added,)) is None
    assert integrity_problems(old) == []


def test_a_step_that_fails_leaves_the_store_as_it_was(old: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old.close()
    before = old.path.read_bytes()

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half (done)")
        connection.execute("INSERT INTO missing VALUES (1)")

    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, broken))
    with pytest.raises(StoreError):
        open_store(old.path)
    assert old.path.read_bytes() == before
    monkeypatch.undo()
    assert integrity_problems(open_store(old.path)) == []
