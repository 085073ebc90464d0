"""The full-screen app: its screens, the keys that work everywhere, and the one route that errors take."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from assets import ASSETS
from core.errors import FinetuneError
from core.one_thread import keep_to_one_thread
from storage import ui_state
from storage.db import Store, open_store
from tui.everywhere import Everywhere
from tui.forward import tell_way_forward
from tui.keymap import Keymap, load_keymap
from tui.leaving import Leaving
from tui.looks import Looks
from tui.messages import Failed, Held, StoreChanged, Written
from tui.screens.base import BaseScreen
from tui.session_log import SessionLog, Severity
from tui.tabs import TABS, key_of, modes
from tui.tail import StoreTail
from tui.text import plain
from tui.writes import Writer

if TYPE_CHECKING:
    from core.loop import LearningLoop
    from core.paths import Home

Result = TypeVar("Result")
ERROR_SECONDS = 12.0
SWITCH_SECONDS = 0.001
"""A thread that works on something long gives way to the app's own after so long: five times as soon as by default."""
_FIRST_FAULT = 200  # characters: beyond that the toast would hide the screen
_MODE = "app.mode"


def _commands() -> type[Provider]:
    from tui.palette import AppCommands

    return AppCommands


class FinetuneApp(Everywhere):
    """The app on one home folder. Raises FinetuneError before it takes the terminal when the folder cannot be used."""

    TITLE = "finetune-tui"
    CSS_PATH = ASSETS / "app.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    MODES: ClassVar[Mapping[str, str | Callable[[], Screen[Any]]]] = modes()  # type: ignore[assignment]
    DEFAULT_MODE = TABS[0].mode
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_commands}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(
                key_of(tab.mode),
                f"open('{tab.mode}')",
                tab.title,
                show=False,
                id=f"app.{tab.mode}",
                tooltip=f"Open {tab.title}",
            )
            for tab in TABS
        ),
    ]

    def __init__(self, home: Home) -> None:
        home.ensure()
        self.home = home
        tell_way_forward(home.store)
        self.store: Store = open_store(home.store)
        last = ui_state.load(self.store, _MODE, "")
        if isinstance(last, str) and last in self.MODES:
            self.DEFAULT_MODE = last  # type: ignore[misc]  # the framework reads it from the object, once
        super().__init__()
        self.session = SessionLog(home.logs / "app.log")
        self._asked: dict[str, Mapping[str, Any]] = {}
        self.unsaved: dict[int, str] = {}  # corrections by event that are not stored yet, see `tui.review.drafts`
        self._keymap_file = load_keymap(home.root / "keymap.toml")
        self._learning: LearningLoop | None = None
        self._writer = Writer(home.store, self)
        self._tail = StoreTail(home, self, self.store)
        self._leaving = Leaving(self)
        self.looks = Looks(self, self.store)

    def run(self, *args: Any, **options: Any) -> Any:
        """Run the app until it is left; what ends the process early afterwards is a signal or abandoned work."""
        keep_to_one_thread()
        sys.setswitchinterval(SWITCH_SECONDS)
        given = super().run(*args, **options)
        if self._writer.lost:
            sys.stderr.write("\n  ".join(["Not saved, as another process kept the store:", *self._writer.lost]) + "\n")
        self._leaving.end_process()
        return given

    @property
    def loop(self) -> LearningLoop:
        """The learning loop of the app's own thread, made when first asked for."""
        if self._learning is None:
            from core.loop import LearningLoop

            self._learning = LearningLoop(self.home)
        return self._learning

    def on_load(self) -> None:
        # A first frame that is drawn before the framework does this has text in no colour, and keeps it.
        self.stylesheet.apply(self)

    def on_mount(self) -> None:
        self._leaving.install()
        if self.debug:
            from tui.slow import tell_slow

            tell_slow(self.session)
        self.set_keymap(dict(self._keymap_file.keys))
        self.theme_changed_signal.subscribe(self, self.looks.remember)
        self.call_after_refresh(self._after_first_frame)

    def on_unmount(self) -> None:
        self._tail.stop()
        self._writer.close()
        if self._learning is not None:
            self._learning.close()
        self.store.close()
        self.session.close()

    def _after_first_frame(self) -> None:
        """Watch the store, read the other themes, and look at the keymap in a thread: it imports every screen."""
        if not gc.isenabled():  # see `tui.start`
            gc.freeze()
            gc.enable()
        self._tail.start()
        self._tell_problems("themes", self.looks.complete())
        if self._keymap_file != Keymap():
            from tui.keymap import checked

            def look() -> Keymap:
                return checked(self._keymap_file)

            self.run_worker(look, "check", "keymap", "checking keymap.toml", thread=True, exit_on_error=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.worker.group != "keymap":
            return
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.report(event.worker.error, "checking keymap.toml")
        elif event.state is WorkerState.SUCCESS and isinstance(found := event.worker.result, Keymap):
            self.set_keymap(dict(found.keys))
            self._tell_problems("keymap.toml", found.problems)

    def _tell_problems(self, where: str, problems: tuple[str, ...] | list[str]) -> None:
        for problem in problems:
            self.session.add("warning", f"A fault in {where}", problem)
        if problems:
            number = f"{len(problems)} faults" if len(problems) > 1 else "A fault"
            first = plain(problems[0], limit=_FIRST_FAULT)
            self._toast("warning", f"{number} in {where}", f"{first}\nThe rest applies. ctrl+l shows all of it.")

    def action_open(self, mode: str) -> None:
        """Open a screen as a number key does."""
        self.open(mode)

    def open(self, mode: str, **asked: Any) -> None:
        """Open a screen; what is `asked` of it (a category, an event, …) is for its next `take_asked`."""
        if asked:
            self._asked[mode] = asked
            if mode == self.current_mode and self.front is not None:
                self.front.refresh_data()
        self.switch_mode(mode)
        self.write(lambda store: ui_state.save(store, _MODE, mode), doing="remembering the screen")

    def take_asked(self, mode: str) -> Mapping[str, Any]:
        """What was asked of a screen when it was opened; only once."""
        return self._asked.pop(mode, {})

    def write(
        self,
        work: Callable[[Store], Result],
        *,
        doing: str,
        then: Callable[[Result], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Run `work(store)` in the writing thread, after every write given before, then `then(result)` here; what goes
        wrong is told after `failed(error)`."""
        self._writer.submit(work, doing=doing, then=then, failed=failed)

    @property
    def writing(self) -> list[str]:
        """What is being written, in words."""
        return self._writer.waiting

    def report(self, error: BaseException, doing: str, *, toast: bool = True, later: bool = False) -> None:
        """Tell what went wrong: into the log always, and as a toast with title, cause and next step.

        With `later` the person may have gone on to something else, so the toast says what it was about.
        """
        known = isinstance(error, FinetuneError)
        self.session.write_error(doing, error, trace=not known)
        if isinstance(error, FinetuneError):
            title, text, hint = error.title, error.message, error.hint
        else:
            title, text = "Something went wrong", f"{type(error).__name__}: {error}"
            hint = f"More in {self.home.logs / 'app.log'}."
        self.session.add("error", title, text, hint, doing)
        self.show_unseen()
        if toast:
            said = (text, f"While {doing}. {hint}" if later or not known else hint)
            self._toast("error", title, "\n".join(filter(None, said)))

    def tell(self, text: str, *, title: str = "", severity: str = "information") -> None:
        """A short toast. The text may hold anything."""
        self.notify(text, title=title, severity="warning" if severity == "warning" else "information")

    def notify(
        self, message: str, *, title: str = "", severity: Severity = "information", timeout: float | None = None,
        markup: bool = False,
    ) -> None:  # fmt: skip
        """A toast that is kept in the log as well. No markup is read from it."""
        self.session.add(severity, title, message)
        self._toast(severity, title, message, timeout)
        if severity == "error":
            self.call_later(self.show_unseen)

    def _toast(self, severity: Severity, title: str, text: str, timeout: float | None = None) -> None:
        lasts = timeout or (4.0 if severity == "information" else 6.0 if severity == "warning" else ERROR_SECONDS)
        shown, head = plain(text, limit=600), plain(title)
        if not any(toast.message == shown and toast.title == head for toast in self._notifications):
            super().notify(shown, title=head, severity=severity, timeout=lasts, markup=False)

    def on_written(self, event: Written) -> None:
        if event.then is not None:
            event.then(event.value)

    def on_failed(self, event: Failed) -> None:
        if event.then is not None:
            event.then(event.error)
        self.report(event.error, event.doing, later=True)

    def on_held(self, event: Held) -> None:
        if event.over:
            self.tell("What has waited for the store is saved.")
        else:
            text = "Another process writes to it. What you do here waits, and is saved as soon as it lets go."
            self.tell(text, title="The store is busy", severity="warning")

    def on_store_changed(self) -> None:
        front = self.front
        if front is not None:
            front.post_message(StoreChanged())

    @property
    def front(self) -> BaseScreen | None:
        """The screen of the current mode, even while a dialogue covers it."""
        bottom = self.screen_stack[0] if self.screen_stack else None
        return bottom if isinstance(bottom, BaseScreen) else None

    async def action_quit(self) -> None:
        """Leave, but ask first when the app itself is still at work."""
        work = await self._leaving.settled()
        if work:
            self._leaving.ask(work, self.leave)
        else:
            self.leave()

    def leave(self) -> None:
        """Leave now. A run is a process of its own, so say that it goes on."""
        from rich.text import Text

        from storage import runs

        if self.front is not None:
            self.front.keep_state()
        running = runs.active(self.store)
        if running is None:
            self.exit()
            return
        text = f"Run {running.id} ({running.category}) goes on in the background; open finetune-tui again to watch it."
        self.exit(message=Text(plain(text)))
