"""One training run as it goes: stage, figures, curve, log, and what went wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from storage.rows import RunRow
from tui.figures import grouped
from tui.runs.feed import RunNews, seconds_left
from tui.text import safe
from tui.widgets.chart import LineChart
from tui.widgets.curves import Series
from tui.widgets.figure_grid import figure_grid
from tui.widgets.run_lines import fault_text, progress_text, stage_line

NAMES: Final = {
    "loss": "loss",
    "eval_loss": "eval loss",
    "eval_score": "eval score",
    "reward_chosen": "reward of chosen",
    "reward_rejected": "of rejected",
    "reward_margin": "reward margin",
    "accuracy": "accuracy",
    "learning_rate": "learning rate",
    "memory_mb": "memory in MiB",
}
LOSS: Final = ("loss", "eval_loss")
CURVES: Final = (
    LOSS,
    ("eval_score",),
    ("reward_chosen", "reward_rejected"),
    ("reward_margin",),
    ("accuracy",),
    ("learning_rate",),
    ("memory_mb",),
)
_BESIDE: Final = (("eval_score",), ("reward_margin",), LOSS)
_ROOM_FOR_TWO: Final = 90  # columns
PACE_KEPT: Final = 50
_DATE: Final = re.compile(r"^\d{4}-\d\d-\d\d (?=\d\d:\d\d)")  # the list says which day it was


class RunView(Vertical):
    """Shows one run. `clear` starts on another one, `add` shows the next news of it."""

    DEFAULT_CSS = """
    RunView { height: 1fr; }
    RunView #run-stages { height: auto; }
    RunView #run-progress { height: auto; color: $text-muted; }
    RunView #run-figures { height: auto; text-wrap: nowrap; }
    RunView #run-charts { height: 1fr; min-height: 6; }
    RunView #run-beside { display: none; margin-left: 2; }
    RunView.-two #run-beside { display: block; }
    RunView #run-fault { height: auto; display: none; padding: 0 1; border-left: thick $error; }
    RunView.-fault #run-fault { display: block; }
    RunView.-paused #run-fault { border-left: thick $warning; }
    RunView #run-log {
        height: 5; border-top: solid $foreground 25%; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="pane")
        self._series = {name: Series(label) for name, label in NAMES.items()}
        self._latest: dict[str, float] = {}
        self._pace: list[tuple[float, int]] = []
        self._log: Sequence[str] = ()
        self._curve: Sequence[str] = LOSS
        self._log_lines = 2
        self._run: RunRow | None = None
        self._place = 0

    def compose(self) -> ComposeResult:
        """Stages over how far it is over figures over curves over the log."""
        yield Static(id="run-stages")
        yield Static(id="run-progress")
        yield Static(id="run-figures")
        yield Static(id="run-fault")
        with Horizontal(id="run-charts"):
            yield LineChart(id="run-chart")
            yield LineChart(id="run-beside")
        yield Static(id="run-log")

    def clear(self) -> None:
        """Forget the run that was shown."""
        self._series = {name: Series(label) for name, label in NAMES.items()}
        self._latest, self._pace, self._log = {}, [], ()
        self._curve, self._run = LOSS, None
        self._show_curve()
        self._show_log()

    def add(self, news: RunNews, place: int = 0) -> None:
        """Show what is new of the run; `place` is its one in the queue."""
        self._place = place
        for name, points in news.points.items():
            self._series[name].merge(points)
        self._latest.update(news.latest)
        self._pace = [*self._pace, *news.pace][-PACE_KEPT:]
        if news.points:
            self._show_curve()
        if list(news.log) != list(self._log):
            self._log = news.log
            self._show_log()
        self._show_run(news.run)

    def next_curve(self) -> None:
        """Show the next of the curves that this run has."""
        known = [names for names in CURVES if names == LOSS or self._has(names)]
        at = known.index(self._curve) if self._curve in known else -1
        self._curve = known[(at + 1) % len(known)]
        self._show_curve()

    def on_resize(self) -> None:
        """A low terminal gives the log's lines to the curve, a wide one shows a second curve."""
        self._log_lines = 2 if self.size.height < 24 else 5 if self.size.height < 30 else 8
        self.query_one("#run-log").styles.height = self._log_lines + 1
        self._show_log()
        self._show_curve()
        if self._run is not None:
            self._show_run(self._run)

    def _show_run(self, run: RunRow) -> None:
        self._run = run
        self.border_title = safe(f"Run {run.id} · {run.category} on {run.base_model}", one_line=True)
        self.query_one("#run-stages", Static).update(stage_line(run))
        left = seconds_left(run, self._pace, self._latest)
        self.query_one("#run-progress", Static).update(progress_text(run, left, self._place))
        groups = grouped(self._latest, at_work=run.status == "running")
        self.query_one("#run-figures", Static).update(figure_grid(groups, self.size.width))
        fault = fault_text(run)
        self.set_class(bool(fault), "-fault")
        self.set_class(run.status == "stopped", "-paused")
        self.query_one("#run-fault", Static).update(fault)

    def _has(self, names: Sequence[str]) -> bool:
        return any(len(self._series[name]) for name in names)

    def _show_curve(self) -> None:
        shown = self._curve
        self.query_one("#run-chart", LineChart).show(
            [self._series[name] for name in shown], empty=f"No {NAMES[shown[0]]} yet."
        )
        beside = next((names for names in _BESIDE if names != shown and self._has(names)), None)
        room = self.size.width >= _ROOM_FOR_TWO
        self.set_class(beside is not None and room, "-two")
        if beside is not None:
            self.query_one("#run-beside", LineChart).show([self._series[name] for name in beside])

    def _show_log(self) -> None:
        lines = [safe(_DATE.sub("", line), one_line=True, limit=400) for line in self._log[-self._log_lines :]]
        self.query_one("#run-log", Static).update(Content("\n").join(lines) if lines else Content("The log is empty."))
