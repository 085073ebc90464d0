"""What looks at a whole category stops where that would take minutes, and says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from versions_kit import add_version

from core import explain, standing
from core.backends.child_process import environment
from core.categories import load_categories, select_of
from core.config import load_config
from core.explain import explain as explained
from core.one_thread import keep_to_one_thread, not_for_children
from core.paths import Home
from core.select.hard.hard_negatives import STATES, TO_DO, hard_negatives, worst_negatives
from core.train.launch import child_environment
from storage import db, events, hard_tests, totals
from storage.db import Store
from storage.rows import CategoryCounts, NewEvent
from tui.forward import tell_way_forward
from tui.hard import items as hard_items
from tui.hard.status import status_line
from tui.hard.tree import HardTree
from tui.overview import Trends
from tui.review.items import read_items, read_standings
from tui.runs.plan import read_selection
from tui.why import next_batch, why
from tui.widgets.outlook import data_text
from tui.widgets.run_fields import RunRequest

AnEvent = Callable[..., NewEvent]


def test_above_its_limit_no_standing_is_worked_out_and_it_is_said_why(
    home: Home, five: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_standings(home, "erd") is not None
    (item,) = read_items(home, five[:1])
    assert item.why.no_standing == "" and next_batch(replace(item.why, held="")).endswith("…")
    monkeypatch.setattr(standing, "LARGEST", 4)
    monkeypatch.setattr(explain, "LARGEST", 4)
    assert read_standings(home, "erd") is None
    (item,) = read_items(home, five[:1])
    told = f"not worked out among 5; `finetune-tui explain {five[0]}` does it"
    assert next_batch(replace(item.why, held="")) == f"next batch: {told}"
    assert "…" not in "".join(f"{part.value}{part.text}" for part in why(item.why))


def test_the_command_line_works_it_out_all_the_same(
    home: Home, store: Store, five: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "LARGEST", 4)
    found = explained(store, home, load_config(home), load_categories(home), five[0])
    assert found.standing is not None and found.no_standing == ""


def test_the_form_counts_tiers_where_examples_are_too_many_to_choose_from(
    home: Home, five: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = RunRequest("erd", "demo", "", {"method": "sft", "seed": 0}, {}, {})
    assert read_selection(home, request).crowd == 0
    monkeypatch.setattr(standing, "LARGEST", 4)
    data = read_selection(home, request)
    assert data.crowd == 5 and not data.items and data.counts["tiers"] == {
        "gold": 0, "silver": 0, "bronze": 0, "rejected": 5,
    }  # fmt: skip
    told = data_text(data, "sft").plain
    assert "5 outputs to choose from" in told and "rejected 5" in told and "worked out at the start" in told


@pytest.mark.parametrize("limit", [1, 2, 4, 50])
def test_the_worst_are_the_first_of_all_and_solved_ones_take_no_room_of_the_others(
    home: Home, store: Store, an_event: AnEvent, limit: int
) -> None:
    ids = [events.add(store, an_event(number, score=float(5 * number))) for number in range(8)]
    category, constants = load_categories(home)["erd"], select_of(load_categories(home)["erd"], load_config(home))
    version = add_version(store, home).id
    for solved in ids[:3]:
        hard_tests.add(store, solved, version, at=2e9, response="ok", score=95.0, passed=True)
    every = hard_negatives(store, category, constants=constants, states=STATES)
    found, total = worst_negatives(store, category, constants=constants, limit=limit)
    assert total == len(every) == 8
    to_do = [each for each in every if each.state in TO_DO]
    others = [each for each in every if each.state not in TO_DO]
    assert len(others) == 3
    kept = [*to_do[:limit], *others[:limit]]
    assert found == [each for each in every if each in kept]


def test_what_is_left_out_of_the_hard_negatives_is_told(
    home: Home, store: Store, an_event: AnEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    events.add_many(store, [an_event(number, score=1.0) for number in range(7)])
    monkeypatch.setattr(hard_items, "WORST", 4)
    found = hard_items.read_list(home, "erd")
    assert (len(found.every), found.left_out) == (4, 3)
    assert "the worst of 7" in status_line(HardTree.of(found), None, "", patterns_come=False).plain


def counts(total: int) -> CategoryCounts:
    return CategoryCounts("erd", total, 0, 0, 0, 0, 0, 0, 0, 0, None, 0.5, 1.0)


def test_a_trend_is_read_again_when_one_could_see_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def score_trend(_: Store, category: str) -> list[float]:
        read.append(category)
        return [1.0]

    monkeypatch.setattr(totals, "score_trend", score_trend)
    trends = Trends()
    for total, times in ((10, 1), (10, 1), (11, 2), (100_000, 3), (100_400, 3), (100_600, 4), (90_000, 5)):
        assert trends.of(store, counts(total)) == [1.0]
        assert len(read) == times, total


def test_a_large_store_of_an_older_schema_is_announced(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tell_way_forward(tmp_path / "none.db")
    tell_way_forward(store.path)
    monkeypatch.setattr(db, "_LONG_BYTES", 1)
    tell_way_forward(store.path)
    assert capsys.readouterr().err == "", "it has the newest schema"
    store.write(f"PRAGMA user_version = {db.SCHEMA_VERSION - 1}")
    store.value("PRAGMA wal_checkpoint(TRUNCATE)")
    tell_way_forward(store.path)
    assert "made ready for this version" in capsys.readouterr().err
    monkeypatch.setattr(db, "_LONG_BYTES", 10**12)
    tell_way_forward(store.path)
    assert capsys.readouterr().err == ""


def test_only_the_app_itself_computes_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    from core import one_thread

    monkeypatch.setattr(one_thread, "_SET", [])
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    keep_to_one_thread()
    assert not_for_children() == frozenset() and child_environment()["OPENBLAS_NUM_THREADS"] == "3"
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    keep_to_one_thread()
    assert not_for_children() == {"OPENBLAS_NUM_THREADS"}
    assert "OPENBLAS_NUM_THREADS" not in child_environment() and "OPENBLAS_NUM_THREADS" not in environment()
