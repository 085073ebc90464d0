"""The line above the review queue, and what stands in place of an empty one."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from tui.review_queue import Choice
from tui.review_session import Figures
from tui.text import safe
from tui.words import number


def status_line(choice: Choice, cursor: int, total: int, figures: Figures, note: str = "") -> Content:
    """Position, what was just done, what is shown (with the keys that change it), and the session's figures."""
    parts = [Content.assemble((f"{min(cursor + 1, total):,}", "bold"), f" of {total:,}")]
    parts.append(Content.assemble(("f ", "$text-accent"), choice.filter))
    order = "newest" if choice.text and choice.order == "informative" else choice.order
    parts.append(Content.assemble(("o ", "$text-accent"), order))
    category = safe(choice.category, one_line=True, limit=30) if choice.category else Content("all categories")
    parts.append(Content.assemble(("a ", "$text-accent"), category))
    if choice.text:
        parts.append(Content.assemble(("/ ", "$text-accent"), safe(choice.text, "italic", one_line=True, limit=40)))
    if figures.count:
        speed = f" · {number(figures.per_minute)} per minute" if figures.count > 1 else ""
        parts.append(Content.styled(f"{figures.count:,} done{speed}", "$text-success"))
    if note:
        parts.insert(1, safe(note, "bold $text-warning", one_line=True, limit=60))
    return Content("   ").join(parts)


def nothing_here(choice: Choice, *, anything: bool) -> tuple[str, Sequence[tuple[str, str]]]:
    """Title and lines for an empty queue; `anything` tells whether the store holds events at all."""
    if not anything:
        return "Nothing to review yet.", (("1", "the dashboard; d there loads the demonstration"),)
    if choice.text:
        return f"Nothing has the words: {choice.text}", (("esc", "clears the search"), ("f", "searches other verdicts"))
    lines = [("f", "shows others: all, good, bad, …")]
    if choice.category:
        lines.append(("a", "goes to the next category"))
    if choice.filter == "pending":
        lines.append(("3", "trains on what you have judged"))
        return "Everything is reviewed.", lines
    return f"Nothing is marked {choice.filter}.", lines
