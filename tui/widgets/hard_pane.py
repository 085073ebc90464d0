"""The pane beside the tree: one hard negative, or a pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.hard.items import HardItem
from tui.hard.jobs import HardJobs
from tui.hard.tree import Branch, HardTree
from tui.text import safe
from tui.widgets.hard_view import again_content, branch_content, item_content, item_title

if TYPE_CHECKING:
    from core.standing import Standing

_WORST = 5


class HardPane(VerticalScroll):
    """Draws from the top when something else is shown; the same thing again stays where it was scrolled to."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._shown: int | None = None

    def compose(self) -> ComposeResult:
        yield Static()

    def show_item(
        self, item: HardItem, standing: Standing | None, jobs: HardJobs, *, now: float, pinned: bool, has_draft: bool
    ) -> None:
        """Draw one hard negative; `now` in seconds since the epoch."""
        again = _again(jobs, item.event.id)
        content = item_content(item, standing, now=now, pinned=pinned, has_draft=has_draft, again=again)
        self._draw(item.event.id, item_title(item), content)

    def show_branch(self, branch: Branch, tree: HardTree, *, now: float) -> None:
        """Draw a pattern."""
        failures = tree.found.failures or {}
        worst = [(one.event_id, failures[one.event_id].prompt) for one in branch.members[:_WORST]]
        compared_by = tree.patterns.compared_by if tree.patterns is not None else ""
        title = safe(branch.pattern.name, one_line=True, limit=80)
        self._draw(branch.line, title, branch_content(branch, worst, compared_by, now))

    def show_text(self, line: int, text: str) -> None:
        """Draw what is to be said of a line instead."""
        self._draw(line, Content(""), safe(text, "$text-muted"))

    def turn(self, pages: int) -> None:
        """Scroll by pages, with two lines kept in sight."""
        self.scroll_relative(y=pages * max(1, self.size.height - 2), animate=False)

    def _draw(self, line: int, title: Content, content: Content) -> None:
        self.query_one(Static).update(content)
        self.border_title = title
        if line != self._shown:
            self.scroll_home(animate=False)
        self._shown = line


def _again(jobs: HardJobs, event_id: int) -> Content | None:
    job, given = jobs.job, jobs.given.get(event_id)
    if job is not None and job.kind == "answering" and event_id in job.event_ids:
        return again_content(job.version, job.text, "", running=True)
    return None if given is None else again_content(given.version, given.text, given.ended, running=False)
