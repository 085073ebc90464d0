from __future__ import annotations

import os
import random
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.errors import ConflictError, StoreError
from storage import events, judgments, ui_state
from storage import store as store_module
from storage.db import SCHEMA_VERSION, Store, backup, integrity_problems, open_store
from storage.rows import EventFilter, NewEvent

MakeEvent = Callable[..., NewEvent]
NOBODY = 65_534


def refusal(action: Callable[[], object]) -> StoreError:
    with pytest.raises(StoreError) as caught:
        action()
    assert caught.value.hint
    return caught.value


def total(store: Store) -> int:
    return events.count(store, EventFilter())


# Opening


def test_a_new_store_is_whole_and_opens_again(tmp_path: Path, new_event: MakeEvent) -> None:
    path = tmp_path / "new folder ?#%" / "store.db"
    with open_store(path) as store:
        assert integrity_problems(store) == []
        events.add(store, new_event())
        applied = store.rows("SELECT * FROM migrations")
    with open_store(path, create=False) as store:
        assert total(store) == 1
        assert store.rows("SELECT * FROM migrations") == applied
        assert store.value("PRAGMA user_version") == SCHEMA_VERSION
        assert store.value("PRAGMA journal_mode") == "wal"
        assert store.value("PRAGMA foreign_keys") == 1


def test_a_missing_store_is_not_made_unasked(tmp_path: Path) -> None:
    assert "no store" in refusal(lambda: open_store(tmp_path / "store.db", create=False)).message
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"I am a shopping list. " * 500)
    assert refusal(lambda: open_store(path)).title == "Not a store"
    assert path.read_bytes() == b"I am a shopping list. " * 500


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE recipes (name)")
    other.close()
    before = path.read_bytes()
    assert "another program" in refusal(lambda: open_store(path)).message
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_untouched(filled: Store) -> None:
    filled.write(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    filled.close()
    before = filled.path.read_bytes()
    error = refusal(lambda: open_store(filled.path))
    assert "newer" in error.title
    assert "Update" in error.hint
    assert filled.path.read_bytes() == before


def test_a_folder_in_place_of_the_store(tmp_path: Path) -> None:
    refusal(lambda: open_store(tmp_path))


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    assert "folder" in refusal(lambda: open_store(tmp_path / "home" / "store.db")).message


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that the tests' own user cannot write to, also where that user is root."""
    folder = Path(tempfile.mkdtemp())
    open_store(folder / "store.db").close()
    (folder / "store.db").chmod(0o444)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_folder(read_only_folder: Path) -> None:
    error = refusal(lambda: open_store(read_only_folder / "store.db"))
    assert "writ" in error.message
    refusal(lambda: open_store(read_only_folder / "new.db"))
    refusal(lambda: open_store(read_only_folder / "deeper" / "store.db"))


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_file_is_told_and_never_taken_for_whole(store: Store, new_event: MakeEvent, seed: int) -> None:
    events.add_many(store, [new_event(number, prompt="long " * 100) for number in range(200)])
    store.close()
    size = store.path.stat().st_size
    with store.path.open("r+b") as file:
        if seed == 0:
            file.truncate(size // 2)
        else:
            generator = random.Random(seed)
            file.seek(generator.randrange(4096, size - 40_000))
            file.write(generator.randbytes(40_000))

    def use() -> None:
        with open_store(store.path) as damaged:
            problems = integrity_problems(damaged)
            assert problems
            raise StoreError(problems[0], hint="found by the integrity check")

    refusal(use)


# Transactions


def test_an_exception_takes_everything_back(filled: Store, new_event: MakeEvent) -> None:
    with pytest.raises(RuntimeError), filled.transaction():
        events.add(filled, new_event(11))
        judgments.judge(filled, 11, "good", now=1.0)
        raise RuntimeError
    assert total(filled) == 10
    assert integrity_problems(filled) == []
    events.add(filled, new_event(12))
    assert total(filled) == 11


def test_a_failed_inner_block_is_taken_back_alone(filled: Store, new_event: MakeEvent) -> None:
    with filled.transaction():
        events.add(filled, new_event(11))
        with pytest.raises(ConflictError):
            events.add_many(filled, [new_event(12), new_event(13, score=-1.0)])
        events.add(filled, new_event(14))
    assert total(filled) == 12
    assert integrity_problems(filled) == []


def test_a_durable_block_inside_another_flushes_the_log(
    filled: Store, new_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(store_module, "flush", flushed.append)
    with filled.transaction():
        events.add(filled, new_event(11))
    assert flushed == []
    with filled.transaction():
        judgments.judge(filled, 11, "good", now=1.0)
        assert flushed == []
    assert [path.name for path in flushed] == ["store.db-wal"]


def test_a_durable_transaction_is_synchronous_full(filled: Store) -> None:
    asked: list[str] = []
    filled.connection.set_trace_callback(asked.append)
    judgments.judge(filled, 1, "good", now=1.0)
    assert asked[:2] == ["PRAGMA synchronous = FULL", "BEGIN IMMEDIATE"]
    asked.clear()
    with filled.transaction():
        assert filled.value("PRAGMA synchronous") == 1


def test_a_full_disk_loses_nothing_and_says_what_to_do(filled: Store, new_event: MakeEvent) -> None:
    pages = filled.value("PRAGMA page_count")
    filled.value(f"PRAGMA max_page_count = {pages + 4}")
    big = new_event(11, context="x" * 1_000_000)
    error = refusal(lambda: events.add(filled, big))
    assert error.title == "The disk is full"

    def swallowed() -> None:
        with filled.transaction():
            events.add(filled, new_event(12))
            with pytest.raises(StoreError):
                # An insertion that counts its category's events along with it would be taken back alone.
                ui_state.save(filled, "large", "x" * 1_000_000)

    refusal(swallowed)
    assert total(filled) == 10
    filled.value(f"PRAGMA max_page_count = {pages + 400}")
    events.add(filled, big)
    assert total(filled) == 11
    assert integrity_problems(filled) == []


def test_a_full_disk_while_the_store_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def tiny(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = connect(*arguments, **options)  # type: ignore[call-overload]
        connection.execute("PRAGMA max_page_count = 8")
        return connection  # type: ignore[no-any-return]

    monkeypatch.setattr(sqlite3, "connect", tiny)
    assert refusal(lambda: open_store(tmp_path / "store.db")).title == "The disk is full"
    monkeypatch.undo()
    assert integrity_problems(open_store(tmp_path / "store.db")) == []


def test_a_store_that_stays_locked(filled: Store, new_event: MakeEvent) -> None:
    other = open_store(filled.path)
    other.value("PRAGMA busy_timeout = 50")
    with filled.transaction():
        assert "busy" in refusal(lambda: events.add(other, new_event(11))).title
    events.add(other, new_event(11))


def test_data_version_tells_of_other_connections(filled: Store, new_event: MakeEvent) -> None:
    other = open_store(filled.path)
    before = filled.data_version()
    events.add(filled, new_event(11))
    assert filled.data_version() == before
    events.add(other, new_event(12))
    assert filled.data_version() != before


# Integrity and backup


def test_integrity_compares_verdicts_with_the_log_and_the_index_with_the_texts(filled: Store) -> None:
    judgments.judge(filled, 1, "good", now=1.0)
    assert integrity_problems(filled) == []
    filled.write("UPDATE events SET verdict = 'bad' WHERE id = 1")
    filled.write("UPDATE events SET verdict = 'good', judged_at = 5 WHERE id = 2")
    assert integrity_problems(filled) == [
        f"event {event}: its verdict is not what the log of judgments says" for event in (1, 2)
    ]
    filled.write("UPDATE events SET verdict = NULL, judged_at = NULL WHERE id = 2")
    filled.write("UPDATE events SET verdict = 'good' WHERE id = 1")
    filled.write("INSERT INTO events_fts (events_fts) VALUES ('delete-all')")
    (problem,) = integrity_problems(filled)
    assert "full-text" in problem


def test_the_index_follows_changes_of_the_texts(filled: Store) -> None:
    filled.write("UPDATE events SET prompt = 'zebra' WHERE id = 3")
    filled.write("DELETE FROM events WHERE id = 4")
    assert list(events.event_ids(filled, EventFilter(text="zebra"))) == [3]
    assert integrity_problems(filled) == []


def test_a_backup_is_one_whole_file(filled: Store, tmp_path: Path) -> None:
    target = tmp_path / "copies" / "copy.db"
    backup(filled, target)
    backup(filled, target)
    assert [path.name for path in target.parent.iterdir()] == ["copy.db"]
    with open_store(target, create=False) as copy:
        assert total(copy) == 10
        assert integrity_problems(copy) == []


def test_a_backup_holds_only_what_is_committed(filled: Store, new_event: MakeEvent, tmp_path: Path) -> None:
    with filled.transaction():
        events.add(filled, new_event(11))
        backup(filled, tmp_path / "copy.db")
    with open_store(tmp_path / "copy.db") as copy:
        assert total(copy) == 10


def test_a_backup_while_another_thread_writes(filled: Store, new_event: MakeEvent, tmp_path: Path) -> None:
    halt = threading.Event()

    def write() -> None:
        with open_store(filled.path) as mine:
            number = 100
            while not halt.is_set():
                number += 2
                with mine.transaction():
                    events.add(mine, new_event(number))
                    events.add(mine, new_event(number + 1))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for round_number in range(4):
            backup(filled, tmp_path / f"copy{round_number}.db")
    finally:
        halt.set()
        writer.join()
    for round_number in range(4):
        with open_store(tmp_path / f"copy{round_number}.db") as copy:
            assert integrity_problems(copy) == []
            assert total(copy) % 2 == 0
            assert total(copy) >= 10


def test_where_a_backup_may_not_go(filled: Store, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(filled.path)
    (tmp_path / "file").write_text("")
    for target in (filled.path, tmp_path / "link.db", tmp_path, tmp_path / "file" / "copy.db"):
        refusal(lambda target=target: backup(filled, target))  # type: ignore[misc]
    assert total(filled) == 10
    assert not list(tmp_path.rglob("*.tmp"))
