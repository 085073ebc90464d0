"""The line above the review queue, and what stands in place of an empty one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from tui.review.queue import Choice
from tui.review.session import ENOUGH_REPEATS, Figures
from tui.tabs import key_of
from tui.text import safe
from tui.words import number, time_left


@dataclass(frozen=True, slots=True)
class Place:
    """Where one stands: the cursor (from 0) in so many events, of which there are `more`; `marked` are marked, and the
    prompt under the cursor has so many `answers`."""

    cursor: int
    total: int
    more: bool = False
    marked: int = 0
    answers: int = 0


def status_line(place: Place, figures: Figures, note: str = "") -> Content:
    """Position, what was just done or is marked, and the sitting's figures, what matters most first."""
    more = "+" if place.more else ""
    parts = [Content.assemble((f"{min(place.cursor + 1, place.total):,}", "bold"), f" of {place.total:,}{more}")]
    if note:
        parts.append(safe(note, "bold $text-warning", one_line=True, limit=120))
    if place.marked:
        parts.append(Content.styled(f"▪ {place.marked:,} marked", "bold $text-accent"))
    if figures.count:
        speed = f" · {number(figures.per_minute)} a minute" if figures.count > 1 else ""
        parts.append(Content.styled(f"{figures.count:,} done{speed}", "$text-success"))
    if figures.asked >= ENOUGH_REPEATS:
        parts.append(Content.styled(f"same verdict {figures.same} of {figures.asked}", "$text-muted"))
    if figures.seconds_left is not None and figures.count > 1 and not place.more:
        parts.append(Content.styled(time_left(figures.seconds_left), "$text-muted"))
    if place.answers > 1:
        parts.append(Content.assemble(("r ", "$text-accent"), f"ranks {place.answers} answers"))
    return Content("   ").join(parts)


def nothing_here(choice: Choice, *, anything: bool, complete: bool = True) -> tuple[str, Sequence[tuple[str, str]]]:
    """Title and lines for an empty queue; `anything` tells whether the store holds events at all, `complete` whether
    all of it was looked through."""
    if not complete:
        return "Nothing among the newest; looking further …", ()
    if not anything:
        return "Nothing to review yet.", ((key_of("dashboard"), "the dashboard; d there loads the demonstration"),)
    lines = [("f", "shows others: all, good, bad, …")]
    if choice.category:
        lines.append(("a", "goes to the next category"))
    lines += [("", error) for error in choice.query.errors]
    if choice.query.searches_text:
        return f"Nothing matches: {choice.query.text}", [("esc", "clears the words"), *lines]
    if choice.query.filter.conditions:
        return f"Nothing matches: {choice.query.text}", [("/", "changes the search"), *lines]
    if choice.filter == "pending":
        lines.append((key_of("train"), "trains on what you have judged"))
        return "Everything is reviewed.", lines
    return "Nothing is here." if choice.filter == "all" else f"Nothing is marked {choice.filter}.", lines
