"""Training: the runs, the one that is watched, and the form of a new one."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import ContentSwitcher

from storage.rows import RESUMABLE, RunRow
from tui.base_chooser import BaseChooser
from tui.form_outlook import FormOutlook
from tui.run_feed import RunsView, read_runs
from tui.run_plan import FormChoices, read_choices
from tui.run_starter import RunStarter
from tui.screens.base import BaseScreen
from tui.widgets.run_form import RunForm
from tui.widgets.run_list import RunList
from tui.widgets.run_view import RunView


class TrainScreen(BaseScreen):
    """Runs on the left; on the right the run under the cursor, or the form."""

    MODE = "train"
    HELP = "train"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new_run", "New run", id="train.new", tooltip="Open the form of a new run"),
        Binding("ctrl+s,t", "start", "Start", id="train.start", tooltip="Start training with what the form says"),
        Binding("f2", "fit", "Make it fit", id="train.fit", tooltip="Take the settings that fit into memory"),
        Binding("x", "stop", "Stop", id="train.stop", tooltip="Save and stop at the next step; R goes on from there"),
        Binding("R", "resume", "Resume", id="train.resume", tooltip="Go on from the last checkpoint"),
        Binding("c", "curve", "Curve", id="train.curve", tooltip="Show the next of loss, score, rewards and rate"),
        Binding("escape", "leave", "Back", show=False, id="train.back", tooltip="From the form back to the runs"),
    ]
    DEFAULT_CSS = """
    TrainScreen #train-runs { width: 34; }
    TrainScreen.-narrow #train-runs { width: 25; }
    TrainScreen.-first #train-runs { display: none; }
    TrainScreen #train-right { width: 1fr; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._runs: dict[int, RunRow] = {}
        self._read = False
        self._place: tuple[int | None, int] = (None, 0)
        self._choices: FormChoices | None = None
        self._category = ""
        self._default = ""
        self._wanted: str | None = None
        self._asked = False

    def compose_body(self) -> ComposeResult:
        with Horizontal():
            yield RunList(id="train-runs")
            with ContentSwitcher(initial="train-form", id="train-right"):
                yield RunForm(id="train-form")
                yield RunView(id="train-run")

    def on_mount(self) -> None:
        form = self.query_one(RunForm)
        self._outlook = FormOutlook(self, form)
        self._chooser = BaseChooser(self, form)
        self._starter = RunStarter(self, form, self._started)

    # -- reading

    @property
    def _form_shown(self) -> bool:
        return self.is_mounted and self.query_one(ContentSwitcher).current == "train-form"

    @property
    def _watched(self) -> int | None:
        """The run that is watched. Its number and how far it was read change together, as a thread reads both."""
        return self._place[0]

    def on_screen_resume(self) -> None:
        """What can be trained on may have grown meanwhile; the dashboard may have asked for a new run."""
        asked, self.finetune.train_category = self.finetune.train_category, None
        self._wanted = asked or self._wanted
        self._asked = self._asked or asked is not None
        self._read_choices()
        self._chooser.look()

    def refresh_data(self) -> None:
        """Read the runs, and what is new of the one that is watched."""
        home = self.home
        self.in_background(
            lambda: read_runs(home, *self._place),  # as it is when its turn comes
            group="train.runs",
            description="reading the runs",
            then=self._show_runs,
            pane=None if self._read else self.query_one(RunList),
            in_turn=True,
        )
        if self._choices is not None and self._choices.empty:
            self._read_choices()

    def _read_choices(self) -> None:
        home = self.home
        self.in_background(
            lambda: read_choices(home),
            group="train.choices",
            description="reading the categories and base models",
            then=self._show_choices,
            in_turn=True,
        )

    def _show_runs(self, view: RunsView) -> None:
        first, self._read = not self._read, True
        self._runs = {run.id: run for run in view.runs}
        self.set_class(not view.runs, "-first")
        self.query_one(RunList).show(view.runs, now=time.time())
        news = view.news
        if news is not None and news.run.id == self._watched:
            self._place = (news.run.id, news.rowid)
            self.query_one(RunView).add(news)
        if first:
            self._open_first(view)
        self.refresh_bindings()

    def _open_first(self, view: RunsView) -> None:
        """Open on the run at work, else on the newest; without any run on the form."""
        if not view.runs or self._asked:
            self.query_one(RunForm).focus_first()
            return
        active = next((run for run in view.runs if run.status == "running"), view.runs[0])
        self._open(active.id)
        self.query_one(RunList).focus()

    def _open(self, run_id: int) -> None:
        self.query_one(RunList).select(run_id)
        self._watch(run_id)

    def _watch(self, run_id: int) -> None:
        self.query_one(ContentSwitcher).current = "train-run"
        if run_id != self._watched:
            self._place = (run_id, 0)
            self.query_one(RunView).clear()
            self.refresh_data()
        self.refresh_bindings()

    def on_run_list_highlighted(self, event: RunList.Highlighted) -> None:
        """Moving along the list shows each run."""
        self._watch(event.run_id)

    def on_run_list_opened(self, event: RunList.Opened) -> None:
        """Enter shows the run, also from the form."""
        self._watch(event.run_id)

    # -- the form

    def _show_choices(self, choices: FormChoices) -> None:
        """Fill the form; later only its categories, and the default one unless another was chosen."""
        before, self._choices = self._choices, choices
        form = self.query_one(RunForm)
        default = choices.categories[0][1] if choices.categories else ""
        chosen = self._wanted or (default if self._category == self._default else self._category)
        if before is None:
            self._category = chosen
            form.load(presets=choices.presets, method=choices.method)
            form.set_base(choices.bases.get(chosen, ""))
        self._default = default
        if before is None or before.categories != choices.categories:
            self._outlook.forget()
            form.set_categories(choices.categories, chosen)
        elif self._wanted:
            form.set_categories(choices.categories, chosen)
        if self._wanted:
            self._wanted = None
            self.action_new_run()

    def on_run_form_changed(self) -> None:
        """A new category brings its own base model; the consequences follow when the typing rests."""
        form = self.query_one(RunForm)
        category = form.request.category
        if self._choices is not None and category and category != self._category:
            self._category = category
            form.set_base(self._choices.bases.get(category, ""))
        self._outlook.settle()

    # -- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done with what is shown."""
        form_shown = self._form_shown
        run = self._runs.get(self._watched) if self._watched is not None and not form_shown else None
        if action == "start":
            return form_shown and not self._starter.at_work
        if action == "stop" and form_shown:
            return self._starter.at_work
        if action == "fit":
            return form_shown and bool(self._outlook.fit)
        if action in ("new_run", "curve"):
            return not form_shown
        if action == "stop":
            return run is not None and run.status in ("running", "queued") and not run.stop_requested
        if action == "resume":
            return run is not None and run.status in RESUMABLE
        if action == "leave":
            return form_shown and bool(self._runs)
        return super().check_action(action, parameters)

    def action_new_run(self) -> None:
        """Open the form; what it would train on is counted anew."""
        self._outlook.forget()
        self.query_one(ContentSwitcher).current = "train-form"
        self.query_one(RunForm).focus_first()
        self._outlook.work_out()
        self.refresh_bindings()

    def action_fit(self) -> None:
        """Take the settings that fit into memory."""
        self.query_one(RunForm).apply(self._outlook.fit)

    def action_leave(self) -> None:
        """From the form back to the run that was watched."""
        run_id = self.query_one(RunList).selected_id or max(self._runs)
        self.query_one(RunList).focus()
        self._open(run_id)

    def on_run_form_submitted(self) -> None:
        """The button does what the key does."""
        if self._starter.at_work:
            self.action_stop()
        else:
            self.action_start()

    def on_run_form_browse(self) -> None:
        """List all base models to choose from."""
        self._chooser.browse()

    def action_start(self) -> None:
        """Start the run that the form describes."""
        request = self.query_one(RunForm).request
        self._starter.start(request, suggested=self._outlook.is_suggested(request))

    def _started(self, run_id: int) -> None:
        self.query_one(RunList).focus()
        self._place = (None, 0)
        self._open(run_id)

    def action_stop(self) -> None:
        """Ask the run to save and stop; in the form, break off what the start has begun."""
        run_id = self._watched
        if self._form_shown:
            self._starter.stop()
            return
        if run_id is None:
            return

        from storage import runs

        self.finetune.write(
            lambda store: runs.request_stop(store, run_id),
            doing=f"stopping run {run_id}",
            then=lambda _: self.refresh_data(),
        )

    def action_resume(self) -> None:
        """Go on with a run that has not come to its end."""
        run_id, home = self._watched, self.home
        if run_id is None:
            return

        def resume() -> None:
            from core.loop import LearningLoop

            with LearningLoop(home) as loop:
                loop.resume(run_id)

        self.in_background(
            resume, group="train.resume", description=f"resuming run {run_id}", then=lambda _: self.refresh_data()
        )

    def action_curve(self) -> None:
        """Show another curve."""
        self.query_one(RunView).next_curve()
