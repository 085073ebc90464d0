"""Searches as the app sees them: what the child tells, the axes, and the paths between them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FinetuneError, NotFoundError, StoreError
from core.paths import Home
from core.search.study import Trial
from tui.runs.search import Axis, axes_of, command, parameters, read_search, view_of
from tui.widgets.parallel import fits, parallel
from tui.widgets.trial_lines import head_text, header, importance_text, trial_line

SETTINGS = {"learning_rate": 1e-4, "epochs": 3, "warmup_ratio": 0.05, "rank": 8, "alpha": 16, "batch_size": 2,
            "accumulation": 4}  # fmt: skip


def a_trial(number: int, value: float | None = None, state: str = "complete", note: str = "", **settings: Any) -> Trial:
    return Trial(number, state, value, {**SETTINGS, **settings}, None, None, None, 65.0, note)  # type: ignore[arg-type]


def told(*trials: Trial, best: int | None = None) -> dict[str, Any]:
    found = next((one for one in trials if one.number == best), None)
    fields = Trial.__slots__
    return {
        "spec": {"category": "erd", "base": "demo"},
        "trials": [{name: getattr(one, name) for name in fields} for one in trials],
        "best": {name: getattr(found, name) for name in fields} if found else None,
        "importances": {"learning_rate": 0.75, "rank": 0.25},
        "applied": {},
    }


def test_a_search_is_taken_from_what_the_command_prints() -> None:
    view = view_of(told(a_trial(0, 70.0), a_trial(1, None, "running"), a_trial(2, None, "pruned"), best=0))
    assert (view.category, view.base, view.best, view.done, view.open) == ("erd", "demo", 0, 2, True)
    assert head_text(view).plain == "erd on demo  ● goes on  2 of 3 trials told something · ★ best: trial 0, 70.000"
    assert importance_text(view).plain.splitlines()[0] == "rate      ██████████▌░░░ 75 %"
    waits = view_of(told(a_trial(0, None, "failed"), Trial(1, "waiting", None, {}, None, None, None, 0.0, "")))
    assert "■ can be gone on with  0 of 1 trial told" in head_text(waits).plain
    rested = view_of(told(a_trial(0, None, "failed", note="too large")))
    assert "✓ rests" in head_text(rested).plain and "none is complete yet" in head_text(rested).plain


def test_a_trial_is_one_line_under_its_header() -> None:
    best = trial_line(a_trial(7, 78.9141), best=True).plain
    assert best.startswith("   7★  ✓ done           78.914")
    assert "1e-4     8      3    0.05    8    16" in best
    names = header().plain
    assert names.index("rank") + 4 == best.index("    8    16") + 5
    assert "✗ failed" in trial_line(a_trial(1, None, "failed", note="too large"), best=False).plain
    assert "■ broken off" in trial_line(a_trial(1, None, "failed"), best=False).plain
    waiting = Trial(3, "waiting", None, {}, None, None, None, 0.0, "")
    assert trial_line(waiting, best=False).plain.count("–") == 7
    assert parameters(waiting) == {}


def test_axes_span_what_was_tried() -> None:
    axes = axes_of([a_trial(0, 60.0), a_trial(1, 80.0, learning_rate=1e-2, batch_size=8)])
    assert [axis.name for axis in axes][-1] == "objective"
    rate = axes[0]
    assert (rate.name, rate.low, rate.high, rate.log) == ("learning_rate", 1e-4, 1e-2, True)
    assert rate.place(1e-3) == pytest.approx(0.5)
    assert next(axis for axis in axes if axis.name == "effective_batch").high == 32.0
    assert Axis("epochs", 3, 3, False).place(3) == 0.5


def drawn(axes: list[Axis], paths: list[Any], marked: dict[str, Any], width: int, height: int) -> list[str]:
    return ["".join(segment.text for segment in line) for line in parallel(axes, paths, marked, width, height)]


def test_paths_go_from_axis_to_axis() -> None:
    axes = [Axis("learning_rate", 1e-4, 1e-2, True), Axis("objective", 50.0, 80.0, False)]
    lines = drawn(axes, [(0.0, 1.0)], {"first": (0.0, 1.0), "second": (1.0, None)}, 30, 9)
    assert len(lines) == 9
    assert lines[0].split() == ["rate", "objective"]
    assert lines[1].split() == ["0.01", "80"] and lines[-1].split() == ["1e-04", "50"]
    assert lines[2].index("★") > lines[7].index("★")
    assert lines[2].index("◆") == lines[7].index("★")
    assert "│" in lines[4]


def test_without_room_there_are_no_paths() -> None:
    axes = [Axis("rank", 4, 8, False)] * 7
    assert fits(7, 70) and not fits(7, 69) and not fits(1, 200)
    assert drawn(axes, [[0.5] * 7], {}, 60, 20) == []
    assert drawn(axes, [[0.5] * 7], {}, 90, 6) == []


@given(st.lists(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=3, max_size=3), max_size=6),
       st.integers(30, 90), st.integers(7, 20))  # fmt: skip
def test_the_paths_have_exactly_the_size_asked_for(paths: list[Any], width: int, height: int) -> None:
    axes = [Axis(name, 0.0, 1.0, False) for name in ("rank", "alpha", "objective")]
    lines = drawn(axes, paths, {"first": paths[0] if paths else None}, width, height)
    assert {len(line) for line in lines} == {width} and len(lines) == height


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Has the child be a program that prints a text and ends."""

    python = sys.executable

    def program(text: str, code: int = 0) -> None:
        file = tmp_path / "child.py"
        file.write_text(f"#!{python}\nprint({text!r})\nraise SystemExit({code})\n", encoding="utf-8")
        file.chmod(0o755)
        monkeypatch.setattr("tui.runs.search.sys.executable", str(file))

    return program


def test_the_child_says_that_there_is_no_search(home: Home, child: Any) -> None:
    child('{"error": {"title": "Not found", "message": "There is no search.", "hint": "Begin one."}}', 1)
    with pytest.raises(NotFoundError, match="There is no search") as caught:
        read_search(home, "erd", "demo")
    assert caught.value.hint == "Begin one."
    child('{"error": {"title": "Damaged", "message": "It cannot be read.", "hint": ""}}', 1)
    with pytest.raises(FinetuneError, match="cannot be read") as other:
        read_search(home, "erd", "demo")
    assert not isinstance(other.value, NotFoundError)
    child("Killed")
    with pytest.raises(StoreError, match="search erd --base demo --status --json` gave no answer: it said nothing"):
        read_search(home, "erd", "demo")


def test_reading_is_broken_off_when_nobody_wants_it(home: Home, child: Any) -> None:
    child("{}")

    def stop() -> None:
        raise FinetuneError("Enough.")

    with pytest.raises(FinetuneError, match="Enough"):
        read_search(home, "erd", "demo", stop)


def test_the_command_names_the_base_model_only_where_it_is_known(home: Home) -> None:
    root = str(home.root)
    assert command(home, "erd", "demo") == [
        "--home", root, "search", "erd", "--base", "demo", "--status", "--json",
    ]  # fmt: skip
    assert "--base" not in command(home, "erd", "")
