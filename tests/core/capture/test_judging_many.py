"""Many judgments at once, and a process that is killed in the middle of them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from selection_kit import new_event

from core.capture.judging import Judge
from core.categories import load_categories
from core.config import Config
from core.paths import Home
from core.validate.quality import assess_event
from storage import events, judgments, pairs
from storage.db import Store, integrity_problems, open_store
from storage.rows import EventFilter

ROOT = Path(__file__).parents[3]
KILLED = """
import sys
from core.capture.judging import Judge
from core.categories import load_categories
from core.config import Config
from core.paths import Home
from pathlib import Path
from storage import events
from storage.db import open_store
from storage.rows import EventFilter

home = Home(Path(sys.argv[1]))

def told(done, total):
    print(done, total, flush=True)
    if done >= float(sys.argv[2]) * total:
        sys.stdin.read()

with open_store(home.store) as store:
    ids = events.event_ids(store, EventFilter(), order="id")
    judge = Judge(store, Config(), load_categories(home))
    judge.judge_many(ids, "bad", progress=told)
    print("done", flush=True)
"""


@pytest.fixture
def judge(store: Store, home: Home) -> Judge:
    return Judge(store, Config(), load_categories(home))


def fill(store: Store, number: int) -> list[int]:
    return events.add_many(store, [new_event(f"Draw number {one}", quality=0.75) for one in range(number)])


def everything(store: Store) -> list[Any]:
    return list(events.iter_events(store, EventFilter()))


def test_many_are_judged_and_assessed_like_one_by_one(judge: Judge, store: Store) -> None:
    ids = fill(store, 1_200)
    judge.judge(ids[3], "correct", correction="a better answer altogether, of another kind")
    before = everything(store)
    told: list[tuple[int, int]] = []
    assert judge.judge_many([*ids, ids[0], 5_000], "good", progress=lambda at, total: told.append((at, total))) == 1_200
    assert told[-1] == (2_400, 2_400)
    assert told == sorted(told)
    for event in everything(store):
        found = assess_event(event, judge.categories["erd"])
        assert (event.verdict, event.correction) == ("good", None)
        assert (event.quality, event.tier) == (found.quality, found.tier) != (before[0].quality, before[0].tier)
    assert pairs.count(store, "erd") == 0
    taken = judge.undo()
    assert taken is not None
    assert (taken.kind, taken.count, taken.event_id) == ("good", 1_200, ids[0])
    assert everything(store)[3] == before[3]
    assert {event.verdict for event in everything(store)} == {None, "correct"}
    assert pairs.count(store, "erd") == 1
    assert judge.redo() == taken
    assert integrity_problems(store) == []


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_when_it_is_cancelled_nothing_was_said(judge: Judge, store: Store, calls: int) -> None:
    ids = fill(store, 1_200)
    before = everything(store)
    asked = iter(range(100))
    assert judge.judge_many(ids, "bad", cancelled=lambda: next(asked) >= calls) == 0
    assert everything(store) == before
    assert judge.undo() is None


def test_a_category_that_is_gone_keeps_its_assessment(store: Store, home: Home) -> None:
    ids = fill(store, 2)
    judge = Judge(store, Config(), {})
    assert judge.judge_many(ids, "bad") == 2
    assert {(event.verdict, event.quality) for event in everything(store)} == {("bad", 0.75)}


def test_a_repeated_question_is_marked(judge: Judge, store: Store) -> None:
    first, second = fill(store, 2)
    judge.judge(first, "good", seconds=1.0)
    judge.judge(first, "bad", seconds=1.0, repeat=True)
    judge.judge(second, "bad", repeat=True)  # never judged before, so there is nothing to repeat
    assert [row.repeats for row in judgments.history(store, first)] == [None, 1]
    assert [row.repeats for row in judgments.history(store, second)] == [None]
    assert events.get(store, first).verdict == "bad"


@pytest.mark.process
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_a_kill_in_the_middle_leaves_none_of_them(home: Home, share: float) -> None:
    with open_store(home.store) as store:
        fill(store, 4_000)
        before = everything(store)
    command = [sys.executable, "-c", KILLED, str(home.root), str(share)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout
        assert writer.stdin
        for line in writer.stdout:
            done, total = line.split()
            if int(done) >= share * int(total):
                break
        writer.send_signal(signal.SIGKILL)
        assert writer.stdout.read() == ""
    assert writer.returncode == -signal.SIGKILL
    with open_store(home.store) as store:
        assert everything(store) == before
        assert judgments.undo(store, now=1.0) is None
        assert integrity_problems(store) == []
        assert Judge(store, Config(), load_categories(home)).judge_many([1, 2], "good") == 2
