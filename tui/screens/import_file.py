"""Importing a file: its path, what would come of it, then the import itself with an account of every row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.suggester import Suggester, SuggestFromList
from textual.timer import Timer
from textual.widgets import Footer, Input, Label, Static
from textual.worker import Worker, WorkerState, get_current_worker

from core.capture.import_rows import Counts
from core.capture.preview import Preview
from core.errors import FinetuneError
from core.settings_file import SettingsFile
from tui.file_import import Imported, completed, look, path_from, take_in
from tui.settings.changes import adding, new_name_fault
from tui.text import safe
from tui.widgets.import_preview import TAKES, account, fault_content, new_category_content, preview_content, takes_any
from tui.widgets.progress_line import bar

if TYPE_CHECKING:
    from tui.app import FinetuneApp

_PAUSE = 0.3


class PathSuggester(Suggester):
    """Completes a path from what is in its folder."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return completed(value) if value else None


class ImportProgress(Message):
    """How far an import is."""

    def __init__(self, counts: Counts, share: float | None) -> None:
        super().__init__()
        self.counts = counts
        self.share = share

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, ImportProgress)


class ImportScreen(ModalScreen[Imported]):
    """Asks for a file, shows what is in it, and imports it. Closes with what came of it, or None.

    `known` are the categories that are there, `base` the base model of one that is made here.
    """

    HELP = "import"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,f2", "take_in", "Import", id="import.start", priority=True, tooltip="Take the whole file in"),
        Binding("ctrl+n", "make", "Make category", id="import.make", priority=True, tooltip="Make the category named"),
        Binding("escape", "leave", "Back", id="import.leave", priority=True, tooltip="Stop the import, else go back"),
    ]
    DEFAULT_CSS = """
    ImportScreen { align: center middle; }
    ImportScreen > Vertical {
        width: 110; max-width: 96%; height: 90%; background: $surface; border: round $primary; padding: 0 1;
    }
    ImportScreen Horizontal { height: 1; }
    ImportScreen Label { width: 10; color: $text-muted; }
    ImportScreen Input { width: 1fr; }
    ImportScreen VerticalScroll { height: 1fr; margin-top: 1; scrollbar-size-vertical: 1; }
    ImportScreen #import-found { height: auto; }
    ImportScreen #import-state { height: 1; }
    """

    def __init__(self, category: str = "", known: Sequence[str] = (), base: str = "") -> None:
        super().__init__()
        self._category = category
        self._base = base
        self._known = known
        self._pause: Timer | None = None
        self._path: Path | None = None
        self._at_work = False
        self._done: Imported | None = None

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "Import feedback"
            with Horizontal():
                yield Label("File")
                yield Input(
                    placeholder="JSONL, JSON, CSV, Parquet, SQLite, zip, or a folder of them; → completes",
                    suggester=PathSuggester(), compact=True, id="import-path",
                )  # fmt: skip
            with Horizontal():
                yield Label("Category")
                yield Input(
                    self._category, placeholder="of rows that name none, for example erd", compact=True,
                    suggester=SuggestFromList(self._known), id="import-category",
                )  # fmt: skip
            with VerticalScroll(can_focus=True):
                yield Static("What the file holds is shown here before anything is stored.", id="import-found")
            yield Static(id="import-state")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one("#import-path").focus()

    @property
    def _app(self) -> FinetuneApp:
        return cast("FinetuneApp", self.app)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "take_in":
            return None if self._path is None or self._at_work else True
        if action == "make":
            return bool(self._new) and not self._at_work
        return True

    @property
    def _named(self) -> str:
        return self.query_one("#import-category", Input).value.strip()

    # -- looking

    def on_input_changed(self) -> None:
        self._path = None
        if not self._at_work:
            self._state(Content(""))
        self.refresh_bindings()
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE, self._look)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if self._done is not None and self._path is None:
            self.action_leave()
        elif self._path is not None:
            self.action_take_in()
        elif self._new:
            self.action_make()
        elif event.input.id == "import-path" and event.value.strip():
            self.query_one("#import-category").focus()

    def _look(self) -> None:
        text, named = self.query_one("#import-path", Input).value, self._named
        if not text.strip() or self._at_work:
            return
        try:
            path = path_from(text)
        except FinetuneError as error:
            rest = completed(text)
            self._show_found(fault_content(error) if rest is None else safe(f"→ completes it: {rest}", "$text-muted"))
            return
        if named and named not in self._known:
            self._show_found(new_category_content(named, self._known, new_name_fault(named), self._base))
            return
        self._read(path, named)

    @property
    def _new(self) -> str:
        """The category that could be made; empty where it is known or has no name that it may have."""
        named = self._named
        return "" if named in self._known or new_name_fault(named) else named

    def action_make(self) -> None:
        """Make the category that is named and not there."""
        name = self._new
        try:
            adding(name)(SettingsFile(self._app.home))
        except FinetuneError as error:
            self._show_found(fault_content(error))
            return
        self._known = sorted({*self._known, name})
        self.refresh_bindings()
        self._look()

    @work(thread=True, exclusive=True, group="look", exit_on_error=False, description="looking into the file")
    def _read(self, path: Path, category: str) -> tuple[Path, Preview]:
        return path, look(self._app.home, path, category)

    def _show_found(self, content: Content) -> None:
        self.query_one("#import-found", Static).update(content)

    # -- importing

    def action_take_in(self) -> None:
        """Import what was looked at."""
        if self._path is None or self._at_work:
            return
        self._at_work = True
        self._done = None
        self.refresh_bindings()
        self._state(Content("Reading…"))
        self._run(self._path, self._named)

    @work(thread=True, exclusive=True, group="import", exit_on_error=False, description="importing a file")
    def _run(self, path: Path, category: str) -> Imported:
        worker = get_current_worker()

        def progress(counts: Counts, share: float | None) -> None:
            self.post_message(ImportProgress(counts, share))

        return take_in(self._app.home, path, category, progress=progress, stopped=lambda: worker.is_cancelled)

    def on_import_progress(self, event: ImportProgress) -> None:
        done = f"{bar(event.share, 20)} {event.share:.0%}  " if event.share is not None else ""
        self._state(Content(f"{done}{event.counts.read:,} rows, {event.counts.rejected:,} refused"))

    def _state(self, content: Content) -> None:
        self.query_one("#import-state", Static).update(content)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        group, result = event.worker.group, event.worker.result
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self._at_work = False
            self._show_found(fault_content(event.worker.error))
            self._state(Content(""))
            self._app.report(event.worker.error, event.worker.description, toast=False)
        elif event.state is WorkerState.SUCCESS and group == "look" and isinstance(result, tuple):
            path, found = result
            self._path = path if takes_any(found) else None
            self._show_found(preview_content(found, self._known))
            self._state(TAKES if self._path is not None else Content(""))
        elif event.state is WorkerState.SUCCESS and isinstance(result, Imported):
            self._at_work = False
            self._done = result
            self._path = None
            self._show_found(account(result))
            self._state(safe("enter goes back"))
        self.refresh_bindings()

    def action_leave(self) -> None:
        """Stop what is at work; else close."""
        if self._at_work:
            self._state(Content("Stopping after this batch…"))
            self.workers.cancel_group(self, "import")
            self._at_work = False
            return
        self.dismiss(self._done)
