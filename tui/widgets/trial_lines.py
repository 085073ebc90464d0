"""The trials of a search as lines of a table, and what mattered in it as bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from textual.content import Content

from core.search.study import Trial
from tui.runs.search import OBJECTIVE, SearchView, broken_off, parameters
from tui.text import safe
from tui.widgets.parallel import short_name
from tui.widgets.progress_line import bar
from tui.widgets.run_fields import typed
from tui.words import counted, duration, percent

STATES: Final = {
    "waiting": ("◌ waiting", "$text-muted"), "running": ("● running", "$text-primary"),
    "complete": ("✓ done", "$text-success"), "pruned": ("✂ cut short", "$text-warning"),
    "failed": ("✗ failed", "$text-error"),
}  # fmt: skip
_BROKEN_OFF: Final = ("■ broken off", "$text-muted")
_COLUMNS: Final = {
    "learning_rate": ("rate", 8), "effective_batch": ("batch", 5), "epochs": ("epochs", 6),
    "warmup_ratio": ("warm-up", 7), "rank": ("rank", 4), "alpha": ("alpha", 5),
}  # fmt: skip
_STATE: Final = 12
_VALUE: Final = 9
_BAR: Final = 14


def header() -> Content:
    """What stands over the lines of the table."""
    columns = " ".join(f"{name:>{width}}" for name, width in _COLUMNS.values())
    return Content.styled(
        f"{'trial':>5}  {'state':<{_STATE}}  {OBJECTIVE:>{_VALUE}}  {columns}  time and note", "$text-muted"
    )


def trial_line(trial: Trial, *, best: bool) -> Content:
    """One trial; the best one has a star."""
    state, colour = _BROKEN_OFF if broken_off(trial) else STATES[trial.state]
    value = "–" if trial.value is None else f"{trial.value:.3f}"
    varied = parameters(trial)
    cells = [_cell(varied, name).rjust(width) for name, (_, width) in _COLUMNS.items()]
    tail = " ".join(filter(None, [duration(trial.seconds) if trial.seconds else "", trial.note]))
    return Content.assemble(
        f"{trial.number:>4}{'★' if best else ' '}  ", (f"{state:<{_STATE}}", colour), "  ",
        (f"{value:>{_VALUE}}", "bold" if best else ""), "  ", " ".join(cells), "  ",
        safe(tail, "$text-muted", one_line=True),
    )  # fmt: skip


def _cell(varied: Mapping[str, float], name: str) -> str:
    if name not in varied:
        return "–"
    value = varied[name]
    if name == "learning_rate":
        return typed(float(f"{value:.2e}"))
    return f"{value:.2f}" if name == "warmup_ratio" else f"{value:g}"


def head_text(view: SearchView) -> Content:
    """Which search it is, how far it is, and how good its best trial is."""
    state = ("✓ rests", "bold $text-success")
    if view.open or view.waits:
        state = ("● goes on", "bold $text-primary") if view.open else ("■ can be gone on with", "bold $text-warning")
    best = next((trial for trial in view.trials if trial.number == view.best), None)
    tried = sum(not broken_off(trial) for trial in view.trials)
    text = f"{view.done} of {counted(tried, 'trial')} told something"
    found = (
        f"best: trial {best.number}, {best.value:.3f}" if best and best.value is not None else "none is complete yet"
    )
    applied = " · its settings are the defaults" if view.best_is_applied else ""
    return Content.assemble(safe(f"{view.category} on {view.base}  ", "bold", one_line=True), state,
                            f"  {text} · ★ {found}{applied}")  # fmt: skip


def importance_text(view: SearchView) -> Content:
    """The share of each setting in what makes the trials differ, largest first."""
    if not view.importances:
        return Content.styled("What mattered can be told once four trials are complete and differ.", "$text-muted")
    return Content("\n").join(
        Content.assemble(f"{short_name(name):<9} ", (bar(share, _BAR), "$text-primary"), f" {percent(share)}")
        for name, share in view.importances.items()
    )
