"""Looking through what the model fails on: patterns as a tree, the worst first, and one of them in full."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import Static

from tui.hard.correcting import Correcting
from tui.hard.items import HardItem, read_item
from tui.hard.jobs import HardJobs
from tui.hard.loader import HardLoader
from tui.hard.status import nothing_here, status_line
from tui.hard.tree import FILTERS
from tui.review.standing_loader import StandingLoader
from tui.screens.base import BaseScreen
from tui.widgets.empty import Empty
from tui.widgets.hard_pane import HardPane
from tui.widgets.pattern_tree import PatternTree
from tui.widgets.search_line import SearchLine
from tui.widgets.virtual_table import VirtualTable


class HardBrowseScreen(BaseScreen):
    """The tree on the left or on top, what is under the cursor beside or below it."""

    MODE = "hard"
    HELP = "hard"
    _jobs: HardJobs
    _correcting: Correcting
    DEFAULT_CSS = """
    HardBrowseScreen #panes { height: 1fr; layout: horizontal; }
    HardBrowseScreen.-narrow #panes { layout: vertical; }
    HardBrowseScreen #tree { width: 1fr; height: 1fr; }
    HardBrowseScreen.-narrow #tree { width: 1fr; height: 2fr; }
    HardBrowseScreen #detail { width: 1fr; height: 1fr; }
    HardBrowseScreen.-narrow #detail { width: 1fr; height: 3fr; }
    HardBrowseScreen #search { display: none; }
    HardBrowseScreen #status { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    HardBrowseScreen #nothing { display: none; }
    HardBrowseScreen.-empty #panes { display: none; }
    HardBrowseScreen.-empty #nothing { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[int, HardItem] = {}
        self._note = ""
        self._at: int | None = None
        self._can: tuple[bool, ...] = ()

    def compose_body(self) -> ComposeResult:
        yield Static(id="status")
        yield SearchLine(placeholder="words of prompt, note or pattern; enter keeps, esc clears", id="search")
        with Container(id="panes"):
            yield PatternTree(id="tree", classes="pane")
            yield HardPane(id="detail", classes="pane")
        yield Empty(id="nothing")

    def on_mount(self) -> None:
        self._tree = self.query_one(PatternTree)
        self._loader = HardLoader(self, self._tree, self._show, self._show_failure)
        self._standing = StandingLoader(self, self._show_current)
        self._tree.border_title = "Patterns"

    # What is shown.

    def refresh_data(self) -> None:
        """Read again; another screen may ask for a category."""
        asked = self.take_asked().get("category")
        if isinstance(asked, str) and asked:
            self._loader.category = asked
        self._loader.read(force=False)

    def on_screen_resume(self) -> None:
        self._loader.try_again()

    def state(self) -> Mapping[str, Any]:
        tree = self._tree.shown
        opened = sorted(tree.opened)
        return {"category": self._loader.category, "filter": tree.filter, "opened": opened, "line": self._tree.current}

    def restore(self, state: Mapping[str, Any]) -> None:
        wanted, opened, line = state.get("filter"), state.get("opened"), state.get("line")
        self._loader.category = str(state.get("category") or "")
        self._loader.start_at(line if isinstance(line, int) and line > 0 else None)
        self._tree.shown = self._tree.shown.again(
            filter=wanted if isinstance(wanted, str) and wanted in FILTERS else None,
            opened=[str(each) for each in opened] if isinstance(opened, list) else None,
        )

    def copyable(self) -> str:
        """The answer that was given again, else the correction or the answer; of a pattern its name."""
        item = self._item
        if item is None:
            branch = self._tree.branch
            return branch.pattern.name if branch is not None else ""
        given = self._jobs.given.get(item.event.id)
        return given.text if given is not None else item.event.correction or item.event.response

    @property
    def _item(self) -> HardItem | None:
        return self._items.get(self._tree.current or 0)

    def _show(self) -> None:
        tree = self._tree.shown
        self._items.clear()
        empty = not tree.order
        self.set_class(empty, "-empty")
        if empty:
            self.query_one("#nothing", Empty).show(*nothing_here(tree.found, tree))
        elif self.focused is None:
            self._tree.focus()  # not before: what still loads takes no focus
        self._show_status()
        self._read_item()
        self.refresh_keys()

    def _show_failure(self, error: BaseException) -> None:
        self.set_class(True, "-empty")
        lines = [("", str(error)), ("a", "tries again")]
        self.query_one("#nothing", Empty).show("The hard negatives cannot be read.", lines)

    def _show_status(self, note: str | None = None) -> None:
        self._note = self._note if note is None else note
        line = status_line(self._tree.shown, self._jobs.job, self._note, patterns_come=self._loader.patterns_come)
        self.query_one("#status", Static).update(line, layout=False)

    def on_virtual_table_moved(self, event: VirtualTable.Moved) -> None:
        if event.item_id != self._at:
            self._at, self._note = event.item_id, ""
            self.refresh_keys()
        self._show_status()
        self._read_item()

    def _read_item(self) -> None:
        """The one under the cursor, unless it was read; of several that were passed over only the last is read."""
        found, home = self._tree.shown.found, self.home
        negative = self._tree.shown.leaves.get(self._tree.current or 0)
        self._show_current()
        if negative is not None and negative.event_id not in self._items:
            self.in_background(
                lambda: read_item(home, found, negative),
                group="hard.item",
                description="reading the event",
                then=partial(self._keep_item, negative.event_id),
                in_turn=True,
            )

    def _keep_item(self, event_id: int, item: HardItem | None) -> None:
        if item is not None:
            self._items[event_id] = item
        elif event_id == self._tree.current:
            self.query_one(HardPane).show_text(event_id, "It was removed meanwhile.")
        self._show_current()
        self.refresh_keys()

    def _show_current(self) -> None:
        pane, item, tree = self.query_one(HardPane), self._item, self._tree.shown
        branch = tree.branches.get(self._tree.current or 0)
        if branch is not None:
            pane.show_branch(branch, tree, now=time.time())
        elif item is not None:
            self._standing.want(item.event.category)
            pane.show_item(
                item,
                self._standing.of(item.event),
                self._jobs,
                now=time.time(),
                pinned=item.event.id in tree.found.pinned,
                has_draft=self._correcting.has_draft(item.event.id),
            )

    def refresh_keys(self) -> None:
        """Show which keys do something here, where that has changed: the footer is made anew for it, which takes as
        long as all the rest of a move."""
        can = tuple(
            bool(self.check_action(action, (wanted,)))
            for action in ("correct", "again", "test", "stop", "filter", "pin")
            for wanted in (True, False)
        )
        if can != self._can:
            self._can = can
            self.refresh_bindings()

    # Finding.

    def action_filter(self) -> None:
        """The next filter."""
        self._loader.keep_none()
        tree = self._tree.shown
        self._tree.show_tree(tree.again(filter=tree.following_filter(), kept=()))
        self._show()

    def action_category(self) -> None:
        """The next category that has events; where none could be read, try again."""
        names = self._tree.shown.found.categories
        if names:
            at = names.index(self._loader.category) if self._loader.category in names else -1
            self._loader.open(names[(at + 1) % len(names)])
        else:
            self._loader.read(force=True)

    def action_search(self) -> None:
        """Open the line that searches."""
        line = self.query_one(SearchLine)
        line.display = True
        self.set_focus(line)

    def on_search_line_typed(self, event: SearchLine.Typed) -> None:
        if self._tree.shown.text != event.text:
            self._tree.show_tree(self._tree.shown.searched(event.text))
            self._show()

    def on_input_submitted(self) -> None:
        self.set_focus(self._tree)

    def action_back(self) -> None:
        """From the search or the pane back to the tree."""
        line = self.query_one(SearchLine)
        line.value = ""
        self.set_focus(self._tree)
        line.display = False

    def action_scroll(self, pages: int) -> None:
        """Read on in the pane."""
        self.query_one(HardPane).turn(pages)
