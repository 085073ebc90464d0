"""One line about one run: state, stage, how far, how long still."""

from __future__ import annotations

import time

from textual.content import Content
from textual.widgets import Static

from storage.rows import RunRow
from tui.text import safe
from tui.words import RUN_COLOURS, ago, duration, run_status

_BAR = 20
_EIGHTHS = " ▏▎▍▌▋▊▉"


class ProgressLine(Static):
    """`show(run)` draws the line; None leaves it empty."""

    DEFAULT_CSS = """
    ProgressLine { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def show(self, run: RunRow | None, *, now: float | None = None) -> None:
        """Draw where the run stands; `now` in seconds since the epoch."""
        self.update(Content("") if run is None else run_line(run, now=time.time() if now is None else now))


def run_line(run: RunRow, *, now: float) -> Content:
    """Glyph, word, stage, a bar with the share of steps, and what remains or how it ended."""
    parts = [
        Content.styled(run_status(run.status), RUN_COLOURS.get(run.status, "")),
        Content(f" run {run.id} "),
        safe(run.category, one_line=True, limit=30),
    ]
    if run.status == "running":
        parts.append(Content(f" · {run.stage} "))
        if run.stage == "training" and run.total_steps > 0:
            share = min(1.0, run.step / run.total_steps)
            parts.append(Content.assemble((bar(share, _BAR), "$text-primary"), f" {run.step}/{run.total_steps}"))
            parts.append(Content(_remaining(run, share, now)))
    elif run.error:
        parts += [Content(": "), safe(run.error, one_line=True, limit=200)]
    else:
        parts.append(Content(f" · {ago(run.finished_at or run.created_at, now)}"))
    return Content("").join(parts)


def bar(share: float, width: int) -> str:
    """A bar of `width` cells, in eighths of a cell, for a share 0-1."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width, "░")


def _remaining(run: RunRow, share: float, now: float) -> str:
    if run.started_at is None or run.step < 2:
        return ""
    spent = max(0.0, now - run.started_at)
    return f" · {duration(spent * (1 - share) / share)} left" if 0 < share < 1 else ""
