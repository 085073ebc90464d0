from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ConflictError, NotFoundError
from storage import events, judgments
from storage.db import Store, integrity_problems, open_store
from storage.moves import Move, Placed
from storage.rows import EventFilter, NewEvent, Verdict

MakeEvent = Callable[..., NewEvent]
View = list[tuple[str | None, str | None, float | None]]


def view(store: Store) -> View:
    return [(row.verdict, row.correction, row.judged_at) for row in events.iter_events(store, EventFilter())]


def test_a_judgment_shows_in_the_event(filled: Store) -> None:
    added = judgments.judge(filled, 4, "correct", correction="better", note="typo", seconds=3.5, now=50.0)
    row = events.get(filled, 4)
    assert (row.verdict, row.correction, row.judged_at) == ("correct", "better", 50.0)
    kept = judgments.current(filled, 4)
    assert kept is not None
    assert (kept.id, kept.note, kept.seconds, kept.target) == (added, "typo", 3.5, None)
    judgments.judge(filled, 4, "good", now=51.0)
    assert events.get(filled, 4).correction is None
    judgments.undo(filled, now=52.0)
    assert events.get(filled, 4).correction == "better"


@pytest.mark.parametrize(
    ("kind", "correction"), [("correct", None), ("correct", " \n"), ("good", "text"), ("skip", "text")]
)
def test_a_correction_has_text_and_nothing_else_has(filled: Store, kind: Verdict, correction: str) -> None:
    with pytest.raises(ConflictError, match="correction"):
        judgments.judge(filled, 1, kind, correction=correction, now=1.0)
    assert judgments.history(filled, 1) == []


def test_unknown_event(filled: Store) -> None:
    with pytest.raises(NotFoundError):
        judgments.judge(filled, 99, "good", now=1.0)


def test_nothing_to_undo_or_redo(filled: Store) -> None:
    assert judgments.undo(filled, now=1.0) is None
    assert judgments.redo(filled, now=1.0) is None
    judgments.judge(filled, 1, "good", now=1.0)
    assert judgments.redo(filled, now=2.0) is None


def test_undo_and_redo_walk_over_several_events_and_restarts(filled: Store) -> None:
    for event in (1, 2, 1):
        judgments.judge(filled, event, "good" if event == 1 else "bad", now=float(event))
    filled.close()
    reopened = open_store(filled.path)
    taken = [judgments.undo(reopened, now=9.0) for _ in range(4)]
    assert [row and row.id for row in taken] == [3, 2, 1, None]
    assert {verdict for verdict, _, _ in view(reopened)} == {None}
    reopened.close()
    again = open_store(filled.path)
    assert [row and row.id for row in (judgments.redo(again, now=10.0) for _ in range(4))] == [1, 2, 3, None]
    assert [row.kind for row in judgments.history(again, 1)] == ["good", "good", "undo", "undo", "redo", "redo"]


def test_a_new_judgment_clears_what_could_be_redone(filled: Store) -> None:
    judgments.judge(filled, 1, "good", now=1.0)
    judgments.judge(filled, 2, "good", now=2.0)
    judgments.undo(filled, now=3.0)
    judgments.judge(filled, 3, "bad", now=4.0)
    assert judgments.redo(filled, now=5.0) is None
    assert [row and row.event_id for row in (judgments.undo(filled, now=6.0) for _ in range(3))] == [3, 1, None]


def test_the_log_is_append_only(filled: Store) -> None:
    judgments.judge(filled, 1, "good", now=1.0)
    for statement in ("UPDATE judgments SET kind = 'bad'", "DELETE FROM judgments"):
        with pytest.raises(ConflictError, match="append-only"):
            filled.write(statement)


def test_many_judgments_are_one_batch(filled: Store) -> None:
    judgments.judge(filled, 2, "correct", correction="better", now=1.0)
    done: list[tuple[int, int]] = []
    judged = judgments.judge_many(
        filled, [3, 2, 99, 3, 7], "bad", note="raid", now=2.0, progress=lambda at, total: done.append((at, total))
    )
    assert judged == [3, 2, 7]
    assert done == [(3, 3)]
    assert [events.get(filled, event).verdict for event in (2, 3, 7, 8)] == ["bad", "bad", "bad", None]
    assert {row.batch for event in judged for row in judgments.history(filled, event)[-1:]} == {2}
    taken = judgments.undo(filled, now=3.0)
    assert taken is not None
    assert (taken.kind, taken.event_id, taken.count, taken.note) == ("bad", 3, 3, "raid")
    assert [events.get(filled, event).verdict for event in (2, 3, 7)] == ["correct", None, None]
    assert judgments.undo(filled, now=4.0) is not None
    assert [(row and row.count) for row in (judgments.redo(filled, now=5.0) for _ in range(3))] == [1, 3, None]
    assert [events.get(filled, event).verdict for event in (2, 3, 7)] == ["bad", "bad", "bad"]
    assert integrity_problems(filled) == []


def test_no_event_is_judged_where_telling_of_it_fails(filled: Store) -> None:
    def stop(at: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        judgments.judge_many(filled, range(1, 11), "bad", now=1.0, progress=stop)
    assert view(filled) == [(None, None, None)] * 10
    assert judgments.undo(filled, now=2.0) is None


def test_nothing_is_judged_at_once_where_nothing_is_there(filled: Store) -> None:
    assert judgments.judge_many(filled, [98, 99], "good", now=1.0) == []
    assert judgments.undo(filled, now=2.0) is None


def test_a_skip_of_a_repeated_question_leaves_the_first_verdict(filled: Store) -> None:
    first = judgments.judge(filled, 1, "good", now=1.0)
    judgments.judge(filled, 1, "skip", repeats=first, now=2.0)
    assert events.get(filled, 1).verdict == "good"
    taken = judgments.undo(filled, now=3.0)
    assert taken is not None
    assert taken.kind == "skip"
    judgments.judge(filled, 1, "bad", repeats=first, now=4.0)
    assert events.get(filled, 1).verdict == "bad"
    assert [row.repeats for row in judgments.history(filled, 1)] == [None, 1, None, 1]
    assert integrity_problems(filled) == []


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("judge"), st.integers(1, 4), st.sampled_from(["good", "bad", "correct", "reject", "skip"])),
        st.tuples(st.just("many"), st.integers(1, 4), st.sampled_from(["good", "bad", "reject", "skip"])),
        st.tuples(st.just("move"), st.integers(1, 4), st.just("")),
        st.tuples(st.just("undo"), st.just(0), st.just("")),
        st.tuples(st.just("redo"), st.just(0), st.just("")),
    ),
    max_size=30,
)


class Model:
    """Undo as everyone knows it: a stack of what holds and a stack of what can come back."""

    def __init__(self) -> None:
        self.done: list[tuple[range, str, float]] = []
        self.undone: list[tuple[range, str, float]] = []

    def say(self, concerned: range, kind: str, at: float) -> None:
        self.done.append((concerned, kind, at))
        self.undone.clear()

    def view(self) -> View:
        shown: dict[int, tuple[str, str | None, float]] = {}
        for concerned, kind, at in self.done:
            for event in concerned if kind != "move" else ():
                shown[event] = (kind, f"text {at}" if kind == "correct" else None, at)
        return [shown.get(event, (None, None, None)) for event in range(1, 5)]

    def categories(self) -> list[str]:
        found = dict.fromkeys(range(1, 5), "erd")
        for concerned, kind, at in self.done:
            found.update(dict.fromkeys(concerned if kind == "move" else (), f"c{at}"))
        return list(found.values())


def moved(store: Store, event: int, category: str) -> Move:
    row = events.get(store, event)
    before = Placed(
        row.category, row.score, row.valid, row.feedback_type, (), row.quality, row.tier, {}, near_keys=[event]
    )
    return Move(event, before, replace(before, category=category, near_keys=[-event]))


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(actions=ACTIONS)
def test_the_log_agrees_with_two_stacks_and_undo_then_redo_changes_nothing(
    new_event: MakeEvent, actions: list[tuple[str, int, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "store.db") as store:
        events.add_many(store, [new_event(number) for number in range(1, 5)])
        model = Model()
        for number, (action, event, kind) in enumerate(actions):
            now = float(number)
            if action == "judge":
                judgments.judge(store, event, kind, correction=f"text {now}" if kind == "correct" else None, now=now)
                model.say(range(event, event + 1), kind, now)
            elif action == "many":
                judgments.judge_many(store, range(event, 5), kind, now=now)
                model.say(range(event, 5), kind, now)
            elif action == "move":
                judgments.move(store, [moved(store, each, f"c{now}") for each in range(event, 5)], now=now)
                model.say(range(event, 5), "move", now)
            elif action == "undo":
                row = judgments.undo(store, now=now)
                assert (row is None) == (not model.done)
                if row:
                    model.undone.append(model.done.pop())
                    assert (row.event_ids, row.kind) == (tuple(model.undone[-1][0]), model.undone[-1][1])
            else:
                row = judgments.redo(store, now=now)
                assert (row is None) == (not model.undone)
                if row:
                    model.done.append(model.undone.pop())
            assert view(store) == model.view()
            assert [row.category for row in events.iter_events(store, EventFilter())] == model.categories()
        if judgments.undo(store, now=98.0):
            judgments.redo(store, now=99.0)
        assert view(store) == model.view()
        assert integrity_problems(store) == []
