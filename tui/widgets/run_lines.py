"""One training run in words: the way through its stages, how far it is, and what went wrong."""

from __future__ import annotations

from typing import Final

from textual.content import Content

from storage.rows import RunRow
from tui.tabs import key_of
from tui.text import safe
from tui.widgets.progress_line import bar
from tui.words import RUN_COLOURS, clock, duration, percent, run_status, time_left

STAGES: Final = ("training", "evaluating", "exporting", "proving", "testing", "done")
_ENDED: Final = ("stopped", "failed", "lost")
_BAR: Final = 12


def stage_line(run: RunRow) -> Content:
    """The way of a run with the stage that it is in: `✓ training → ● evaluating → exporting …`."""
    at = STAGES.index(run.stage) if run.stage in STAGES and not run.preparing else -1
    parts: list[Content] = []
    if run.status != "finished":
        status = Content.styled(run_status(run.status), f"bold {RUN_COLOURS.get(run.status, '')}".strip())
        parts += [status, Content("  ")]
    if run.preparing and run.status != "queued":
        parts += [Content.styled("● preparing the base", "bold"), Content.styled(" → ", "$text-muted")]
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


def place_text(place: int) -> str:
    """Where a run stands in the queue, from 1: `next in the queue`, `2nd in the queue`."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(place % 10 if place % 100 not in (11, 12, 13) else 0, "th")
    return "next in the queue" if place == 1 else f"{place}{ending} in the queue"


def progress_text(run: RunRow, left: float | None, place: int = 0) -> Content:
    """How far the run is and how long it still takes, or how it came to its end; `place` is its one in the queue."""
    parts: list[str] = []
    if run.preparing and run.status == "running":
        parts.append("the untouched base model is exported and proved first, once; then it learns")
    elif run.total_steps:
        share = run.step / run.total_steps
        drawn = f"{bar(share, _BAR)} {percent(share)} · " if run.status == "running" and run.stage == "training" else ""
        parts.append(f"{drawn}step {run.step}/{run.total_steps}")
    if run.stop_requested and run.status == "running":
        parts.append("pausing at the next step: it saves, and R goes on from there")
    if left is not None:
        parts.append(time_left(left))
    elif run.started_at is not None and run.finished_at is not None:
        parts.append(f"took {duration(run.finished_at - run.started_at)}")
    if run.status == "queued":
        parts.append(f"waits, {place_text(max(1, place))}: it starts by itself")
    if run.started_at is not None and run.status != "running":
        parts.append(f"started {clock(run.started_at)}")
    if run.status == "finished":
        parts.append(f"{key_of('scoreboard')} shows the verdict, {key_of('models')} the version")
    return Content(" · ".join(parts))


def fault_text(run: RunRow) -> Content:
    """What went wrong and what to do, empty while nothing is wrong."""
    if run.status not in _ENDED:
        return Content("")
    what = run.error or {
        "stopped": "Paused. All that it learned is saved."
        if run.attempts
        else "It waits until somebody starts it: it was taken out of the queue.",
        "lost": "The run's process is gone; what it learned up to its last checkpoint is kept.",
    }.get(run.status, "The run failed without a message.")
    parts = [safe(what, "bold" if run.status == "failed" else "", limit=1_000)]
    go_on = "R goes on where it was, step for step as if it had never paused." if run.attempts else "R starts it."
    parts.append(safe(run.hint or (go_on if run.status == "stopped" else "R goes on from the last checkpoint.")))
    return Content("\n").join(parts)
