"""What every full screen has: the line with the tabs on top, the keys below, a store to read, threads to work in."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual._context import active_app
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer
from textual.worker import Worker, WorkerState

from core.first_steps import end
from storage import ui_state
from storage.columns import clean
from storage.db import Store
from tui.pace import Pace
from tui.widgets.guide_line import GuideLine, read_steps
from tui.widgets.top_bar import TopBar

if TYPE_CHECKING:
    from core.loop import LearningLoop
    from core.paths import Home
    from tui.app import FinetuneApp

Result = TypeVar("Result")
PATIENCE_SECONDS = 0.25
SETTLED_SECONDS = 2.0
_ENDED = (WorkerState.SUCCESS, WorkerState.ERROR, WorkerState.CANCELLED)


@dataclass(slots=True)
class _Task:
    then: Callable[[Any], None] | None
    failed: Callable[[BaseException], None] | None
    pane: Widget | None
    doing: str
    paced: bool
    again: Callable[[], object] | None = None


class BaseScreen(Screen[None]):
    """A screen that a number key opens.

    A subclass sets MODE (of a tab in `tui.tabs`) and HELP (a page in assets/help), yields its widgets from
    `compose_body` and reads its figures in `refresh_data`, which runs when the screen is shown and whenever the store
    has changed. What `state` tells is given to `restore` when the screen is opened the next time, also after a restart.
    """

    AUTO_FOCUS = ""  # each screen says itself what has the focus first: never a search line that swallows keys
    MODE: ClassVar[str] = ""
    HELP: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        # A new screen gets the styles as they are now; without this the framework parses all of them again first.
        if (app := active_app.get(None)) is not None:
            self._css_update_count = app._css_update_count
        self._kept: Mapping[str, Any] = {}
        self._tasks: dict[str, tuple[Worker[Any], _Task]] = {}
        self._pace = Pace(self, self._read_paced)
        self._paced = False  # whether what begins now begins because the store has changed

    def compose(self) -> ComposeResult:
        yield TopBar(self.MODE, self.home.root)
        yield GuideLine(self.MODE)
        yield from self.compose_body()
        yield Footer(show_command_palette=False)

    def compose_body(self) -> ComposeResult:
        """Yield what stands between the tabs and the keys."""
        yield from ()

    def refresh_data(self) -> None:
        """Read again what is shown. Long work goes through `in_background`."""

    def state(self) -> Mapping[str, Any]:
        """What the next start should find again (a place, a filter), as JSON can hold it."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` told last time. It may come from another version: unknown values are passed over."""

    def copyable(self) -> str:
        """What the key `y` copies: the answer or text in front. Empty when there is none."""
        return ""

    def refresh_bar(self) -> None:
        """Draw the top line again: the count of errors has changed."""
        for bar in self.query(TopBar):
            bar.refresh()

    def take_asked(self) -> Mapping[str, Any]:
        """What another screen asked of this one when it opened it; only once."""
        return self.finetune.take_asked(self.MODE)

    def keep_state(self) -> None:
        """Remember `state` where it has changed."""
        state, key = dict(self.state()), f"screen.{self.MODE}"
        if state != self._kept:
            self._kept = state
            self.finetune.write(lambda store: ui_state.save(store, key, state), doing="remembering the screen's state")

    def on_mount(self) -> None:
        """After the screen's own `on_mount`, which runs first."""
        # What the screen has brought along stays: looked through for garbage again and again it would hold up a key.
        self.set_timer(SETTLED_SECONDS, gc.freeze)
        self.take_up()

    def take_up(self) -> None:
        """Go on where the screen was left, as far as what was kept then makes sense."""
        saved = ui_state.load(self.store, f"screen.{self.MODE}", {})
        if isinstance(saved, dict) and saved:
            self._kept = saved
            try:
                # Half a character, which no query takes, becomes the one that stands for what cannot be shown.
                self.restore(json.loads(clean(json.dumps(saved, ensure_ascii=False))))
            except Exception as error:  # noqa: BLE001  another version, or a hand, has written it
                self.finetune.report(error, "taking up where the screen was left", toast=False)

    @property
    def finetune(self) -> FinetuneApp:
        """The app, with its own type."""
        return cast("FinetuneApp", self.app)

    @property
    def home(self) -> Home:
        """The folder that is open."""
        return self.finetune.home

    @property
    def store(self) -> Store:
        """The app thread's own store: for reads that take a few milliseconds. Writes go through `app.write`."""
        return self.finetune.store

    @property
    def loop(self) -> LearningLoop:
        """The app thread's own loop, made when first asked for. A thread makes one of its own."""
        return self.finetune.loop

    def in_background(
        self,
        work: Callable[[], Result],
        *,
        group: str,
        description: str,
        then: Callable[[Result], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
        pane: Widget | None = None,
        in_turn: bool = False,
    ) -> None:
        """Run `work` in a thread, then `then(result)` on the app's thread.

        A newer task of the same `group` makes an older one's result void; with `in_turn` it waits for the older one
        instead, and of several that wait only the newest runs. When it takes longer than a moment `pane` shows that
        it loads.
        An error goes to `failed` where that is given, else to a toast, and always into the log. `work` must open its
        own store, and must touch no widget.
        """
        task = _Task(then, failed, pane, description, self._paced)
        old = self._tasks.get(group)
        if old is not None and in_turn:
            old[1].again = lambda: self._start(work, group, task)
            return
        if old is not None and old[1].pane is not None and old[1].pane is not pane:
            old[1].pane.loading = False
        self._start(work, group, task)

    def _start(self, work: Callable[[], Any], group: str, task: _Task) -> None:
        if task.pane is not None:
            # What comes at once needs no sign that it is coming: it would only flicker.
            self.set_timer(PATIENCE_SECONDS, lambda: self._show_loading(group, task))
        worker = self.run_worker(
            work, group=group, description=task.doing, exit_on_error=False, exclusive=True, thread=True
        )
        self._tasks[group] = (worker, task)

    def _show_loading(self, group: str, task: _Task) -> None:
        latest = self._tasks.get(group)
        if latest is not None and latest[1] is task and latest[0].state not in _ENDED and task.pane is not None:
            task.pane.loading = True

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        worker = event.worker
        latest = self._tasks.get(worker.group)
        if latest is None or latest[0] is not worker or event.state not in _ENDED:
            return
        # The task holds its place while `then` runs: what `then` asks for in turn replaces what waits already. Without
        # that both would be started, and the second would cancel the first.
        self._finish(worker, latest[1])
        if self._tasks.get(worker.group) is not latest:
            return
        del self._tasks[worker.group]
        if latest[1].again is not None and event.state is not WorkerState.CANCELLED:
            latest[1].again()
        self._settle_pace()

    def _finish(self, worker: Worker[Any], task: _Task) -> None:
        if task.pane is not None:
            task.pane.loading = False
        if worker.state is WorkerState.SUCCESS and task.then is not None:
            self._paced = task.paced
            try:
                task.then(worker.result)
            except Exception as error:  # noqa: BLE001  what was read may have any shape; it must not end the app
                self.finetune.report(error, f"showing what came of {task.doing}")
            finally:
                self._paced = False
        elif worker.state is WorkerState.ERROR and worker.error is not None:
            if task.failed is not None:
                task.failed(worker.error)
            self.finetune.report(worker.error, task.doing, toast=task.failed is None)

    def on_screen_resume(self) -> None:
        self.refresh_bar()
        # After the refresh the first frame is on the terminal before any figure is read.
        self.call_after_refresh(self._refresh_if_shown)

    def on_screen_suspend(self) -> None:
        self._pace.forget()
        self.keep_state()

    def on_store_changed(self) -> None:
        self._pace.changed()

    def _read_paced(self) -> None:
        self._paced = True
        try:
            self._refresh_if_shown()
        finally:
            self._paced = False
        self._settle_pace()

    def _settle_pace(self) -> None:
        if not any(task.paced for _, task in self._tasks.values()):
            self._pace.ended()

    def _refresh_if_shown(self) -> None:
        if not self.is_attached:
            return
        try:
            self.refresh_data()
            self.read_guide()
        except Exception as error:  # noqa: BLE001  the store may hold anything; it must not end the app
            self.finetune.report(error, f"reading {self.MODE} again")

    def read_guide(self) -> None:
        """Show a newcomer how far the first round of the loop has come."""
        home = self.home
        self.in_background(
            lambda: read_steps(home),
            group="guide",
            description="reading the first steps",
            then=self.query_one(GuideLine).show,
            in_turn=True,
        )

    def on_guide_line_followed(self, event: GuideLine.Followed) -> None:
        self.finetune.open(event.mode)

    def on_guide_line_ended(self) -> None:
        self.finetune.write(end, doing="ending the guide", then=lambda _: self.read_guide())
