"""One line about one run: state, stage, how far, how long still."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from tui.text import safe
from tui.words import RUN_COLOURS, ago, run_status, time_left

if TYPE_CHECKING:
    from storage.rows import RunRow

_BAR = 12
_EIGHTHS = " ▏▎▍▌▋▊▉"


class ProgressLine(Static):
    """`show(run)` draws the line; None leaves it empty."""

    DEFAULT_CSS = """
    ProgressLine { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def show(
        self, run: RunRow | None, *, now: float | None = None, latest: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        """Draw where the run stands; `now` in seconds since the epoch, `latest` the newest of its figures."""
        moment = time.time() if now is None else now
        self.update(Content("") if run is None else run_line(run, now=moment, latest=latest))


def run_line(run: RunRow, *, now: float, latest: Mapping[str, float] = MappingProxyType({})) -> Content:
    """Glyph, word, stage, a bar with the share of steps, what remains, loss, speed and heat; or how it ended."""
    parts = [
        Content.styled(run_status(run.status), RUN_COLOURS.get(run.status, "")),
        Content(f" run {run.id} "),
        safe(run.category, one_line=True, limit=30),
    ]
    if run.status == "running":
        parts.append(Content(" · preparing the base model" if run.preparing else f" · {run.stage} "))
        if run.stage == "training" and run.total_steps > 0:
            from tui.figures import brief, told_left  # nothing that the first frame needs

            share = min(1.0, run.step / run.total_steps)
            parts.append(Content.assemble((bar(share, _BAR), "$text-primary"), f" {run.step}/{run.total_steps}"))
            parts.append(Content(_remaining(run, share, now, told_left(run, latest))))
            parts += [Content(f" · {text}") for text in brief(latest)]
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


def _remaining(run: RunRow, share: float, now: float, told: float | None) -> str:
    if told is not None:
        return f" · {time_left(told)}"
    if run.started_at is None or run.step < 2:
        return ""
    spent = max(0.0, now - run.started_at)
    return f" · {time_left(spent * (1 - share) / share)}" if 0 < share < 1 else ""
