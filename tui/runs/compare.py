"""Two runs side by side: what was asked of them differently, what came of each, and what each learned from alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from core.paths import Home
from storage import datasets, metrics, runs
from storage.db import Store, open_store
from storage.rows import Metric, RunRow
from tui.figures import FIGURES
from tui.runs.feed import CURVES
from tui.widgets.curves import Series
from tui.widgets.run_fields import typed
from tui.words import duration, mebibytes, number, run_status, speed

_ABSENT: Final = "–"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: its row, its curves by name, how many examples it trained on, and the events among them."""

    run: RunRow
    curves: Mapping[str, Series]
    latest: Mapping[str, float]
    peak_memory: float | None
    mean_speed: float | None
    examples: int
    events: frozenset[int]


@dataclass(frozen=True, slots=True)
class Row:
    """What one line of the comparison says of both; `better` is 0 or 1 where one of them is, else None."""

    label: str
    values: tuple[str, str]
    better: int | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first run is the marked one."""

    sides: tuple[Side, Side]

    @property
    def settings(self) -> Sequence[Row]:
        """The settings in which they differ, with the base model, method and start among them."""
        one, two = (_told(side.run) for side in self.sides)
        keys = [*one, *(key for key in two if key not in one)]
        found = ((key, (_shown(one.get(key)), _shown(two.get(key)))) for key in keys)
        return [Row(key.replace("_", " "), values) for key, values in found if values[0] != values[1]]

    @property
    def figures(self) -> Sequence[Row]:
        """Figures at the end, those that at least one of them has."""
        rows = [Row("status", _both(self.sides, lambda side: run_status(side.run.status)))]
        for name, lower in (("loss", True), ("eval_loss", True), ("eval_score", False), ("score", False)):
            rows.append(_row(FIGURES[name].label, [side.latest.get(name) for side in self.sides], number_3, lower))
        times = [_seconds(side.run) for side in self.sides]
        rows.append(_row("time", times, duration, True))
        rows.append(_row("speed", [side.mean_speed for side in self.sides], speed, False))
        rows.append(_row("peak memory", [side.peak_memory for side in self.sides], mebibytes, True))
        return [row for row in rows if row.values != (_ABSENT, _ABSENT)]

    @property
    def data(self) -> Sequence[Row]:
        """The datasets: examples, and events that are in one of them alone."""
        one, two = self.sides
        if one.run.dataset_id == two.run.dataset_id:
            return [Row("examples", (f"{one.examples:,}", "the same dataset"))]
        common = len(one.events & two.events)
        return [
            Row("examples", (f"{one.examples:,}", f"{two.examples:,}")),
            Row("events in both", (f"{common:,}", f"{common:,}")),
            Row("events in it alone", (f"{len(one.events - two.events):,}", f"{len(two.events - one.events):,}")),
        ]

    def curve_names(self) -> Sequence[str]:
        """The curves that at least one of them has, in their usual order."""
        return [name for name in CURVES if any(name in side.curves for side in self.sides)]


def number_3(value: float) -> str:
    """A figure with three digits after the point."""
    return number(value, 3)


def read_comparison(home: Home, first: int, second: int) -> Comparison:
    """Read both runs. Raises NotFoundError where one of them is not there."""
    with open_store(home.store) as store:
        return Comparison((_side(store, first), _side(store, second)))


def _side(store: Store, run_id: int) -> Side:
    run = runs.get(store, run_id)
    label = f"run {run_id}"
    curves: dict[str, Series] = {}
    memory: list[float] = []
    speeds: list[float] = []
    latest: dict[str, float] = {}
    for name, found in _by_name(metrics.metrics(store, run_id)).items():
        latest[name] = found[-1].value
        if name in CURVES:
            curves[name] = Series(label, ((one.step, one.value) for one in found))
        if name == "memory_mb":
            memory = [one.value for one in found]
        if name == "tokens_per_second":
            speeds = [one.value for one in found]
    counts = datasets.get(store, run.dataset_id).counts
    train = counts.get("train", 0)
    return Side(
        run,
        curves,
        latest,
        max(memory, default=None),
        fmean(speeds) if speeds else None,
        train if isinstance(train, int) else 0,
        frozenset(datasets.event_ids(store, run.dataset_id, "train")),
    )


def _by_name(figures: Iterable[Metric]) -> dict[str, list[Metric]]:
    found: dict[str, list[Metric]] = {}
    for figure in figures:
        found.setdefault(figure.name, []).append(figure)
    return found


def _told(run: RunRow) -> Mapping[str, Any]:
    start = "a fresh adapter" if run.start_version is None else f"version {run.start_version}"
    return {"category": run.category, "base model": run.base_model, "start from": start, **run.settings}


def _shown(value: Any) -> str:
    if value is None:
        return _ABSENT
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "all"
    return typed(value)


def _seconds(run: RunRow) -> float | None:
    return run.finished_at - run.started_at if run.started_at and run.finished_at else None


def _both(sides: tuple[Side, Side], tell: Any) -> tuple[str, str]:
    return tell(sides[0]), tell(sides[1])


def _row(label: str, values: Sequence[float | None], form: Any, lower: bool) -> Row:
    one, two = (_ABSENT if value is None else str(form(value)) for value in values)
    better = None
    if values[0] is not None and values[1] is not None and one != two:
        better = int((values[1] < values[0]) == lower)
    return Row(label, (one, two), better)
