from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_kit import exchange

from core.serve import journal as journal_module
from core.serve.journal import Entry, Journal, Segment
from core.serve.remark import Remark

ROOT = Path(__file__).parents[3]
HOLDER = """
import sys, time
from pathlib import Path
sys.path.insert(0, "tests/core/serve")
from core.serve.journal import Journal
from recording_kit import exchange
journal = Journal(Path(sys.argv[1]))
journal.append(exchange(1))
print("ready", flush=True)
time.sleep(60)
"""


def read(segment: Segment | None) -> list[Entry]:
    assert segment is not None
    return [entry for batch in segment.batches(3) for entry in batch]


def take_all(journal: Journal) -> list[Entry]:
    found: list[Entry] = []
    while (segment := journal.take()) is not None:
        found += read(segment)
        segment.done()
    return found


def test_what_is_appended_is_taken_in_order_and_then_gone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway")
    entries: list[Entry] = [exchange(number) for number in range(10)]
    entries.append(Remark(entries[0].id, 1.5, "good", "", "lone \ud800 surrogate", 2.0))  # type: ignore[union-attr]
    assert all(journal.append(entry) for entry in entries)
    (path,) = journal.folder.iterdir()
    assert (path.stat().st_mode & 0o777, journal.folder.stat().st_mode & 0o777) == (0o600, 0o700)
    segment = journal.take()
    assert read(segment) == entries == read(segment)
    assert segment
    segment.done()
    assert list(journal.folder.iterdir()) == []
    assert journal.take() is None


def test_a_clock_that_is_set_back_does_not_turn_the_order_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "journal-09000000000000000000-1.jsonl").write_bytes(b"\n")  # of a clock that was far ahead
    journal = Journal(tmp_path)
    moments = iter([3_000, 2_000, 1_000])
    monkeypatch.setattr(journal_module.time, "time_ns", lambda: next(moments) * 10**9)
    entries = [exchange(number) for number in range(3)]
    taken: list[Segment] = []
    for entry in entries:
        journal.append(entry)
        while (segment := journal.take(skip=[one.path for one in taken])) is not None:
            taken.append(segment)
    assert [read(one) for one in sorted(taken, key=lambda one: one.path)] == [[], *([entry] for entry in entries)]


def test_a_file_system_without_locks_is_not_littered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "lock", lambda descriptor: False)
    journal = Journal(tmp_path)
    assert not journal.append(exchange())
    assert journal.dropped == 1 and list(tmp_path.iterdir()) == []


def test_an_answer_waits_until_it_is_settled(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    one, other = exchange(1, body_id="chatcmpl-7"), exchange(2, body_id="chatcmpl-7")
    for entry in (one, other):
        journal.append(entry)
    assert journal.waiting == 2
    journal.settled([one])
    assert (journal.is_waiting(one.id), journal.is_waiting(other.id)) == (False, True)
    assert journal.is_waiting("chatcmpl-7")
    journal.settled([one, other])
    assert not journal.is_waiting("chatcmpl-7")
    assert journal.waiting == 0


def test_appending_goes_on_while_a_segment_is_being_recorded(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first, second = exchange(1), exchange(2)
    journal.append(first)
    segment = journal.take()
    journal.append(second)
    assert read(segment) == [first]
    assert segment
    segment.done()
    assert take_all(journal) == [second]


def test_a_segment_that_was_given_back_is_taken_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    entry = exchange()
    journal.append(entry)
    segment = journal.take()
    assert segment
    assert journal.take() is None
    segment.release()
    assert take_all(journal) == [entry]


def test_a_living_journal_keeps_its_segments_to_itself(tmp_path: Path) -> None:
    writer, other = Journal(tmp_path), Journal(tmp_path)
    entry = exchange()
    writer.append(entry)
    assert other.take() is None
    taken = writer.take()
    assert taken
    assert other.take() is None
    taken.release()
    writer.append(exchange(2))
    assert take_all(other) == [entry]
    writer.close()
    assert len(take_all(other)) == 1
    assert not writer.append(exchange(3))
    assert list(tmp_path.iterdir()) == []


def test_who_looks_for_left_segments_does_not_take_one_that_is_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, other = Journal(tmp_path), Journal(tmp_path)
    locked, meddled = journal_module.lock, []

    def meddle(descriptor: int) -> bool:
        if not meddled:
            meddled.append(True)
            assert other.take() is None  # removes the empty file before its maker has locked it
            assert list(tmp_path.iterdir()) == []
        return locked(descriptor)

    monkeypatch.setattr(journal_module, "lock", meddle)
    entry = exchange()
    assert writer.append(entry)
    assert meddled
    assert take_all(writer) == [entry]


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5), st.data())
def test_a_torn_line_costs_only_itself(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    entries = [exchange(number, response=text) for number, text in enumerate(texts)]
    journal = Journal(folder)
    for entry in entries:
        journal.append(entry)
    journal.close()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    cut = data.draw(st.integers(1, len(whole)))
    path.write_bytes(whole[:cut])
    assert take_all(Journal(folder)) == entries[: whole[:cut].count(b"\n")]


def test_a_damaged_line_is_counted_and_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    entries = [exchange(1), exchange(2)]
    for entry in entries:
        journal.append(entry)
    journal.close()
    (path,) = tmp_path.iterdir()
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b'\x00\xff{"id":\n[1]\n{"id": "x"}\n' + b"[" * 100_000 + b"\n" + second)
    segment = Journal(tmp_path).take()
    assert read(segment) == entries
    assert segment
    assert segment.damaged == 4


def test_a_line_of_another_version_of_the_program_is_read(tmp_path: Path) -> None:
    entry = exchange(1)
    more = json.dumps({**json.loads(entry.to_json()), "invented_later": 1})
    fewer = {name: value for name, value in json.loads(entry.to_json()).items() if name not in ("between", "shaped")}
    (tmp_path / "journal-1.jsonl").write_text(f"{more}\n{json.dumps(fewer)}\n", encoding="utf-8")
    assert take_all(Journal(tmp_path)) == [entry, replace(entry, between=())]


def test_what_does_not_fit_is_dropped_and_counted(tmp_path: Path) -> None:
    line = len(exchange(1).to_json()) + 1
    journal = Journal(tmp_path, limit=2 * line + 10)
    assert [journal.append(exchange(1)) for _ in range(4)] == [True, True, False, False]
    assert journal.dropped == 2
    assert "wait to be recorded" in journal.problem
    assert len(take_all(journal)) == 2
    assert journal.take() is None  # counts what is left
    assert journal.append(exchange(1))


def test_what_earlier_processes_left_counts_too(tmp_path: Path) -> None:
    before = Journal(tmp_path)
    before.append(exchange(1))
    before.close()
    journal = Journal(tmp_path, limit=len(exchange(1).to_json()) + 10)
    assert not journal.append(exchange(2))


def test_what_is_no_json_is_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert not journal.append(exchange(1, sampling={"temperature": object()}))
    assert (journal.dropped, journal.waiting) == (1, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("truncates", [True, False])
def test_a_full_disk_tears_nothing_but_what_did_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truncates: bool
) -> None:
    journal = Journal(tmp_path)
    first, lost, later = exchange(1), exchange(2), exchange(3)
    journal.append(first)
    write = os.write
    room = [50]

    def full(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, bytes(data)[: room[0]])
        room[0] -= written
        return written

    def stuck(descriptor: int, length: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        if not truncates:
            disk.setattr(os, "ftruncate", stuck)
        assert not journal.append(lost)
    assert (journal.dropped, journal.problem) == (1, "No space left on device")
    assert journal.append(later)
    assert take_all(journal) == [first, later]


def test_the_size_limit_of_a_real_file_system(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    entries = [exchange(number, response="x" * 100_000) for number in range(8)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (450_000, before[1]))
    try:
        kept = [entry for entry in entries if journal.append(entry)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert kept == entries[:4]
    assert journal.dropped == 4
    assert take_all(journal) == kept


def test_a_folder_that_cannot_be_written_drops(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway")
    (tmp_path / "gateway").rmdir()
    assert not journal.append(exchange())
    assert journal.dropped == 1


@pytest.mark.process
def test_the_segment_of_a_killed_process_is_taken(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "ready\n"
        journal = Journal(tmp_path)
        assert journal.take() is None
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert len(take_all(journal)) == 1
