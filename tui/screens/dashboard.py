"""The first screen: what there is of each category, what runs, and what to do next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from core.first_steps import turn
from tui.demonstration import SeedProgress, load_demonstration
from tui.screens.base import BaseScreen
from tui.tabs import key_of
from tui.widgets.empty import Empty
from tui.widgets.guide_line import GuideLine
from tui.widgets.progress_line import ProgressLine, bar
from tui.widgets.search_at_work import SearchAtWork

if TYPE_CHECKING:
    from core.paths import Home
    from tui.overview import Overview, Trends

_NOTHING = (
    ("d", "load the demonstration: answers of a tiny model, with feedback"),
    ("i", "import a file of your own: chats, ratings, datasets"),
    ("", ""),
    ("", "Then, one after the other:"),
    (key_of("review"), "Review: say which answers are good, and correct others"),
    (key_of("rank"), "Rank: say which of two answers is better"),
    (key_of("train"), "Train: a new version learns from it, in a minute or two"),
    (key_of("scoreboard"), "Scoreboard: is it better? p puts it into production"),
    ("", ""),
    ("?", "what every key does, on every screen"),
)


_AROUND_CARD = 8
"""Columns that margins, borders and the scrollbar's gutter take on both sides of a category's card."""


def _read(home: Home, trends: Trends | None) -> tuple[Overview, Trends]:
    # Imported here, in the thread, so that the first frame does not wait for it.
    from tui.overview import Trends, read_overview

    kept = trends or Trends()
    return read_overview(home, kept), kept


class DashboardScreen(BaseScreen):
    """Categories with their figures, the running job, the last runs."""

    MODE = "dashboard"
    HELP = "dashboard"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n,enter", "next", "Do next", id="dashboard.do", tooltip="Go where the category's next step is done"),
        Binding("r", "review", "Review", id="dashboard.review", tooltip="Review the category under the cursor"),
        # The advice names keys of the scoreboard; here they lead there.
        Binding("a,p", "open('scoreboard')", "Scoreboard", show=False, id="dashboard.test", tooltip="Compare, promote"),
        Binding("t", "train", "Train", id="dashboard.train", tooltip="Train a new version"),
        Binding("i", "import", "Import", id="dashboard.import", tooltip="Take in a file of chats, ratings or examples"),
        Binding("d", "demonstration", "Demonstration", id="dashboard.demo", tooltip="Load the feedback that ships"),
        Binding("G", "guide", "Guide", show=False, id="dashboard.guide", tooltip="Show or hide the first steps"),
        Binding("j", "cursor(1)", "Next", show=False, id="dashboard.next", tooltip="Next category"),
        Binding("k", "cursor(-1)", "Previous", show=False, id="dashboard.previous", tooltip="Category before"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._overview: Overview | None = None
        self._trends: Trends | None = None
        self._names: list[str] = []

    def compose_body(self) -> ComposeResult:
        yield Empty("Nothing has been recorded here yet.", _NOTHING, id="nothing")
        yield Empty("Recording the demonstration…", id="loading_seed")
        with Vertical(id="body", classes="full"):
            categories = OptionList(id="categories", classes="pane", markup=False)
            categories.border_title = "Categories"  # here already, so that the first frame has it
            yield categories
            yield ProgressLine(id="job")
            yield SearchAtWork(self.home, id="searching")
            recent = Static(id="runs", classes="pane")
            recent.border_title = "Recent runs"
            yield recent

    def on_mount(self) -> None:
        self.query_one("#categories").focus()

    def refresh_data(self) -> None:
        """Read the figures again, one reading at a time."""
        home, trends = self.home, self._trends
        self.in_background(
            lambda: _read(home, trends),
            group="overview",
            description="reading the dashboard's figures",
            then=self._show,
            failed=self._failed if self._overview is None else None,
            pane=self.query_one("#categories") if self._overview is None else None,
            in_turn=True,
        )

    def _failed(self, error: BaseException) -> None:
        lines = [
            ("", str(error)),
            ("^l", "shows what happened"),
            (key_of("settings"), "opens Settings: its doctor looks for what is wrong"),
        ]
        self.query_one("#nothing", Empty).show("The figures cannot be read.", lines)
        self.add_class("-empty")
        self.refresh_bindings()

    def _show(self, read: tuple[Overview, Trends]) -> None:
        from tui.widgets.category_card import recent_runs

        overview, self._trends = read
        self._overview = overview
        self.set_class(overview.empty, "-empty")
        if overview.empty:
            self.query_one("#nothing", Empty).show("Nothing has been recorded here yet.", _NOTHING)
        self._show_categories(overview)
        if self.focused is None:  # it was hidden while there was nothing
            self.query_one("#categories").focus()
        self.set_class(overview.active is not None, "-at-work")
        self.query_one("#job", ProgressLine).show(overview.active, now=time.time(), latest=overview.figures)
        recent = recent_runs(overview.recent, now=overview.read_at, left=overview.figures.get("eta_seconds"))
        self.query_one("#runs", Static).update(recent)
        self.refresh_bindings()

    def _show_categories(self, overview: Overview) -> None:
        from tui.widgets.category_card import category_card

        table = self.query_one("#categories", OptionList)
        names = [one.counts.category for one in overview.categories]
        width = self.size.width - _AROUND_CARD  # the list itself has no size before it is first shown
        cards = [category_card(one, now=overview.read_at, width=width) for one in overview.categories]
        if names != self._names:
            at = table.highlighted or 0
            self._names = names
            table.set_options([Option(card) for card in cards])
            table.highlighted = min(at, len(names) - 1) if names else None
            return
        for index, card in enumerate(cards):
            table.replace_option_prompt_at_index(index, card)

    def on_resize(self) -> None:
        if self._overview is not None:
            self.call_after_refresh(self._show_categories, self._overview)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "demonstration":
            empty = self._overview is not None and self._overview.empty
            return empty and not self.has_class("-seeding")
        if action in ("next", "review", "train", "open", "cursor"):
            return not self.has_class("-empty")
        return True

    def action_cursor(self, lines: int) -> None:
        """Move between categories."""
        table = self.query_one("#categories", OptionList)
        if lines > 0:
            table.action_cursor_down()
        else:
            table.action_cursor_up()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_next()

    def action_next(self) -> None:
        """Go where what the category needs next is done."""
        at = self.query_one("#categories", OptionList).highlighted
        if self._overview is None or at is None or at >= len(self._overview.categories):
            return
        one = self._overview.categories[at]
        if one.place == self.MODE:
            self.action_import()
        else:
            self.finetune.open(one.place, category=one.counts.category)

    def action_import(self) -> None:
        """Ask for a file and take it in."""
        from core.categories import load_categories
        from core.config import load_config
        from tui.screens.import_file import ImportScreen

        known = sorted({*self._names, *load_categories(self.home)})
        base = load_config(self.home).train.base_model
        self.app.push_screen(ImportScreen(self._chosen or "", known, base), lambda _: self.refresh_data())

    def on_screen_suspend(self) -> None:
        """The guide ends where its last word was read."""
        super().on_screen_suspend()
        if self.query_one(GuideLine).over:
            self.on_guide_line_ended()

    def action_guide(self) -> None:
        """Lead through the first steps, or stop that."""
        self.finetune.write(turn, doing="turning the guide", then=lambda _: self.read_guide())

    def action_review(self) -> None:
        """Open the review of the category under the cursor."""
        self.finetune.open("review", category=self._chosen)

    def action_train(self) -> None:
        """Open the form of a new run for the category under the cursor."""
        self.finetune.open("train", category=self._chosen)

    @property
    def _chosen(self) -> str | None:
        at = self.query_one("#categories", OptionList).highlighted
        return self._names[at] if at is not None and at < len(self._names) else None

    def action_open(self, mode: str) -> None:
        """Open another screen."""
        self.finetune.open(mode)

    def action_demonstration(self) -> None:
        """Record the shipped feedback into this home."""
        self.add_class("-seeding")
        self.refresh_bindings()
        home = self.home
        self.in_background(
            lambda: load_demonstration(home, self.post_message),
            group="seed",
            description="loading the demonstration",
            then=self._seeded,
            failed=self._seed_failed,
        )

    def on_seed_progress(self, event: SeedProgress) -> None:
        share = event.done / max(1, event.total)
        self.query_one("#loading_seed", Empty).show(
            "Recording the demonstration…", [("", f"{bar(share, 30)} {event.done} of {event.total}")]
        )

    def _seeded(self, count: int) -> None:
        self.remove_class("-seeding")
        self.refresh_data()
        self.read_guide()

    def _seed_failed(self, error: BaseException) -> None:
        self.remove_class("-seeding")
        self.finetune.report(error, "loading the demonstration")
        self.refresh_data()
