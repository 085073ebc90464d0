"""One training run as it goes: stage, figures, curve, log, and what went wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from storage.rows import RunRow
from tui.run_feed import RunNews, seconds_left
from tui.text import safe
from tui.widgets.chart import LineChart
from tui.widgets.curves import Series
from tui.words import RUN_COLOURS, clock, data_size, duration, number, rate, run_status

STAGES: Final = ("training", "evaluating", "exporting", "proving", "testing", "done")
_CURVES: Final = (("loss", "eval_loss"), ("score",), ("learning_rate",))
_NAMES: Final = {"loss": "loss", "eval_loss": "eval loss", "score": "score", "learning_rate": "learning rate"}
_ENDED: Final = ("stopped", "failed", "lost")
PACE_KEPT: Final = 50
_DATE: Final = re.compile(r"^\d{4}-\d\d-\d\d (?=\d\d:\d\d)")  # the list says which day it was


class RunView(Vertical):
    """Shows one run. `clear` starts on another one, `add` shows the next news of it."""

    DEFAULT_CSS = """
    RunView { height: 1fr; }
    RunView #run-stages { height: auto; }
    RunView #run-figures { height: auto; color: $text-muted; }
    RunView #run-fault { height: auto; display: none; padding: 0 1; border-left: thick $error; }
    RunView.-fault #run-fault { display: block; }
    RunView #run-log {
        height: 5; border-top: solid $foreground 25%; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="pane")
        self._series = {name: Series(label) for name, label in _NAMES.items()}
        self._latest: dict[str, float] = {}
        self._pace: list[tuple[float, int]] = []
        self._log: Sequence[str] = ()
        self._curve = 0
        self._log_lines = 2

    def compose(self) -> ComposeResult:
        """Stages over figures over the curve over the log."""
        yield Static(id="run-stages")
        yield Static(id="run-figures")
        yield Static(id="run-fault")
        yield LineChart(id="run-chart")
        yield Static(id="run-log")

    def clear(self) -> None:
        """Forget the run that was shown."""
        self._series = {name: Series(label) for name, label in _NAMES.items()}
        self._latest, self._pace, self._log = {}, [], ()
        self._show_curve()
        self._show_log()

    def add(self, news: RunNews) -> None:
        """Show what is new of the run."""
        for name, points in news.points.items():
            self._series[name].extend(points)
        self._latest.update(news.latest)
        self._pace = [*self._pace, *news.pace][-PACE_KEPT:]
        if news.points:
            self._show_curve()
        if list(news.log) != list(self._log):
            self._log = news.log
            self._show_log()
        self._show_run(news.run)

    def next_curve(self) -> None:
        """Show the next of loss, score and learning rate."""
        self._curve = (self._curve + 1) % len(_CURVES)
        self._show_curve()

    def on_resize(self) -> None:
        """A low terminal gives the log's lines to the curve."""
        self._log_lines = 2 if self.size.height < 18 else 5 if self.size.height < 30 else 8
        self.query_one("#run-log").styles.height = self._log_lines + 1
        self._show_log()

    def _show_run(self, run: RunRow) -> None:
        self.border_title = safe(f"Run {run.id} · {run.category} on {run.base_model}", one_line=True)
        self.query_one("#run-stages", Static).update(stage_line(run))
        left = seconds_left(run, self._pace)
        self.query_one("#run-figures", Static).update(figures_line(run, self._latest, left))
        fault = fault_text(run)
        self.set_class(bool(fault), "-fault")
        self.query_one("#run-fault", Static).update(fault)

    def _show_curve(self) -> None:
        names = _CURVES[self._curve]
        self.query_one(LineChart).show(
            [self._series[name] for name in names], empty=f"No {_NAMES[names[0]]} yet. c shows another curve."
        )

    def _show_log(self) -> None:
        lines = [safe(_DATE.sub("", line), one_line=True, limit=400) for line in self._log[-self._log_lines :]]
        self.query_one("#run-log", Static).update(Content("\n").join(lines) if lines else Content("The log is empty."))


def stage_line(run: RunRow) -> Content:
    """The way of a run with the stage that it is in: `✓ training → ● evaluating → exporting …`."""
    at = STAGES.index(run.stage) if run.stage in STAGES else -1
    parts: list[Content] = []
    if run.status != "finished":
        status = Content.styled(run_status(run.status), f"bold {RUN_COLOURS.get(run.status, '')}".strip())
        parts += [status, Content("  ")]
    for place, stage in enumerate(STAGES):
        passed = place < at or run.status == "finished"
        if place:
            parts.append(Content.styled(" → ", "$text-muted"))
        if passed:
            parts.append(Content.styled(f"✓ {stage}", "$text-success"))
        elif place == at:
            glyph = "●" if run.status == "running" else "✗" if run.status == "failed" else "■"
            parts.append(Content.styled(f"{glyph} {stage}", "bold"))
        else:
            parts.append(Content.styled(stage, "$text-muted"))
    return Content("").join(parts)


def figures_line(run: RunRow, latest: Mapping[str, float], left: float | None) -> Content:
    """Step, last figures, memory and time left, those that are known."""
    parts = [f"step {run.step}/{run.total_steps}"] if run.total_steps else []
    if run.stop_requested and run.status == "running":
        parts.append("stopping at the next step")
    for name, label, form in (
        ("loss", "loss", lambda value: number(value, 3)),
        ("eval_loss", "eval loss", lambda value: number(value, 3)),
        ("score", "score", number),
        ("learning_rate", "rate", rate),
        ("tokens_per_second", "tokens/s", lambda value: number(value, 0)),
        ("memory_mb", "memory", lambda value: data_size(value * 1_000_000)),
    ):
        if name in latest:
            parts.append(f"{label} {form(latest[name])}")
    if left is not None:
        parts.append(f"{duration(left)} left")
    elif run.started_at is not None and run.finished_at is not None:
        parts.append(f"took {duration(run.finished_at - run.started_at)}")
    if run.status == "queued":
        parts.append("waits until the run before it has ended")
    if run.started_at is not None and run.status != "running":
        parts.append(f"started {clock(run.started_at)}")
    if run.status == "finished":
        parts.append("4 shows the verdict, 5 the version")
    return Content(" · ".join(parts))


def fault_text(run: RunRow) -> Content:
    """What went wrong and what to do, empty while nothing is wrong."""
    if run.status not in _ENDED:
        return Content("")
    what = run.error or {
        "stopped": "The run was stopped; what it learned up to its last checkpoint is kept.",
        "lost": "The run's process is gone; what it learned up to its last checkpoint is kept.",
    }.get(run.status, "The run failed without a message.")
    parts = [safe(what, "bold" if run.status == "failed" else "", limit=1_000)]
    parts.append(safe(run.hint or "R goes on from the last checkpoint.", limit=1_000))
    return Content("\n").join(parts)
