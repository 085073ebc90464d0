"""Two answers to one prompt: side by side, stacked, or one in the place of the other; their differences marked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from tui.rank.diff import Compared, compare
from tui.text import safe
from tui.widgets.half import Half, heights

_AT_ONCE = 24_000
"""Texts of so many characters together are compared in a few milliseconds, longer ones in a thread."""


@dataclass(frozen=True, slots=True)
class Side:
    """An answer with what stands in its border: above its `title`, below it a `note`."""

    text: str
    title: str
    note: str = ""


class TwoAnswers(Widget, can_focus=True):
    """`show(prompt, left, right)` draws them; both scroll as one, and lines that belong together stand in one row.

    Where one answer is shown at a time, the other takes its place row by row, so that what differs is seen to move.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll(1)", "Down", show=False, id="answers.down", tooltip="Scroll both answers down"),
        Binding("up,k", "scroll(-1)", "Up", show=False, id="answers.up", tooltip="Scroll both answers up"),
        Binding("pagedown,space", "page(1)", "Page", show=False, id="answers.page", tooltip="One page down"),
        Binding("pageup", "page(-1)", "Page back", show=False, id="answers.back", tooltip="One page up"),
        Binding("home", "end(False)", "Start", show=False, id="answers.start", tooltip="To the first line"),
        Binding("end,G", "end(True)", "End", show=False, id="answers.end", tooltip="To the last line"),
        Binding("d", "difference(1)", "Difference", show=False, id="answers.next", tooltip="To the next difference"),
        Binding(
            "D", "difference(-1)", "Difference", show=False, id="answers.previous", tooltip="To the difference before"
        ),
        Binding("z", "single", "One or both", show=False, id="answers.single", tooltip="One answer at a time, or both"),
        Binding(
            "tab,shift+tab", "flip", "Flip", show=False, id="answers.flip",
            tooltip="The other answer; with both in view to a long prompt, and back",
        ),
    ]  # fmt: skip
    SCOPED_CSS = False  # the screen's width decides whether they stand side by side
    DEFAULT_CSS = """
    TwoAnswers { height: 1fr; width: 1fr; layout: vertical; }
    TwoAnswers #answers-prompt { height: auto; max-height: 30%; scrollbar-size-vertical: 1; }
    TwoAnswers #answers-question { height: auto; }
    TwoAnswers #answers-panes { layout: horizontal; height: 1fr; }
    TwoAnswers Half { width: 1fr; height: 1fr; }
    .-narrow TwoAnswers #answers-panes { layout: vertical; }
    TwoAnswers #answers-note { height: auto; padding: 0 1; color: $text-muted; }
    TwoAnswers.-single Half { display: none; }
    TwoAnswers.-single Half.-front { display: block; }
    """

    def __init__(self, *, id: str | None = None, single: bool = False) -> None:
        super().__init__(id=id)
        self._shown: tuple[str, str, str] | None = None
        self._rows = Compared(())
        self._width = 0
        self._front = 0
        self.set_class(single, "-single")

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="answers-prompt", classes="pane") as prompt:
            prompt.border_title = "Prompt"
            yield Static(id="answers-question")
        with Container(id="answers-panes"):
            for side in (0, 1):
                pane = Half(side, id=f"answers-{('left', 'right')[side]}", classes="pane")
                pane.set_class(side == self._front, "-front")
                yield pane
        yield Static(id="answers-note", classes="hidden")

    def on_mount(self) -> None:
        """However one answer is scrolled, the other follows."""
        left, right = self._panes
        left.partner, right.partner = right, left

    @property
    def single(self) -> bool:
        """Whether one answer is shown at a time."""
        return self.has_class("-single")

    @property
    def front(self) -> str:
        """The text that is in front: of one answer, or of both."""
        if self._shown is None:
            return ""
        both = self._shown[1:]
        return both[self._front] if self.single else "\n\n----\n\n".join(both)

    @property
    def _panes(self) -> tuple[Half, Half]:
        return self.query_one("#answers-left", Half), self.query_one("#answers-right", Half)

    def show(self, prompt: str, left: Side, right: Side) -> None:
        """Draw another two answers, from their beginning. Very long ones are compared in a thread first."""
        for pane, side in zip(self._panes, (left, right), strict=True):
            pane.border_title = safe(side.title, one_line=True)
            pane.border_subtitle = safe(side.note, one_line=True)
        texts = (prompt, left.text, right.text)
        if texts == self._shown:
            return
        self._shown = texts
        self.query_one("#answers-question", Static).update(safe(prompt))
        self.query_one("#answers-prompt").scroll_home(animate=False)
        self._bring(0)
        if len(left.text) + len(right.text) <= _AT_ONCE:
            self._draw(compare(left.text, right.text))
            return
        for pane in self._panes:
            pane.loading = True
        self.run_worker(
            partial(_compared, texts), group="compare", exclusive=True, thread=True, exit_on_error=False,
            description="comparing two answers",
        )  # fmt: skip

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Draw what the thread has found, unless other answers are shown by now."""
        event.stop()
        if event.state is WorkerState.SUCCESS and event.worker.result is not None:
            texts, found = event.worker.result
            if texts == self._shown:
                self._draw(found)
        elif event.state is WorkerState.ERROR and event.worker.error is not None:
            self._draw(Compared(()))
            raise event.worker.error

    def _draw(self, found: Compared) -> None:
        self._rows = found
        self._width = 0
        self._lay_out()
        note = self.query_one("#answers-note", Static)
        note.update(found.note)
        note.set_class(not found.note, "hidden")
        for pane in self._panes:
            pane.loading = False
            pane.scroll_to(y=0, animate=False, force=True)

    def on_half_resized(self) -> None:
        """The rows of both have the height that the longer line needs, at the width that is there now."""
        self._lay_out()

    def _lay_out(self) -> None:
        width = min(pane.text_width for pane in self._panes if pane.display)
        if width > 0 and width != self._width:
            self._width = width
            tops = heights(self._rows.rows, width)
            for pane in self._panes:
                pane.lay_out(self._rows.rows, tops, width)

    def _bring(self, side: int) -> None:
        self._front = side
        for pane in self._panes:
            pane.set_class(pane.side == side, "-front")

    def action_scroll(self, lines: int) -> None:
        """Scroll both answers."""
        pane = self._panes[self._front]
        pane.scroll_to(y=pane.scroll_y + lines, animate=False, force=True)

    def action_page(self, pages: int) -> None:
        """Scroll both answers by pages."""
        self.action_scroll(pages * max(1, self._panes[self._front].size.height - 1))

    def action_end(self, last: bool) -> None:
        """To the first or to the last line."""
        pane = self._panes[self._front]
        pane.scroll_to(y=pane.max_scroll_y if last else 0, animate=False, force=True)

    def action_difference(self, step: int) -> None:
        """Put the next difference, or the one before, into the first row."""
        place = self._panes[self._front].difference(step)
        if place is not None:
            self._panes[self._front].scroll_to(y=place, animate=False, force=True)

    def action_single(self) -> None:
        """One answer at a time in the whole space, or both."""
        self.toggle_class("-single")
        self.call_after_refresh(self._lay_out)

    def action_flip(self) -> None:
        """The other answer in the place of this one; with both in view to the prompt, and back."""
        if self.single:
            at = self._panes[self._front].scroll_y
            self._bring(1 - self._front)
            self.call_after_refresh(self._panes[self._front].follow, at)
            return
        prompt = self.query_one("#answers-prompt")
        (self if prompt.has_focus else prompt).focus()


def _compared(texts: tuple[str, str, str]) -> tuple[tuple[str, str, str], Compared]:
    return texts, compare(texts[1], texts[2])
