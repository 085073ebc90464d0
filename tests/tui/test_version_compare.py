"""Two versions beside each other: nothing changes but the sides when they are exchanged; shared events are counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.content import Content
from versions_kit import add_version

from core.paths import Home
from storage import datasets, events
from storage.db import Store
from storage.rows import DatasetItem, DatasetRow, NewEvent, VersionRow
from tui.versions.version_compare import VersionDifference, differences, shared_events
from tui.versions.views import ModelsView
from tui.widgets.version_table import comparison_content

FIGURE = st.none() | st.floats() | st.integers(-100, 100) | st.text(max_size=3) | st.booleans()
NAMES = st.sampled_from(["mean_score", "success_rate", "generic_share", "tokens_per_second", "other"])
VALUE = FIGURE | st.lists(st.integers(0, 3), max_size=3)
SETTINGS = st.dictionaries(st.sampled_from(["rank", "alpha", "epochs", "x_y"]), VALUE)
CHECKS = st.lists(st.fixed_dictionaries({"name": st.text(max_size=4), "passed": st.booleans()}), max_size=3)


@st.composite
def version(draw: st.DrawFn, number: int) -> VersionRow:
    return VersionRow(
        id=number, created_at=draw(st.floats(0, 2e9)), name=f"v{number}", category="erd",
        base_model=draw(st.sampled_from(["demo", "other"])), number=number, run_id=None,
        parent_id=draw(st.sampled_from([None, 1, 2, 9])), dataset_id=draw(st.sampled_from([None, 5, 6])),
        folder=f"models/{number}", settings=draw(SETTINGS), code_version="0",
        metrics=draw(st.dictionaries(NAMES, FIGURE)), proof=draw(CHECKS), proved=draw(st.booleans()),
        gguf=draw(st.dictionaries(st.sampled_from(["f16", "q8_0"]), st.just({"bytes": 1_000}))), retired_at=None,
    )  # fmt: skip


COUNTS = st.dictionaries(st.sampled_from(["train", "validation", "test", "corrections", "more"]), st.integers(0, 9))


@given(one=version(1), other=version(2), counts=st.tuples(COUNTS, COUNTS))
def test_exchanged_versions_exchange_their_sides_and_nothing_else(
    one: VersionRow, other: VersionRow, counts: tuple[dict[str, int], dict[str, int]]
) -> None:
    sets = {
        number: DatasetRow(number, 1.0, "erd", "h", 0, {}, held) for number, held in zip((5, 6), counts, strict=True)
    }
    view = ModelsView([one, other], [], {}, sets, {}, {}, [], 0)
    assert _turned(differences(one, other, view)) == differences(other, one, view)


def _turned(tables: Any) -> dict[str, list[VersionDifference]]:
    return {
        title: [
            VersionDifference(row.label, (row.values[1], row.values[0]), None if row.better is None else 1 - row.better)
            for row in rows
        ]
        for title, rows in tables.items()
    }


@given(one=version(1))
def test_a_version_beside_itself_is_nowhere_better_and_differs_in_no_setting(one: VersionRow) -> None:
    settled = {name: value for name, value in one.settings.items() if not _is_nan(value)}
    tables = differences(same := replace(one, settings=settled), same, ModelsView([same], [], {}, {}, {}, {}, [], 0))
    assert tables["Settings that differ"] == []
    assert all(row.better is None and row.values[0] == row.values[1] for rows in tables.values() for row in rows)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def test_the_better_figure_is_the_higher_but_for_generic_answers(store: Store, home: Home) -> None:
    one = replace(add_version(store, home), metrics={"mean_score": 70.0, "generic_share": 0.1, "success_rate": "?"})
    other = replace(one, id=9, metrics={"mean_score": 80.0, "generic_share": 0.2, "success_rate": 0.5})
    tables = differences(one, other, ModelsView([one, other], [], {}, {}, {}, {}, [], 0))
    assert [row.better for row in tables["Figures on held-out prompts"]] == [1, None, 0, None]
    told = comparison_content((one.name, other.name), tables, (1, 2, 3))
    assert "2 events are in both, 1 only in" in told.plain
    (line,) = [line for line in told.plain.splitlines() if line.startswith("mean score")]
    assert "  70.0" in line and "✓ 80.0" in line


@pytest.mark.parametrize("bad", ["\x1b[31mEVIL", "[/] [bold]x[/bold]", "\u202eturned", "\x00\x07"])
def test_hostile_names_and_values_stay_inert(store: Store, home: Home, bad: str) -> None:
    one = replace(add_version(store, home), name=bad, base_model=bad, settings={bad: bad})
    other = replace(one, id=9, settings={})
    tables = differences(one, other, ModelsView([one, other], [], {}, {}, {}, {}, [], 0))
    told = comparison_content((one.name, other.name), tables, (0, 0, 1))
    assert isinstance(told, Content)
    assert not {"\x1b", "\x00", "\x07", "\u202e"} & set(told.plain)


def test_events_are_counted_once_and_what_came_without_one_not_at_all(
    store: Store, home: Home, an_event: Callable[..., NewEvent]
) -> None:
    ids = events.add_many(store, [an_event(number) for number in range(4)])

    def trained_on(*taken: int) -> VersionRow:
        items = [DatasetItem(at, event, "train", f"p{at}", "t", "", 1.0, 0.5, "easy") for at, event in enumerate(taken)]
        items.append(DatasetItem(len(items), ids[3], "validation", "p", "t", "", 1.0, 0.5, "easy"))
        data = datasets.add(store, created_at=1.0, category="erd", hash=f"b2:{taken}", seed=0, settings={}, counts={},
                            items=items)  # fmt: skip
        added: VersionRow = replace(add_version(store, home), dataset_id=data)
        return added

    one, other = trained_on(ids[0], ids[1], ids[1], 0), trained_on(ids[1], ids[2], 0)
    assert shared_events(store, one, other) == (1, 1, 1)
    assert shared_events(store, one, one) == (0, 2, 0)
    assert shared_events(store, replace(one, dataset_id=None), other) == (0, 0, 2)
