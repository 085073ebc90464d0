"""The list of training runs: state by glyph and word, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from storage.rows import RunRow
from tui.text import safe
from tui.widgets.run_lines import place_text
from tui.words import RUN_COLOURS, ago, counted, run_status


class RunList(OptionList):
    """Runs, two lines each. The cursor stays on its run while the list is refreshed under it."""

    DEFAULT_CSS = """
    RunList { height: 1fr; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False, id="runs.down", tooltip="Go to the next run"),
        Binding("k", "cursor_up", "Up", show=False, id="runs.up", tooltip="Go to the previous run"),
        Binding("g", "first", "First", show=False, id="runs.first", tooltip="Go to the newest run"),
        Binding("G", "last", "Last", show=False, id="runs.last", tooltip="Go to the oldest run"),
    ]

    class Highlighted(Message):
        """The cursor moved to a run."""

        def __init__(self, run_id: int) -> None:
            super().__init__()
            self.run_id = run_id

    class Opened(Message):
        """Enter or a click chose a run."""

        def __init__(self, run_id: int) -> None:
            super().__init__()
            self.run_id = run_id

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="pane", markup=False)
        self.border_title = "Runs"
        self._shown: list[tuple[int, Content]] = []

    @property
    def selected_id(self) -> int | None:
        """The run under the cursor."""
        option = self.highlighted_option
        return int(option.id) if option is not None and option.id is not None else None

    def show(
        self,
        runs: Sequence[RunRow],
        *,
        now: float,
        places: Mapping[int, int] = MappingProxyType({}),
        marked: int | None = None,
    ) -> None:
        """Show these runs, those that wait with their `places` in the queue, and the one `marked` to compare with.

        Lines that read the same as before are left alone.
        """
        shown = [(run.id, _prompt(run, now, places.get(run.id, 0), marked=run.id == marked)) for run in runs]
        if [one for one, _ in shown] == [one for one, _ in self._shown]:
            for place, ((_, prompt), (_, before)) in enumerate(zip(shown, self._shown, strict=True)):
                if not prompt.is_same(before):
                    self.replace_option_prompt_at_index(place, prompt)
        else:
            keep = self.selected_id
            with self.prevent(OptionList.OptionHighlighted):
                self.clear_options()
                self.add_options([Option(prompt, id=str(run_id)) for run_id, prompt in shown])
                ids = [run_id for run_id, _ in shown]
                self.highlighted = ids.index(keep) if keep in ids else None
        self._shown = shown
        self.border_subtitle = counted(len(runs), "run") if runs else ""

    def select(self, run_id: int) -> None:
        """Put the cursor on this run, if it is shown."""
        for place, (shown, _) in enumerate(self._shown):
            if shown == run_id:
                self.highlighted = place

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Tell which run the cursor is on."""
        event.stop()
        if event.option_id is not None:
            self.post_message(self.Highlighted(int(event.option_id)))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Tell which run was opened."""
        event.stop()
        if event.option_id is not None:
            self.post_message(self.Opened(int(event.option_id)))


def _prompt(run: RunRow, now: float, place: int, *, marked: bool) -> Content:
    progress = f" {run.step}/{run.total_steps}" if run.status != "finished" and run.total_steps and not place else ""
    pausing = " pausing" if run.status == "running" and run.stop_requested else ""
    return Content.assemble(
        (run_status(run.status), f"{RUN_COLOURS.get(run.status, '')} bold".strip()),
        f" {place_text(place).removesuffix(' in the queue')}" if place else progress,
        pausing,
        (" ◆ marked", "bold $text-accent") if marked else "",
        "\n",
        Content("  "),
        Content(f"{run.id} "),
        safe(run.category),
        (f" · {ago(run.created_at, now)}", "$text-muted"),
    )
