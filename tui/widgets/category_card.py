"""How the dashboard shows one category, and the last runs."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from storage.rows import RunRow
from tui.overview import CategoryOverview
from tui.text import safe
from tui.widgets.event_view import TIER_MARKS
from tui.widgets.progress_line import run_line
from tui.words import ago, number

_BLOCKS = "▁▂▃▄▅▆▇█"
_BAR = 8


def category_card(one: CategoryOverview, *, now: float, width: int) -> Content:
    """Four lines: name and what serves, counts by tier, score trend, next step (wrapped by the widget)."""
    counts = one.counts
    name = Content.assemble(safe(counts.category, "bold", one_line=True, limit=40))
    if one.title:
        name = Content.assemble(name, " ", safe(one.title, "$text-muted", one_line=True, limit=60))
    serving = one.production.name if one.production is not None else "base model"
    right = Content.assemble(
        ("stage ", "$text-muted"), one.stage, ("  serves ", "$text-muted"), safe(serving, one_line=True, limit=40)
    )
    gap = max(2, width - name.cell_length - right.cell_length)
    return Content("\n").join(
        [
            Content.assemble(name, " " * gap, right),
            _tiers(one),
            _trend(one, now, width),
            Content.assemble(("→ ", "bold $text-accent"), safe(one.next_step, one_line=True, limit=300)),
            Content(""),
        ]
    )


def _tiers(one: CategoryOverview) -> Content:
    counts = one.counts
    parts: list[Content] = []
    for tier, count in (
        ("gold", counts.gold),
        ("silver", counts.silver),
        ("bronze", counts.bronze),
        ("rejected", counts.rejected),
    ):
        parts.append(Content.assemble((f"{TIER_MARKS[tier][0]} {tier} ", TIER_MARKS[tier][1]), f"{count:,}"))
    parts.append(Content.assemble((f"{counts.pending:,}", "bold"), (" to review", "$text-muted")))
    return Content("  ").join(parts)


def _trend(one: CategoryOverview, now: float, width: int) -> Content:
    counts = one.counts
    seen = ago(counts.last_at, now)
    if not one.trend:
        return Content.assemble((f"no scores yet · {seen}", "$text-muted"), _until_training(one))
    line = Content.assemble(
        ("score ", "$text-muted"),
        (sparkline(one.trend), "$text-primary"),
        f" {number(one.trend[-1], 0)}",
        _until_training(one),
    )
    for more in (f" · {counts.corrected:,} corrected", f" · {seen}"):
        if line.cell_length + len(more) <= width:
            line = Content.assemble(line, (more, "$text-muted"))
    return line


def _until_training(one: CategoryOverview) -> Content:
    """How far it is to the next training."""
    if not one.enough:
        return Content("")
    share = min(1.0, one.fresh / one.enough)
    filled = int(share * _BAR)
    return Content.assemble(
        ("  next training ", "$text-muted"),
        ("▰" * filled + "▱" * (_BAR - filled), "$text-success" if share >= 1 else "$text-warning"),
        f" {one.fresh:,}/{one.enough}" if share < 1 else f" ready, {one.fresh:,} new",
    )


def sparkline(values: Sequence[float], low: float = 0.0, high: float = 100.0) -> str:
    """One block character for each value between `low` and `high`."""
    steps = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round(steps * max(0.0, min(1.0, (value - low) / (high - low))))] for value in values)


def recent_runs(rows: Sequence[RunRow], *, now: float, left: float | None = None) -> Content:
    """One line for each run, or what to press to get one. `left` is how long the running one estimates to take."""
    if not rows:
        return Content.assemble(
            ("No run yet. ", "$text-muted"), ("t", "bold $text-accent"), " trains the first version."
        )
    told = {} if left is None else {"eta_seconds": left}
    return Content("\n").join([run_line(row, now=now, latest=told) for row in rows])
