"""The list of hard negatives as a tree: patterns that open and close, worst first, whatever their number."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message

from tui.hard.items import HardList
from tui.hard.tree import Branch, HardTree, Leaf
from tui.hard.words import MARKS, mark_of
from tui.text import safe
from tui.widgets.virtual_table import VirtualTable
from tui.words import percent

_WORD = 12


class PatternTree(VirtualTable[Branch | Leaf], inherit_bindings=False):
    """`show_tree(tree)` draws its lines; a pattern opens and closes by enter, by a click, or by the arrow keys."""

    # Of two bindings of one key the inherited one would win, and the footer would not show enter.
    BINDINGS: ClassVar[list[BindingType]] = [
        *(each for each in VirtualTable.BINDINGS if not (isinstance(each, Binding) and each.key == "enter")),
        Binding("enter", "choose", "Open", id="hard.open", tooltip="Open a pattern, or an event in Review"),
        Binding("right,l", "turn(True)", "Unfold", show=False, id="hard.unfold", tooltip="Show what is in a pattern"),
        Binding("left,h", "turn(False)", "Fold", show=False, id="hard.fold", tooltip="Close it, or go to its pattern"),
        Binding("g", "first", "First", show=False, id="hard.first", tooltip="To the first line"),
    ]

    class Turned(Message):
        """A pattern was opened or closed."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(self._lines, self._draw_line, id=id, classes=classes)
        self.shown = HardTree(HardList(""))

    def _lines(self, ids: Sequence[int]) -> Mapping[int, Branch | Leaf]:
        return self.shown.lines(ids)

    def _draw_line(self, line: Branch | Leaf, width: int) -> Content:
        return branch_line(line, opened=self.shown.is_open(line)) if isinstance(line, Branch) else leaf_line(line)

    def show_tree(self, tree: HardTree, *, current: int | None = None) -> None:
        """Replace the lines; the cursor stays on `current` (default: where it is), else on its pattern, else on the
        place where it stood."""
        wanted = self.current if current is None else current
        known = set(tree.order)
        if wanted is not None and wanted not in known:
            branch = tree.branch_of(wanted)
            near = tree.order[min(self.cursor, len(tree.order) - 1)] if tree.order else None
            wanted = branch.line if branch is not None else near
        row = self.cursor - self.scroll_offset.y
        self.shown = tree
        self.show(array("q", tree.order), current=wanted)
        # What is under the cursor stays on its row of the screen; what fits on the first page is shown from the top.
        top = 0 if self.cursor < self.size.height else max(0, self.cursor - row)
        self.scroll_to(y=top, animate=False, immediate=True)

    @property
    def branch(self) -> Branch | None:
        """The pattern under the cursor, or that of the event under it."""
        return self.shown.branch_of(self.current)

    def action_turn(self, opened: bool) -> None:
        """Open or close the pattern under the cursor; on an event, closing goes to its pattern."""
        branch = self.branch
        if branch is None:
            return
        if self.current != branch.line:
            if not opened:
                self.go_to(branch.line)
            return
        if self.shown.is_open(branch) is not opened:
            self.show_tree(self.shown.turned(branch, opened=opened), current=branch.line)
            self.post_message(self.Turned())

    def action_choose(self) -> None:
        """Open or close a pattern, or open an event."""
        branch = self.shown.branches.get(self.current or 0)
        if branch is None:
            super().action_choose()
        else:
            self.action_turn(not self.shown.is_open(branch))

    def on_click(self, event: events.Click) -> None:
        """One click is enough to open a pattern."""
        index = event.y + self.scroll_offset.y
        if 0 <= index < len(self.ids) and self.ids[index] in self.shown.branches and index != self.cursor:
            event.prevent_default()
            self.cursor = index
            self.action_choose()


def branch_line(branch: Branch, *, opened: bool) -> Content:
    """How many, how much of it is corrected, what came back, and what goes wrong."""
    share = branch.corrected / len(branch.members)
    again = branch.failed_again
    return Content.assemble(
        (f"{'▾' if opened else '▸'} {len(branch.members):>5,} ", "bold"),
        (f"✎ {percent(share):>5}  ", "$text-primary" if share else "$text-muted"),
        (f"↺ {again}  ", "$text-warning") if again else "",
        safe(branch.pattern.name, one_line=True, limit=200),
    )


def leaf_line(leaf: Leaf) -> Content:
    """Where it stands by glyph and word, how hard it is, whether it is wished for, and what was asked."""
    word = mark_of(leaf.negative)
    glyph, colour = MARKS[word]
    return Content.assemble(
        "   " if leaf.indented else "",
        (f"{glyph} {word:<{_WORD}} ", colour),
        f"{leaf.negative.difficulty:.2f} ",
        ("+ ", "bold $text-accent") if leaf.pinned else "  ",
        safe(leaf.prompt, one_line=True, limit=200),
    )
