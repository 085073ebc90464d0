from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from recording_kit import AT, event_count, exchange, in_store, journal_of, left_behind, record, rows, segments
from versions_kit import add_version

from core.categories import load_categories
from core.config import Capture, Config
from core.errors import ConflictError
from core.paths import Home
from core.serve import recording as recording_module
from core.serve.exchange import Exchange
from core.serve.journal import Segment
from core.serve.recording import Recording
from core.serve.remark import Remark
from core.validate.validator import Validation
from storage import db, events, judgments
from storage.db import Store, integrity_problems, open_store
from storage.rows import EventRow

ROOT = Path(__file__).parents[3]


def only_event(home: Home) -> EventRow:
    (event,) = in_store(home, lambda store: events.get_many(store, range(1, 100)))
    return event


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


class Judge:
    """A validator that does what a test wants."""

    name = "none"

    def __init__(self, work: Callable[[str], None]) -> None:
        self.work = work

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        self.work(response)
        return Validation(90.0, True)


def use_validator(monkeypatch: pytest.MonkeyPatch, work: Callable[[str], None]) -> None:
    monkeypatch.setattr("core.capture.prepare.validator_for", lambda category: Judge(work))


def test_an_answer_becomes_an_event_and_its_text_leaves_the_journal(home: Home) -> None:
    said = exchange(
        1,
        prompt="Write to ann@example.com about the order.",
        response="Dear ann@example.com, thank you.",
        category="general" if "general" in load_categories(home) else "erd",
        history=[{"role": "user", "content": "I am ann@example.com"}, {"role": "assistant", "content": "Hello."}],
        between=[{"role": "tool", "content": "order 7 is ready"}],
        system="Be kind.",
        tokens_in=12,
        tokens_out=5,
        finish="stop",
        sampling={"temperature": 0.2},
        tools=True,
        user="ann-1",
        body_id="chatcmpl-9",
    )
    journal = journal_of(home, [said])
    recording = record(home, journal)
    event = only_event(home)
    assert (event.source, event.model, event.created_at, event.latency_ms) == ("gateway", "llama3.2:3b", AT + 1, 1500.0)
    assert event.prompt == "Write to [EMAIL_1] about the order."
    assert event.response == "Dear [EMAIL_1], thank you."
    assert event.history[0]["content"] == "I am [EMAIL_1]"
    assert (event.system, event.context, event.verdict) == ("Be kind.", "order 7 is ready", None)
    user = event.metadata["user"]
    assert user.startswith("user_")
    assert event.metadata == {
        "response_id": said.id,
        "tokens_in": 12,
        "tokens_out": 5,
        "finish": "stop",
        "first_token_ms": 250.0,
        "sampling": {"temperature": 0.2},
        "tools": True,
        "tool_turns": [{"role": "tool", "content": "order 7 is ready"}],
        "user": user,
    }
    row = rows(home)[said.id]
    assert (row.event_id, row.note, row.body_id, row.at) == (event.id, "", "chatcmpl-9", AT + 1)
    assert (recording.recorded, recording.left_out, journal.waiting) == (1, 0, 0)
    assert segments(home) == []
    journal.close()
    for path in home.root.rglob("*"):
        assert not path.is_file() or b"ann@" not in path.read_bytes()


def test_the_same_answer_twice_is_one_event_with_two_rows(home: Home) -> None:
    first, second = exchange(1), exchange(1)
    record(home, journal_of(home, [first, second]))
    third = exchange(1)
    record(home, journal_of(home, [third]))
    event = only_event(home)
    assert {row.event_id for row in rows(home).values()} == {event.id}
    assert set(rows(home)) == {first.id, second.id, third.id}
    assert event.metadata["response_id"] == first.id


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"category": ""}, "No category is set for it."),
        ({"category": "nonesuch"}, "There is no category `nonesuch`."),
        ({"complete": False}, "The answer did not come to its end."),
        ({"response": " "}, "The response is empty."),
        ({"response": "", "tools": True}, "It only calls a tool."),
        ({"prompt": ""}, "The prompt is empty."),
        ({"prompt": "x" * 2_000}, "The prompt has 2,000 characters; at most 1,000 are taken."),
    ],
)
def test_what_cannot_be_taken_has_a_row_that_says_why(home: Home, over: dict[str, Any], why: str) -> None:
    refused, fine = exchange(1, **over), exchange(2)
    recording = record(home, journal_of(home, [refused, fine]), config=Config(capture=Capture(max_chars=1_000)))
    found = rows(home)
    assert (found[refused.id].event_id, found[refused.id].note) == (None, why)
    assert (recording.recorded, recording.left_out) == (1, 1)
    assert found[fine.id].event_id is not None
    assert segments(home) == []


def test_the_version_that_answered_is_kept(home: Home, store: Store) -> None:
    version = add_version(store, home, 1)
    said = exchange(1, version_id=version.id, version_name=version.name)
    record(home, journal_of(home, [said]))
    assert (rows(home)[said.id].version_id, only_event(home).model) == (version.id, version.name)


def test_an_answer_of_a_version_that_the_store_does_not_know_is_kept_without_it(home: Home) -> None:
    strange, fine = exchange(1, version_id=77), exchange(2)
    said: list[str] = []
    record(home, journal_of(home, [strange, fine]), say=said.append)
    found = rows(home)
    assert found[strange.id].event_id is not None
    assert (found[strange.id].version_id, found[fine.id].note, len(said)) == (None, "", 1)
    assert event_count(home) == 2


def test_an_answer_that_the_store_refuses_costs_itself_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    add = events.add_many

    def picky(store: Store, new: Any) -> list[int]:
        if any(event.response == "odd" for event in new):
            raise ConflictError("It is odd.")
        return add(store, new)

    monkeypatch.setattr(events, "add_many", picky)
    odd, fine = exchange(1, response="odd"), exchange(2)
    record(home, journal_of(home, [odd, fine]))
    assert rows(home)[odd.id].note == "It could not be stored (ConflictError)."
    assert rows(home)[fine.id].event_id is not None


def test_what_a_killed_process_left_is_recorded_at_the_start(home: Home) -> None:
    entries = [exchange(number) for number in range(5)]
    left_behind(home, entries)
    heard: list[str] = []
    recording = record(home, on_recorded=lambda one, event_id: heard.append(one.id))
    assert recording.caught_up.is_set()
    assert set(rows(home)) == {entry.id for entry in entries} == set(heard)
    assert event_count(home) == 5


def test_it_has_caught_up_while_more_keeps_coming(home: Home) -> None:
    left_behind(home, [exchange(1)])
    journal = journal_of(home)
    heard: list[bool] = []

    def more(one: Exchange, event_id: int) -> None:
        heard.append(recording.caught_up.is_set())
        if len(heard) < 5:
            journal.append(exchange(len(heard) + 1))

    recording = Recording(home, Config(), load_categories(home), journal, on_recorded=more)
    recording.start()
    assert recording.stop()
    assert heard == [False, True, True, True, True]


def test_killed_between_the_commit_and_the_removal_of_the_segment(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [exchange(number) for number in range(7)]
    left_behind(home, entries)
    judged: list[str] = []
    use_validator(monkeypatch, judged.append)
    with monkeypatch.context() as killed:
        killed.setattr(Segment, "done", lambda segment: (_ for _ in ()).throw(KeyboardInterrupt))
        killed.setattr(threading, "excepthook", lambda arguments: None)
        recording = Recording(home, Config(), load_categories(home), journal_of(home))
        recording.start()
        recording._thread.join()
    assert len(rows(home)) == 7
    assert len(segments(home)) == 1
    record(home)
    assert (len(rows(home)), event_count(home), len(judged)) == (7, 7, 7)
    assert segments(home) == []


def test_killed_in_the_middle_of_a_transaction(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [exchange(number) for number in range(7)]
    left_behind(home, entries)
    add = recording_module.store_all

    def killed_before_commit(*arguments: Any) -> Any:
        with arguments[0].store.transaction():
            add(*arguments)
            raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(recording_module, "store_all", killed_before_commit)
        killed.setattr(threading, "excepthook", lambda arguments: None)
        recording = Recording(home, Config(), load_categories(home), journal_of(home))
        recording.start()
        recording._thread.join()
    assert (rows(home), event_count(home)) == ({}, 0)
    record(home)
    assert (len(rows(home)), event_count(home)) == (7, 7)


def test_a_store_put_in_the_place_of_the_old_one_is_the_one_written_to(home: Home) -> None:
    with open_store(home.store):
        pass
    shutil.copy(home.store, home.root / "other.db")
    said: list[str] = []
    journal = journal_of(home)
    recording = Recording(home, Config(), load_categories(home), journal, say=said.append)
    recording.start()
    first, second = exchange(1), exchange(2)
    journal.append(first)
    wait_until(lambda: recording.recorded == 1)
    (home.root / "other.db").replace(home.store)
    for name in ("-wal", "-shm"):
        home.store.with_name(home.store.name + name).unlink(missing_ok=True)
    journal.append(second)
    assert recording.stop(30.0)
    assert set(rows(home)) == {second.id} and event_count(home) == 1
    assert any("was replaced" in line for line in said)


def test_two_at_once_record_the_same_lines_once(home: Home) -> None:
    entries = [exchange(number) for number in range(60)]
    left_behind(home, entries)
    (segment,) = segments(home)
    for number in range(5):  # as if each had read the segment before another removed it
        segment.with_name(f"journal-{number}.jsonl").write_bytes(segment.read_bytes())
    started = [Recording(home, Config(), load_categories(home), journal_of(home)) for _ in range(3)]
    for recording in started:
        recording.start()
    assert [recording.stop(30.0) for recording in started] == [True] * 3
    assert (len(rows(home)), event_count(home)) == (60, 60)
    assert sum(recording.recorded for recording in started) == 60
    assert segments(home) == []


def test_a_busy_store_delays_and_loses_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(home.store).close()
    monkeypatch.setattr(db, "BUSY_SECONDS", 0.05)
    journal = journal_of(home)
    said: list[str] = []
    recording = Recording(home, Config(), load_categories(home), journal, say=said.append)
    recording.start()
    wait_until(recording.caught_up.is_set)
    with sqlite3.connect(home.store, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(20):
            assert journal.append(exchange(number))
        wait_until(lambda: recording.problem != "")
        assert journal.append(exchange(20))
        assert "writing" in recording.figures()["problem"]
        assert journal.waiting == 21
        other.execute("COMMIT")
    assert recording.stop()
    assert (len(rows(home)), event_count(home), journal.waiting) == (21, 21, 0)
    assert recording.problem == ""
    assert len(said) == 1


def test_a_store_that_stays_busy_leaves_the_rest_for_the_next_start(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(home.store).close()
    monkeypatch.setattr(db, "BUSY_SECONDS", 0.05)
    journal = journal_of(home, [exchange(1)])
    recording = Recording(home, Config(), load_categories(home), journal)
    with sqlite3.connect(home.store, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        recording.start()
        assert not recording.stop(0.3)
        journal.close()
        other.execute("COMMIT")
    assert len(segments(home)) == 1
    record(home)
    assert event_count(home) == 1


def test_a_full_disk_delays_and_loses_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Store] = []
    full = threading.Event()
    full.set()

    def limited(path: Path) -> Store:
        store = open_store(path)
        if full.is_set():
            store.value(f"PRAGMA max_page_count = {store.value('PRAGMA page_count') + 2}")
        opened.append(store)
        return store

    monkeypatch.setattr(recording_module, "open_store", limited)
    journal = journal_of(home, [exchange(number, prompt=f"{number} " + "x" * 5_000) for number in range(20)])
    recording = Recording(home, Config(), load_categories(home), journal)
    recording.start()
    wait_until(lambda: "full" in recording.problem)
    assert event_count(home) == 0
    full.clear()
    assert recording.stop()
    assert (len(rows(home)), event_count(home)) == (20, 20)
    assert integrity_problems(open_store(home.store)) == []


def test_a_slow_validator_holds_up_neither_the_journal_nor_the_store(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, begun = threading.Event(), threading.Event()

    def slow(response: str) -> None:
        if response == "slow":
            begun.set()
            assert goes_on.wait(20.0)

    use_validator(monkeypatch, slow)
    monkeypatch.setattr(recording_module, "_JUDGING_SECONDS", 0.0)
    before, held, after = exchange(1), exchange(2, response="slow"), exchange(3)
    journal = journal_of(home, [before, held, after])
    recording = Recording(home, Config(), load_categories(home), journal)
    recording.start()
    assert begun.wait(20.0)
    assert set(rows(home)) == {before.id}  # what was judged before is stored already
    assert (journal.is_waiting(before.id), journal.is_waiting(held.id)) == (False, True)
    assert all(journal.append(exchange(number)) for number in range(4, 200))
    with store.transaction():
        store.write("INSERT INTO ui_state (key, value) VALUES ('free', '1')")
    goes_on.set()
    assert recording.stop()
    assert event_count(home) == 199


def test_a_validator_that_raises_costs_its_own_answer_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(response: str) -> None:
        if response == "poison":
            raise ZeroDivisionError

    use_validator(monkeypatch, poisoned)
    poison, fine = exchange(1, response="poison"), exchange(2)
    said: list[str] = []
    record(home, journal_of(home, [poison, fine]), say=said.append)
    assert rows(home)[poison.id].note == "It could not be judged (ZeroDivisionError)."
    assert rows(home)[fine.id].event_id is not None
    assert len(said) == 1


def test_a_damaged_line_costs_itself_alone(home: Home) -> None:
    entries = [exchange(1), exchange(2)]
    left_behind(home, entries)
    (segment,) = segments(home)
    segment.write_bytes(segment.read_bytes() + b"no json\n")
    said: list[str] = []
    record(home, say=said.append)
    assert event_count(home) == 2
    assert "1 damaged" in said[0]


def test_a_segment_that_cannot_be_read_does_not_stop_the_others(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    left_behind(home, [exchange(1)])
    left_behind(home, [exchange(2)])
    first, _ = segments(home)
    batches = Segment.batches

    def broken(segment: Segment, most: int) -> Any:
        if segment.path == first:
            raise OSError("Input/output error")
        return batches(segment, most)

    monkeypatch.setattr(Segment, "batches", broken)
    record(home)
    assert event_count(home) == 1
    assert segments(home) == [first]


def test_feedback_in_the_journal_is_applied_once(home: Home) -> None:
    said = exchange(1)
    remark = Remark(said.id, AT + 5, "bad", note="too short")
    left_behind(home, [said, remark])
    (segment,) = segments(home)
    segment.with_name("journal-again.jsonl").write_bytes(segment.read_bytes())
    record(home)
    event = only_event(home)
    assert (event.verdict, event.judged_at) == ("bad", AT + 5)
    later = Remark(said.id, AT + 9, "good")
    left_behind(home, [later])
    left_behind(home, [remark])  # read again after a kill: it must not override what was said since
    record(home)
    assert only_event(home).verdict == "good"
    assert [row.kind for row in in_store(home, lambda store: judgments.history(store, event.id))] == ["bad", "good"]


def test_feedback_for_nothing_that_is_recorded_is_told(home: Home) -> None:
    said: list[str] = []
    refused = exchange(1, category="")
    left_behind(home, [refused, Remark("unknown", AT, "good"), Remark(refused.id, AT, "good")])
    record(home, say=said.append)
    assert len(said) == 2
    assert segments(home) == []


GATEWAY = """
import sys, time
from pathlib import Path
sys.path.insert(0, "tests/core/serve")
from core.categories import load_categories
from core.config import Config
from core.paths import Home
from core.serve.journal import Journal, folder_of
from core.serve import recording
from core.serve.recording import Recording
from recording_kit import exchange
recording._BATCH = 3
home = Home(Path(sys.argv[1]))
journal = Journal(folder_of(home))
Recording(home, Config(), load_categories(home), journal, say=print).start()
number = int(sys.argv[2])
while True:
    number += 1
    one = exchange(number)
    assert journal.append(one)
    print(one.id, flush=True)
    time.sleep(0.002)
"""
DRAIN = """
import sys
from pathlib import Path
sys.path.insert(0, "tests/core/serve")
from core.paths import Home
from recording_kit import record
record(Home(Path(sys.argv[1])))
"""


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.process
def test_killed_at_any_moment_every_answer_is_recorded_once(home: Home) -> None:
    told: list[str] = []
    for attempt in range(6):
        with python(GATEWAY, str(home.root), str(attempt * 10_000)) as gateway:
            assert gateway.stdout
            told += [gateway.stdout.readline().strip() for _ in range(5 + 17 * attempt)]
            gateway.send_signal(signal.SIGKILL)
            told += [line.strip() for line in gateway.stdout.readlines() if line.endswith("\n")]
    record(home)
    found = rows(home)
    assert len(told) == len(set(told)) > 100
    assert set(told) <= set(found)
    assert len(found) <= len(told) + 6  # at most one that was written down and not told yet, at each kill
    assert len(found) == event_count(home)
    assert segments(home) == []
    assert in_store(home, integrity_problems) == []


@pytest.mark.process
def test_two_processes_drain_what_a_third_left(home: Home) -> None:
    for start in range(0, 400, 50):
        left_behind(home, [exchange(number) for number in range(start, start + 50)])
    for segment in segments(home):
        segment.with_name(f"{segment.stem}-again.jsonl").write_bytes(segment.read_bytes())
    drains = [python(DRAIN, str(home.root)) for _ in range(2)]
    for drain in drains:
        drain.communicate()
        assert drain.returncode == 0
    assert (len(rows(home)), event_count(home)) == (400, 400)
    assert segments(home) == []
