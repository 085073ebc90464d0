"""Training: the runs, the one that is watched, and the form of a new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import ContentSwitcher

from core.errors import FinetuneError
from storage.rows import RunRow
from tui.runs.actions import RunActions
from tui.runs.base_chooser import BaseChooser
from tui.runs.command import command_of_request, command_of_run
from tui.runs.control import RunControl
from tui.runs.form_filler import FormFiller
from tui.runs.form_outlook import FormOutlook
from tui.runs.keys import TRAIN
from tui.runs.starter import RunStarter
from tui.runs.visits import RunVisits
from tui.runs.watch import RunWatch
from tui.widgets.empty import Empty
from tui.widgets.run_form import RunForm
from tui.widgets.run_list import RunList
from tui.widgets.run_view import RunView


class TrainScreen(RunActions):
    """Runs on the left; on the right the run under the cursor, or the form."""

    MODE = "train"
    HELP = "train"
    BINDINGS: ClassVar[list[BindingType]] = [*TRAIN]
    DEFAULT_CSS = """
    TrainScreen #train-runs { width: 34; }
    TrainScreen.-narrow #train-runs { width: 25; }
    TrainScreen.-first #train-runs { display: none; }
    TrainScreen #train-right { width: 1fr; height: 1fr; }
    """

    def compose_body(self) -> ComposeResult:
        with Horizontal():
            yield RunList(id="train-runs")
            with ContentSwitcher(initial="train-form", id="train-right"):
                yield RunForm(id="train-form")
                yield RunView(id="train-run")
                yield Empty(id="train-fault", classes="pane")

    def on_mount(self) -> None:
        form = self.query_one(RunForm)
        self._outlook = FormOutlook(self, form)
        self._chooser = BaseChooser(self, form)
        self._starter = RunStarter(self, form, self._started)
        self._filler = FormFiller(self, form, self._outlook)
        self._control = RunControl(self)
        self._visits = RunVisits(self, form, self._outlook, self._try)
        self._seen = RunWatch(self, self.query_one(RunList), self.query_one(RunView))

    # -- reading

    @property
    def _form_shown(self) -> bool:
        return self.is_mounted and self.query_one(ContentSwitcher).current == "train-form"

    @property
    def in_front(self) -> RunRow | None:
        """The run that is in front."""
        return None if self._form_shown else self._seen.run

    def on_screen_resume(self) -> None:
        """What can be trained on may have grown meanwhile; another screen may have asked for a run or a new one."""
        self._heed()
        self._filler.read()
        self._chooser.look()

    def _heed(self) -> None:
        asked = self.take_asked()
        if isinstance(run := asked.get("run"), int):
            self._seen.want(run)
        if isinstance(category := asked.get("category"), str):
            self._seen.asked = True
            self._filler.want(category)

    def refresh_data(self) -> None:
        """Read the runs, and what is new of the one that is watched."""
        self._heed()
        self._seen.read(then=self._show_runs, failed=self._show_fault)
        if self._filler.waits:
            self._filler.read()

    def _show_runs(self, *, first: bool) -> None:
        self.set_class(not self._seen.runs, "-first")
        if self._marked not in self._seen.runs:
            self._marked = None
        self._seen.show_list(self._marked)
        if self.query_one(ContentSwitcher).current == "train-fault":
            self.query_one(ContentSwitcher).current = "train-form"
            first = True
        wanted = self._seen.take_wanted()
        if wanted is not None:
            self._open(wanted)
            self.query_one(RunList).focus()
        elif first and (not self._seen.runs or self._seen.asked):
            self.query_one(RunForm).focus_first()
        elif first:
            self._open(self._seen.first)
            self.query_one(RunList).focus()
        self.refresh_bindings()

    def _show_fault(self, error: BaseException) -> None:
        """Where nothing was ever read there is nothing else to show."""
        if self._seen.has_read:
            self.finetune.report(error, "reading the runs")
            return
        message, hint = (error.message, error.hint) if isinstance(error, FinetuneError) else (str(error), "")
        lines = [("", message), ("", hint), ("ctrl+l", "has more of it; they are read again when the store changes")]
        self.query_one("#train-fault", Empty).show("✗ The runs cannot be read", [line for line in lines if line[1]])
        self.query_one(ContentSwitcher).current = "train-fault"

    def _open(self, run_id: int) -> None:
        listed = self.query_one(RunList)
        with listed.prevent(RunList.OptionHighlighted):  # its message would come after a key that opens the form
            listed.select(run_id)
        self._show_run(run_id)

    def _show_run(self, run_id: int) -> None:
        self.query_one(ContentSwitcher).current = "train-run"
        if self._seen.take_up(run_id):
            self.refresh_data()
        self.refresh_bindings()

    def on_run_list_highlighted(self, event: RunList.Highlighted) -> None:
        """Moving along the list shows each run."""
        self._show_run(event.run_id)

    def on_run_list_opened(self, event: RunList.Opened) -> None:
        """Enter shows the run, also from the form."""
        self._show_run(event.run_id)

    # -- what is found again

    def state(self) -> Mapping[str, Any]:
        """The run that is watched, the one that is marked, and the category of the form."""
        return {"run": self._seen.run_id, "marked": self._marked, "category": self._filler.category}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to them, as far as they are there."""
        run, marked, category = (state.get(key) for key in ("run", "marked", "category"))
        if isinstance(run, int):
            self._seen.remember(run)
        self._marked = marked if isinstance(marked, int) else None
        if isinstance(category, str):
            self._filler.remember(category)

    def copyable(self) -> str:
        """The command line that does the same."""
        run = self.in_front
        if run is not None:
            return command_of_run(self.home, run, self._seen.start_name(run))
        return command_of_request(self.home, self.query_one(RunForm).request)

    # -- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done with what is shown."""
        if not self.is_mounted:
            return False
        form_shown = self._form_shown
        if action in ("start", "fit", "samples", "break_off"):
            return form_shown and self._can_with_form(action)
        if action in ("stop", "resume", "cancel", "curve", "log", "mark", "compare"):
            return self.can_with_run(action)
        if action == "new_run":  # before the runs are read the form stands there, and would make room for one of them
            return not form_shown or not (self._seen.has_read or self._seen.asked)
        if action == "searches":
            return self._filler.choices is not None
        if action == "leave":
            return form_shown and bool(self._seen.runs)
        return super().check_action(action, parameters)

    def _can_with_form(self, action: str) -> bool:
        if action == "fit":
            return bool(self._outlook.fit)
        if action == "samples":
            return self._outlook.data is not None and bool(self._outlook.data.items)
        return self._starter.at_work == (action == "break_off")

    def on_run_form_changed(self) -> None:
        """A new category brings its own base model; the consequences follow when the typing rests."""
        self._filler.follow()
        self._outlook.settle()

    def action_new_run(self) -> None:
        """Open the form; what it would train on is counted anew."""
        self._seen.asked = True  # who opens the form before the runs were read stays in it
        self._seen.take_wanted()
        self._outlook.forget()
        self.query_one(ContentSwitcher).current = "train-form"
        self.query_one(RunForm).focus_first()
        self._outlook.work_out()
        self.refresh_bindings()

    def _try(self, category: str, base: str, settings: Mapping[str, Any]) -> None:
        self._filler.fill(category, base, settings)
        self.action_new_run()

    def action_fit(self) -> None:
        """Take the settings that fit into memory."""
        self.query_one(RunForm).apply(self._outlook.fit)

    def action_leave(self) -> None:
        """From the form back to the run that was watched."""
        run_id = self.query_one(RunList).selected_id or max(self._seen.runs)
        self.query_one(RunList).focus()
        self._open(run_id)

    def on_run_form_submitted(self) -> None:
        """The button does what the key does."""
        if self._starter.at_work:
            self._starter.stop()
        else:
            self.action_start()

    def on_base_input_browse(self) -> None:
        """List all base models to choose from."""
        self._chooser.browse()

    def action_start(self) -> None:
        """Start the run that the form describes."""
        request = self.query_one(RunForm).request
        self._starter.start(request, suggested=self._outlook.is_suggested(request))

    def _started(self, run_id: int) -> None:
        self.query_one(RunList).focus()
        self._seen.let_go()
        self._open(run_id)

    def action_break_off(self) -> None:
        """Break off making the base model ready."""
        self._starter.stop()

    def action_samples(self) -> None:
        """Show what would be trained on as the trainer reads it."""
        self._visits.samples()

    def action_searches(self) -> None:
        """Show the searches for hyper-parameters."""
        if self._filler.choices is not None:
            self._visits.searches(self.in_front, self._filler.choices)
