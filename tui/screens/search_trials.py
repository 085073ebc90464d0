"""The newest search for hyper-parameters of a category: its trials, what mattered, and their settings for the form."""

from __future__ import annotations

import time
from array import array
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Static

from core.errors import FinetuneError, NotFoundError
from core.search.study import Trial
from tui.pace import REST
from tui.runs.search import Axis, SearchView, axes_of, parameters, read_search, stamp
from tui.runs.search_control import SearchControl
from tui.runs.search_work import SearchWish, log_of
from tui.screens.run_modal import RunModal, unless_cancelled
from tui.text import safe
from tui.widgets.empty import Empty
from tui.widgets.parallel import ParallelChart, Path
from tui.widgets.trial_lines import head_text, header, importance_text, trial_line
from tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from tui.app import FinetuneApp

_LOOK_SECONDS: Final = 3.0
_SHARED_SECONDS: Final = 20.0
_GROUP: Final = "reading the search"
Choice = tuple[str, str, Mapping[str, Any]]
"""A category, a base model and the settings of a trial."""


class SearchTrialsScreen(RunModal[Choice | None]):
    """Shows the search of the first of `places`, (category, base model) each. Returns the trial to try in the form."""

    AUTO_FOCUS = "#search-trials"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "begin", "Search", id="search.begin", tooltip="Begin a search, or go on with this one"),
        Binding("x", "stop", "Stop", id="search.stop", tooltip="Stop the search; it can be gone on with"),
        Binding("t,enter", "take", "Try", id="search.take", tooltip="Take the trial's settings into the form"),
        Binding(
            "a", "defaults", "Defaults", id="search.defaults", tooltip="The best settings as defaults, or no longer"
        ),
        Binding("c", "category", "Category", id="search.category", tooltip="The search of the next category"),
        Binding("escape,q,h", "dismiss(None)", "Back", id="search.back", tooltip="Back to the runs"),
        Binding("b", "best", "Best", show=False, id="search.best", tooltip="Go to the best trial"),
        Binding("s", "sort", "Sort", show=False, id="search.sort", tooltip="By number, or the best first"),
        Binding("l", "log", "Log", show=False, id="search.log", tooltip="What the search tells"),
        Binding("v", "below", "Paths", id="search.below", tooltip="Show the paths, or what mattered"),
    ]
    DEFAULT_CSS = """
    SearchTrialsScreen #search-head { height: auto; padding: 0 1; }
    SearchTrialsScreen #search-work { height: auto; max-height: 3; padding: 0 1; }
    SearchTrialsScreen #search-table { height: 1fr; }
    SearchTrialsScreen #search-columns { height: 1; text-wrap: nowrap; }
    SearchTrialsScreen #search-below { height: 40%; min-height: 10; }
    SearchTrialsScreen #search-bars-box { width: 34; }
    SearchTrialsScreen #search-paths-box { width: 1fr; }
    SearchTrialsScreen.-narrow #search-bars-box { display: none; width: 1fr; }
    SearchTrialsScreen.-narrow.-bars #search-bars-box { display: block; }
    SearchTrialsScreen.-narrow.-bars #search-paths-box { display: none; }
    SearchTrialsScreen #search-nothing { display: none; }
    SearchTrialsScreen.-nothing #search-nothing { display: block; }
    SearchTrialsScreen.-nothing .found { display: none; }
    """

    def __init__(self, places: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._places = places
        self._at = 0
        self._view: SearchView | None = None
        self._by_value = False
        self._stamp: tuple[tuple[int, int], ...] = ()
        self._read_at = 0.0
        self._rest_until = 0.0
        self._axes: Sequence[Axis] = ()

    def compose(self) -> ComposeResult:
        """The table over the paths and what mattered."""
        yield Static(id="search-head")
        yield Static(id="search-work")
        yield Empty(id="search-nothing")
        with Vertical(id="search-table", classes="found pane") as box:
            box.border_title = "Trials"
            yield Static(header(), id="search-columns")
            yield VirtualTable[Trial](self._fetch, self._line, id="search-trials")
        with Horizontal(id="search-below", classes="found"):
            with Vertical(id="search-paths-box", classes="pane") as paths:
                paths.border_title = "Paths: ★ best, ◆ under the cursor, dots: others"
                yield ParallelChart(id="search-paths")
            with Vertical(id="search-bars-box", classes="pane") as bars:
                bars.border_title = "What mattered"
                yield Static(id="search-bars")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Read now, and again whenever the search has gone on."""
        self._control.look()
        self._changed()
        self._read()
        self.set_interval(_LOOK_SECONDS, self._look)

    @cached_property
    def _control(self) -> SearchControl:
        return SearchControl(self, self._home, self._changed, self._went_wrong)

    def _look(self) -> None:
        if self._control.look():
            self._changed()
        now = time.monotonic()
        due = now - self._read_at > _SHARED_SECONDS and self._view is not None and (self._view.open or self._view.waits)
        if not self.at_work(_GROUP) and now > self._rest_until and (due or stamp(self._home) != self._stamp):
            self._read()

    def _changed(self) -> None:
        line = self._control.line()
        work = self.query_one("#search-work", Static)
        work.update(line)
        work.display = bool(line)
        if not self._control.busy and not self.at_work(_GROUP):
            self._stamp = ()  # what was asked for is done: the next look reads
        self.refresh_bindings()

    def _went_wrong(self, error: BaseException) -> None:
        self._changed()
        self.query_one("#search-work", Static).update(safe(f"✗ {error}", "$text-error", one_line=True))
        self.query_one("#search-work").display = True

    @property
    def _home(self) -> Any:
        return cast("FinetuneApp", self.app).home

    def _read(self) -> None:
        home, (category, base) = self._home, self._places[self._at]
        self._stamp, self._read_at = stamp(home), time.monotonic()
        if self._view is None:
            self.query_one("#search-head", Static).update(safe(f"Reading the search of {category} on {base}…"))
            self.query_one("#search-table").loading = True
        self.in_background(
            lambda: read_search(home, category, base, unless_cancelled()),
            group=_GROUP,
            then=self._take,
            failed=self._fail,
        )

    def _rest(self) -> None:
        """Reading takes a process of its own: it must not keep a core from the trials."""
        now = time.monotonic()
        self._rest_until = now + REST * (now - self._read_at)

    def _take(self, view: SearchView) -> None:
        self._rest()
        self._view = view
        self.remove_class("-nothing")
        self.query_one("#search-table").loading = False
        self.query_one("#search-head", Static).update(head_text(view))
        self.query_one("#search-bars", Static).update(importance_text(view))
        self._show_table()
        best = self._trial(view.best)
        ranked = sorted((one for one in view.trials if one.settings), key=_worth, reverse=True)
        self._axes = axes_of(ranked)
        self.query_one(ParallelChart).show(
            self._axes, [self._path(one) for one in ranked], self._path(best) if best else None
        )
        self._choose(self.query_one(VirtualTable).current)
        self.refresh_bindings()

    def _fail(self, error: BaseException) -> None:
        self._rest()
        self._view = None
        self.query_one("#search-table").loading = False
        self.query_one("#search-head", Static).update("")
        self.add_class("-nothing")
        category, _ = self._places[self._at]
        message = error.message if isinstance(error, FinetuneError) else str(error)
        hint = error.hint if isinstance(error, FinetuneError) else ""
        missing = isinstance(error, NotFoundError)
        if missing:
            said = [("", "Trial after trial finds the training settings that suit your feedback and this model.")]
            said += [("n", "begins one")] if self._control.work is None else []
        else:
            said = [("", message), ("", hint)]
        others = [("c", "shows the search of the next category")] if len(self._places) > 1 else []
        lines = [*said, *others, ("esc", "goes back")]
        title = f"No search of {category} yet" if missing else "✗ The search cannot be shown"
        self.query_one(Empty).show(title, [line for line in lines if line[1]])
        self.refresh_bindings()

    def _show_table(self) -> None:
        assert self._view is not None
        table = self.query_one(VirtualTable)
        trials = sorted(self._view.trials, key=_worth, reverse=True) if self._by_value else self._view.trials
        current = table.current if table.current is not None else self._view.best
        table.show(array("q", (trial.number for trial in trials)), current=current)

    def _fetch(self, ids: Sequence[int]) -> Mapping[int, Trial]:
        wanted = set(ids)
        return {trial.number: trial for trial in (self._view.trials if self._view else ()) if trial.number in wanted}

    def _line(self, trial: Trial, width: int) -> Any:
        return trial_line(trial, best=self._view is not None and trial.number == self._view.best)

    def _trial(self, number: int | None) -> Trial | None:
        return next((one for one in (self._view.trials if self._view else ()) if one.number == number), None)

    def _path(self, trial: Trial) -> Path:
        varied = parameters(trial)
        return [axis.place(varied[axis.name]) if axis.name in varied else None for axis in self._axes]

    def on_virtual_table_moved(self, event: VirtualTable.Moved) -> None:
        """The trial under the cursor stands out among the paths."""
        self._choose(event.item_id)

    def _choose(self, number: int | None) -> None:
        trial = self._trial(number)
        if trial is not None:
            self.query_one(ParallelChart).choose(self._path(trial) if trial.settings else None)

    def on_virtual_table_chosen(self, event: VirtualTable.Chosen) -> None:
        """Enter or a second click on a trial."""
        event.stop()
        self.action_take()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done with the search that is shown."""
        if action == "category":
            return len(self._places) > 1
        if action == "below":
            return self.has_class("-narrow") and self._view is not None
        if action in ("begin", "stop"):
            return self._control.stoppable if action == "stop" else self._control.work is None
        if action in ("take", "best", "sort", "defaults"):
            return self._view is not None and (action not in ("best", "defaults") or self._view.best is not None)
        return True

    def action_begin(self) -> None:
        """Ask how large it should be, and begin."""
        from tui.screens.search_start import SearchStartScreen

        category, base = self._places[self._at]

        def chosen(wish: SearchWish | None) -> None:
            if wish is not None:
                self._control.begin(wish)

        self.app.push_screen(SearchStartScreen(category, base, self._view), chosen)

    def action_stop(self) -> None:
        """Stop the search at work."""
        self._control.stop()

    def action_defaults(self) -> None:
        """The best settings become the category's defaults; where they are, the configured ones hold again."""
        view = self._view
        if view is not None:
            category, base = self._places[self._at]
            self._control.set_defaults(category, base, forget=view.best_is_applied)

    def action_log(self) -> None:
        """All that the search at work, or the last one, has told."""
        from tui.screens.run_log import RunLogScreen

        self.app.push_screen(RunLogScreen("Log of the search", log_of(self._home)))

    def action_take(self) -> None:
        """Hand the settings of the trial to the form."""
        trial = self._trial(self.query_one(VirtualTable).current)
        if trial is not None and trial.settings and self._view is not None:
            self.dismiss((self._view.category, self._view.base, trial.settings))

    def action_best(self) -> None:
        """Go to the best trial."""
        if self._view is not None and self._view.best is not None:
            self.query_one(VirtualTable).go_to(self._view.best)

    def action_sort(self) -> None:
        """Sort by number, or by worth."""
        self._by_value = not self._by_value
        self._show_table()

    def action_category(self) -> None:
        """The next place."""
        self._at, self._view = (self._at + 1) % len(self._places), None
        self.remove_class("-nothing")
        self._read()

    def action_below(self) -> None:
        """The paths, or what mattered, where there is room for one of them."""
        self.toggle_class("-bars")


def _worth(trial: Trial) -> tuple[bool, float, int]:
    return trial.value is not None, trial.value or 0.0, -trial.number
