"""The first screen: what there is of each category, what runs, and what to do next."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import get_current_worker

from tui.overview import Overview, read_overview
from tui.screens.base import BaseScreen
from tui.widgets.category_card import category_card, recent_runs
from tui.widgets.empty import Empty
from tui.widgets.progress_line import ProgressLine, bar
from tui.words import counted

_NOTHING = (
    ("d", "load the demonstration: answers of a tiny model, with feedback"),
    ("", ""),
    ("", "Then, one after the other:"),
    ("2", "Review: say which answers are good, and correct others"),
    ("3", "Train: a new version learns from it, in a minute or two"),
    ("4", "Scoreboard: is it better? p puts it into production"),
    ("", ""),
    ("", "Your own outputs come in with: finetune-tui record"),
    ("?", "what every key does, on every screen"),
)


_AROUND_CARD = 8
"""Columns that margins, borders and the scrollbar's gutter take on both sides of a category's card."""


class SeedProgress(Message):
    """How much of the demonstration's feedback has been recorded."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__()
        self.done = done
        self.total = total

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SeedProgress)


class _Left(Exception):
    """The app is closing; what was recorded until then stays."""


class DashboardScreen(BaseScreen):
    """Categories with their figures, the running job, the last runs."""

    MODE = "dashboard"
    HELP = "dashboard"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "review", "Review", id="dashboard.review", tooltip="Review the category under the cursor"),
        # The advice names keys of the scoreboard; here they lead there.
        Binding("a,p", "open('scoreboard')", "Scoreboard", show=False, id="dashboard.test", tooltip="Compare, promote"),
        Binding("t", "train", "Train", id="dashboard.train", tooltip="Train a new version"),
        Binding("d", "demonstration", "Demonstration", id="dashboard.demo", tooltip="Load the feedback that ships"),
        Binding("j", "cursor(1)", "Next", show=False, id="dashboard.next", tooltip="Next category"),
        Binding("k", "cursor(-1)", "Previous", show=False, id="dashboard.previous", tooltip="Category before"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._overview: Overview | None = None
        self._names: list[str] = []

    def compose_body(self) -> ComposeResult:
        yield Empty("Nothing has been recorded here yet.", _NOTHING, id="nothing")
        yield Empty("Recording the demonstration…", id="loading_seed")
        with Vertical(id="body", classes="full"):
            yield OptionList(id="categories", classes="pane", markup=False)
            yield ProgressLine(id="job")
            yield Static(id="runs", classes="pane")

    def on_mount(self) -> None:
        self.query_one("#categories").border_title = "Categories"
        self.query_one("#runs").border_title = "Recent runs"
        self.query_one("#categories").focus()

    def refresh_data(self) -> None:
        """Read the figures again, one reading at a time."""
        home = self.home
        self.in_background(
            lambda: read_overview(home),
            group="overview",
            description="reading the dashboard's figures",
            then=self._show,
            failed=self._failed if self._overview is None else None,
            pane=self.query_one("#categories") if self._overview is None else None,
            in_turn=True,
        )

    def _failed(self, error: BaseException) -> None:
        self.query_one("#nothing", Empty).show("The figures cannot be read.", [("", str(error))])
        self.add_class("-empty")

    def _show(self, overview: Overview) -> None:
        self._overview = overview
        self.set_class(overview.empty, "-empty")
        if overview.empty:
            self.query_one("#nothing", Empty).show("Nothing has been recorded here yet.", _NOTHING)
        self._show_categories(overview)
        self.set_class(overview.active is not None, "-at-work")
        self.query_one("#job", ProgressLine).show(overview.active, now=time.time(), latest=overview.figures)
        recent = recent_runs(overview.recent, now=overview.read_at, left=overview.figures.get("eta_seconds"))
        self.query_one("#runs", Static).update(recent)
        self.refresh_bindings()

    def _show_categories(self, overview: Overview) -> None:
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
        empty = self._overview is not None and self._overview.empty
        if action == "demonstration":
            return empty and not self.has_class("-seeding")
        if action in ("review", "train", "open", "cursor"):
            return not empty
        return True

    def action_cursor(self, lines: int) -> None:
        """Move between categories."""
        table = self.query_one("#categories", OptionList)
        if lines > 0:
            table.action_cursor_down()
        else:
            table.action_cursor_up()

    async def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        await self.action_review()

    async def action_review(self) -> None:
        """Open the review of the category under the cursor."""
        self.finetune.review_category = self._chosen
        await self.app.switch_mode("review")

    async def action_train(self) -> None:
        """Open the form of a new run for the category under the cursor."""
        self.finetune.train_category = self._chosen
        await self.app.switch_mode("train")

    @property
    def _chosen(self) -> str | None:
        at = self.query_one("#categories", OptionList).highlighted
        return self._names[at] if at is not None and at < len(self._names) else None

    async def action_open(self, mode: str) -> None:
        """Open another screen."""
        await self.app.switch_mode(mode)

    def action_demonstration(self) -> None:
        """Record the shipped feedback into this home."""
        self.add_class("-seeding")
        self.refresh_bindings()
        home = self.home

        def load() -> int:
            from core.demo import load_seed

            worker = get_current_worker()

            def progress(done: int, total: int) -> None:
                if worker.is_cancelled:
                    raise _Left
                self.post_message(SeedProgress(done, total))

            return load_seed(home, progress)

        self.in_background(
            load,
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
        self.finetune.tell(
            f"{counted(count, 'output')} with feedback. Next: r reviews what is open, t trains a version.",
            title="Loaded",
        )
        self.refresh_data()

    def _seed_failed(self, error: BaseException) -> None:
        self.remove_class("-seeding")
        self.finetune.report(error, "loading the demonstration")
        self.refresh_data()
