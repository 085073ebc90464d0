"""What every full screen has: the line with the tabs on top, the keys below, a store to read, threads to work in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Footer
from textual.worker import Worker, WorkerState

from storage.db import Store
from tui.text import plain

if TYPE_CHECKING:
    from core.loop import LearningLoop
    from core.paths import Home
    from tui.app import FinetuneApp

Result = TypeVar("Result")
_ENDED = (WorkerState.SUCCESS, WorkerState.ERROR, WorkerState.CANCELLED)

TABS = (
    ("dashboard", "Dashboard"),
    ("review", "Review"),
    ("train", "Train"),
    ("scoreboard", "Scoreboard"),
    ("models", "Models"),
)


class TopBar(Widget):
    """The screens with their keys, the current one marked, and the folder that is open."""

    DEFAULT_CSS = """
    TopBar { height: 1; background: $panel; color: $text-muted; }
    """

    def __init__(self, current: str, home: Path) -> None:
        super().__init__()
        self._current = current
        self._home = home

    def render(self) -> Content:
        parts: list[Content] = []
        for number, (mode, title) in enumerate(TABS, start=1):
            label = f"▸{number} {title} " if mode == self._current else f" {number} {title} "
            tab = Content.styled(label, "bold $text-primary" if mode == self._current else "")
            parts.append(tab.stylize(Style.from_meta({"@click": f"app.switch_mode('{mode}')"})))
        left = Content("").join(parts)
        hints = Content(" ? help  ^p commands ")
        room = self.size.width - left.cell_length - hints.cell_length
        return Content("").join([left, Content(f"{_fit(_short(self._home), room - 1):>{max(room, 0)}}"), hints])


def _short(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)


def _fit(text: str, width: int) -> str:
    shown = plain(text).replace("\n", "␊").replace("\t", "␉")
    if len(shown) <= width:
        return shown
    return f"…{shown[len(shown) - width + 1 :]}" if width > 8 else ""


@dataclass(slots=True)
class _Task:
    then: Callable[[Any], None] | None
    failed: Callable[[BaseException], None] | None
    pane: Widget | None
    doing: str
    again: Callable[[], object] | None = None


class BaseScreen(Screen[None]):
    """A screen that a number key opens.

    A subclass sets MODE (a name in TABS) and HELP (a page in assets/help), yields its widgets from `compose_body` and
    reads its figures in `refresh_data`, which runs when the screen is shown and whenever the store has changed.
    """

    MODE: ClassVar[str] = ""
    HELP: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: dict[str, tuple[Worker[Any], _Task]] = {}

    def compose(self) -> ComposeResult:
        yield TopBar(self.MODE, self.home.root)
        yield from self.compose_body()
        yield Footer(show_command_palette=False)

    def compose_body(self) -> ComposeResult:
        """Yield what stands between the tabs and the keys."""
        yield from ()

    def refresh_data(self) -> None:
        """Read again what is shown. Long work goes through `in_background`."""

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
        instead, and of several that wait only the newest runs. While it runs `pane` shows that it loads.
        An error goes to `failed` where that is given, else to a toast, and always into the log. `work` must open its
        own store, and must touch no widget.
        """
        task = _Task(then, failed, pane, description)
        old = self._tasks.get(group)
        if old is not None and in_turn:
            old[1].again = lambda: self._start(work, group, task)
            return
        if old is not None and old[1].pane is not None and old[1].pane is not pane:
            old[1].pane.loading = False
        self._start(work, group, task)

    def _start(self, work: Callable[[], Any], group: str, task: _Task) -> None:
        if task.pane is not None:
            task.pane.loading = True
        worker = self.run_worker(
            work, group=group, description=task.doing, exit_on_error=False, exclusive=True, thread=True
        )
        self._tasks[group] = (worker, task)

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

    def _finish(self, worker: Worker[Any], task: _Task) -> None:
        if task.pane is not None:
            task.pane.loading = False
        if worker.state is WorkerState.SUCCESS and task.then is not None:
            task.then(worker.result)
        elif worker.state is WorkerState.ERROR and worker.error is not None:
            if task.failed is not None:
                task.failed(worker.error)
            self.finetune.report(worker.error, task.doing, toast=task.failed is None)

    def on_screen_resume(self) -> None:
        # After the refresh the first frame is on the terminal before any figure is read.
        self.call_after_refresh(self._refresh_if_shown)

    def on_store_changed(self) -> None:
        self._refresh_if_shown()

    def _refresh_if_shown(self) -> None:
        if self.is_attached:
            self.refresh_data()
