from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ConflictError, NotFoundError
from storage import events, judgments
from storage.db import Store, integrity_problems, open_store
from storage.rows import EventFilter, NewEvent

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
def test_a_correction_has_text_and_nothing_else_has(filled: Store, kind: judgments.Verdict, correction: str) -> None:
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


def test_session_figures(filled: Store) -> None:
    assert judgments.session_figures(filled, since=0.0) == {"count": 0.0, "per_minute": 0.0, "median_seconds": 0.0}
    for number, seconds in enumerate((4.0, None, 8.0, 100.0), start=1):
        judgments.judge(filled, number, "good", seconds=seconds, now=60.0 + 30.0 * number)
    judgments.undo(filled, now=200.0)
    assert judgments.session_figures(filled, since=60.0) == {"count": 3.0, "per_minute": 2.0, "median_seconds": 6.0}


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("judge"), st.integers(1, 4), st.sampled_from(["good", "bad", "correct", "reject", "skip"])),
        st.tuples(st.just("undo"), st.just(0), st.just("")),
        st.tuples(st.just("redo"), st.just(0), st.just("")),
    ),
    max_size=30,
)


class Model:
    """Undo as everyone knows it: a stack of what holds and a stack of what can come back."""

    def __init__(self) -> None:
        self.done: list[tuple[int, str, float]] = []
        self.undone: list[tuple[int, str, float]] = []

    def view(self) -> View:
        shown: dict[int, tuple[str, str | None, float]] = {}
        for event, kind, at in self.done:
            shown[event] = (kind, f"text {at}" if kind == "correct" else None, at)
        return [shown.get(event, (None, None, None)) for event in range(1, 5)]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(actions=ACTIONS)
def test_the_log_agrees_with_two_stacks_and_undo_then_redo_changes_nothing(
    new_event: MakeEvent, actions: list[tuple[str, int, judgments.Verdict]]
) -> None:
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "store.db") as store:
        events.add_many(store, [new_event(number) for number in range(1, 5)])
        model = Model()
        for number, (action, event, kind) in enumerate(actions):
            now = float(number)
            if action == "judge":
                judgments.judge(store, event, kind, correction=f"text {now}" if kind == "correct" else None, now=now)
                model.done.append((event, kind, now))
                model.undone.clear()
            elif action == "undo":
                row = judgments.undo(store, now=now)
                assert (row is None) == (not model.done)
                if row:
                    model.undone.append(model.done.pop())
                    assert row.event_id == model.undone[-1][0]
            else:
                row = judgments.redo(store, now=now)
                assert (row is None) == (not model.undone)
                if row:
                    model.done.append(model.undone.pop())
            assert view(store) == model.view()
        if judgments.undo(store, now=98.0):
            judgments.redo(store, now=99.0)
        assert view(store) == model.view()
        assert integrity_problems(store) == []
