"""A run as it is watched: what is new of it since the last look, and the time that it still takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.paths import Home
from storage import metrics, runs
from storage.db import open_store
from storage.errors import NotFoundError
from storage.rows import Metric, RunRow
from tui.figures import told_left
from tui.widgets.curves import Series

CURVES = (
    "loss", "eval_loss", "eval_score", "reward_margin", "reward_chosen", "reward_rejected", "accuracy", "learning_rate",
    "memory_mb",
)  # fmt: skip
LOG_LINES = 40
_PAGE = 250  # figures at once: more objects would set off the collection of garbage, which holds up the whole process
_PACE_STEPS = 50


@dataclass(frozen=True, slots=True)
class RunNews:
    """What one look at a run brought: its row, the end of its log, and the figures that were stored since.

    `points` holds the new points of each of the curves, `latest` the newest value of every figure, `pace` the
    (time, step) of the newest losses; `rowid` is what the next look starts from. The series are made here, in the
    thread that reads, so that a long run costs the app's own thread nothing.
    """

    run: RunRow
    points: Mapping[str, Series]
    latest: Mapping[str, float]
    pace: Sequence[tuple[float, int]]
    log: Sequence[str]
    rowid: int


@dataclass(frozen=True, slots=True)
class RunsView:
    """The newest runs, and what is new of the one that is watched."""

    runs: Sequence[RunRow]
    news: RunNews | None

    @property
    def places(self) -> Mapping[int, int]:
        """The place in the queue, from 1, of each run that waits: who waits longest goes first."""
        waiting = sorted(run.id for run in self.runs if run.status == "queued")
        return {run_id: place for place, run_id in enumerate(waiting, 1)}


def read_runs(home: Home, watched: int | None, rowid: int) -> RunsView:
    """Read the list of runs and the news of the `watched` one since `rowid`. Raises StoreError."""
    from core.train.launch import tail_log

    with open_store(home.store) as store:
        rows = runs.list_runs(store)
        if watched is None:
            return RunsView(rows, None)
        try:
            run = runs.get(store, watched)
        except NotFoundError:
            return RunsView(rows, None)
        news = NewsSorter()
        while True:
            rowid, figures = metrics.metrics_after(store, watched, rowid, _PAGE)
            news.sort(figures)
            if len(figures) < _PAGE:
                break
    return RunsView(rows, news.news(run, rowid, list(tail_log(home, run, LOG_LINES))))


class NewsSorter:
    """Sorts figures, in the order in which they were stored, into curves, newest values and pace."""

    def __init__(self) -> None:
        self._points: dict[str, Series] = {}
        self._latest: dict[str, float] = {}
        self._pace: deque[tuple[float, int]] = deque(maxlen=_PACE_STEPS)

    def sort(self, figures: Iterable[Metric]) -> None:
        """Take these up after the ones before."""
        for figure in figures:
            self._latest[figure.name] = figure.value
            if figure.name in CURVES:
                if figure.name not in self._points:
                    self._points[figure.name] = Series(figure.name)
                self._points[figure.name].extend([(figure.step, figure.value)])
            if figure.name == "loss":
                self._pace.append((figure.at, figure.step))

    def news(self, run: RunRow, rowid: int, log: Sequence[str]) -> RunNews:
        """What came of all of them."""
        return RunNews(run, self._points, self._latest, list(self._pace), log, rowid)


def seconds_left(run: RunRow, pace: Sequence[tuple[float, int]], latest: Mapping[str, float]) -> float | None:
    """Time to the last training step; None when it cannot be told.

    What the run itself has estimated, or, where it has not, at the pace of the latest (time, step) pairs. A resumed
    run steps back: only the pairs since the last step backwards count.
    """
    if run.status != "running" or run.stage != "training" or not run.total_steps:
        return None
    if (told := told_left(run, latest)) is not None:
        return told
    recent = pace[-_PACE_STEPS:]
    start = len(recent) - 1
    while start > 0 and recent[start - 1][1] < recent[start][1]:
        start -= 1
    if start >= len(recent) - 1:
        return None
    (first_at, first_step), (last_at, last_step) = recent[start], recent[-1]
    if last_at <= first_at:
        return None
    return max(0, run.total_steps - last_step) * (last_at - first_at) / (last_step - first_step)
