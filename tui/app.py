"""The full-screen app: its screens, the keys that work everywhere, and the one route that errors take."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from rich.text import Text
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.screen import Screen

from assets import ASSETS
from core.errors import FinetuneError
from storage import runs, ui_state
from storage.db import Store, open_store
from tui.keymap import load_keymap
from tui.messages import Failed, StoreChanged, Written
from tui.screens.base import TABS, BaseScreen
from tui.tail import StoreTail
from tui.text import plain
from tui.writes import Writer

if TYPE_CHECKING:
    from core.loop import LearningLoop
    from core.paths import Home

Result = TypeVar("Result")
ERROR_SECONDS = 12.0
_THEME = "app.theme"


def _dashboard() -> Screen[Any]:
    from tui.screens.dashboard import DashboardScreen

    return DashboardScreen()


def _review() -> Screen[Any]:
    from tui.screens.review import ReviewScreen

    return ReviewScreen()


def _train() -> Screen[Any]:
    from tui.screens.train import TrainScreen

    return TrainScreen()


def _scoreboard() -> Screen[Any]:
    from tui.screens.scoreboard import ScoreboardScreen

    return ScoreboardScreen()


def _models() -> Screen[Any]:
    from tui.screens.models import ModelsScreen

    return ModelsScreen()


def _commands() -> type[Provider]:
    from tui.palette import AppCommands

    return AppCommands


class FinetuneApp(App[None]):
    """The app on one home folder. Raises FinetuneError before it takes the terminal when the folder cannot be used."""

    TITLE = "finetune-tui"
    CSS_PATH = ASSETS / "app.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    MODES: ClassVar[Mapping[str, str | Callable[[], Screen[Any]]]] = {  # type: ignore[assignment]
        "dashboard": _dashboard,
        "review": _review,
        "train": _train,
        "scoreboard": _scoreboard,
        "models": _models,
    }
    DEFAULT_MODE = "dashboard"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_commands}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(key), f"switch_mode('{mode}')", title, show=False, id=f"app.{mode}", tooltip=f"Open {title}")
            for key, (mode, title) in enumerate(TABS, start=1)
        ),
        Binding("question_mark,f1", "help", "Help", show=False, id="app.help", tooltip="What the keys do here"),
        Binding("q", "quit", "Quit", show=False, id="app.quit", tooltip="Leave; a run goes on without the app"),
    ]

    def __init__(self, home: Home) -> None:
        super().__init__()
        home.ensure()
        self.home = home
        self.store: Store = open_store(home.store)
        self.review_category: str | None = None
        self.train_category: str | None = None
        self._keymap_file = load_keymap(home.root / "keymap.toml")
        self._learning: LearningLoop | None = None
        self._writer = Writer(home.store, self)
        self._tail = StoreTail(home, self)
        self._error_log = _log_into(home)
        theme = ui_state.load(self.store, _THEME, self.theme)
        if theme in self.available_themes:
            self.theme = theme

    @property
    def loop(self) -> LearningLoop:
        """The learning loop of the app's own thread, made when first asked for."""
        if self._learning is None:
            from core.loop import LearningLoop

            self._learning = LearningLoop(self.home)
        return self._learning

    def on_mount(self) -> None:
        self.set_keymap(dict(self._keymap_file))
        self.theme_changed_signal.subscribe(self, lambda theme: self._remember_theme(theme.name))
        self._tail.start()

    def on_unmount(self) -> None:
        self._tail.stop()
        self._writer.close()
        if self._learning is not None:
            self._learning.close()
        self.store.close()

    def write(
        self, work: Callable[[Store], Result], *, doing: str, then: Callable[[Result], None] | None = None
    ) -> None:
        """Run `work(store)` in the writing thread, after every write given before, then `then(result)` here."""
        self._writer.submit(work, doing=doing, then=then)

    def report(self, error: BaseException, doing: str, *, toast: bool = True) -> None:
        """Tell what went wrong: into the log always, and as a toast with title, cause and next step."""
        known = isinstance(error, FinetuneError)
        self._error_log.error("%s: %s", doing, plain(str(error)), exc_info=None if known else error)
        if not toast:
            return
        if isinstance(error, FinetuneError):
            title, text = error.title, "\n".join(filter(None, [error.message, error.hint]))
        else:
            title = "Something went wrong"
            text = f"{type(error).__name__}: {error}\nWhile {doing}. More in {self.home.logs / 'app.log'}."
        self.notify(plain(text, limit=600), title=plain(title), severity="error", timeout=ERROR_SECONDS, markup=False)

    def tell(self, text: str, *, title: str = "", severity: str = "information") -> None:
        """A short toast. The text may hold anything."""
        kind = "warning" if severity == "warning" else "information"
        self.notify(plain(text, limit=600), title=plain(title), severity=kind, timeout=4.0, markup=False)  # type: ignore[arg-type]

    def on_written(self, event: Written) -> None:
        if event.then is not None:
            event.then(event.value)

    def on_failed(self, event: Failed) -> None:
        self.report(event.error, event.doing)

    def on_store_changed(self) -> None:
        front = self.front
        if front is not None:
            front.post_message(StoreChanged())

    @property
    def front(self) -> BaseScreen | None:
        """The screen of the current mode, even while a dialogue covers it."""
        bottom = self.screen_stack[0] if self.screen_stack else None
        return bottom if isinstance(bottom, BaseScreen) else None

    def action_help(self) -> None:
        """Show what the screen is for and what its keys do."""
        from tui.screens.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
            return
        page = self.front.HELP if self.front is not None else ""
        self.push_screen(HelpScreen(page, self.screen.active_bindings))

    async def action_quit(self) -> None:
        """Leave. A run is a process of its own, so say that it goes on."""
        running = runs.active(self.store)
        if running is None:
            self.exit()
            return
        text = f"Run {running.id} ({running.category}) goes on in the background; open finetune-tui again to watch it."
        self.exit(message=Text(plain(text)))

    def _remember_theme(self, name: str) -> None:
        self.write(lambda store: ui_state.save(store, _THEME, name), doing="remembering the theme")


def _log_into(home: Home) -> logging.Logger:
    log = logging.getLogger(f"finetune_tui.{id(home)}")
    log.propagate = False
    handler = logging.FileHandler(home.logs / "app.log", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.handlers = [handler]
    return log
