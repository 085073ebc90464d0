"""Writing the correction of a response, with what it changes and what the validator says of it, live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Footer, Static, TextArea
from textual.worker import Worker, WorkerState

from core.validate.validator import Validation
from storage.rows import EventRow
from tui.external_editor import edit_outside, suffix_of
from tui.text import editable, plain, restored, safe
from tui.widgets.diff_view import diff_content, diff_lines
from tui.widgets.event_view import findings_content
from tui.words import counted, number

if TYPE_CHECKING:
    from tui.app import FinetuneApp

_MOST_LINES = 20_000
_LONGEST_LINE = 20_000  # characters
_PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class Edited:
    """How the editor was left. With `save` the text is the correction, else it is a draft; None means unchanged."""

    text: str | None
    save: bool


@dataclass(frozen=True, slots=True)
class _Checked:
    text: str
    diff: Content
    validation: Validation


class EditScreen(ModalScreen[Edited]):
    """An editor on a response. `check(text)` is called in a thread and returns the validator's verdict."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,f2", "save", "Save", id="edit.save", priority=True, tooltip="Save the correction"),
        Binding("escape", "leave", "Keep as draft", id="edit.leave", priority=True, tooltip="Go back, keep the text"),
        Binding("f4", "outside", "Own editor", id="edit.outside", priority=True, tooltip="Go on in $VISUAL or $EDITOR"),
        Binding("ctrl+r", "restore", "Start over", id="edit.restore", priority=True, tooltip="The response as it was"),
    ]
    DEFAULT_CSS = """
    EditScreen { background: $background; }
    EditScreen #prompt { height: auto; max-height: 30%; }
    EditScreen.-narrow #prompt { max-height: 5; }
    EditScreen #work { height: 1fr; layout: horizontal; }
    EditScreen.-narrow #work { layout: vertical; }
    EditScreen #text { width: 1fr; height: 1fr; padding: 0; }
    EditScreen #changes { width: 1fr; height: 1fr; }
    EditScreen.-narrow #changes { height: 40%; }
    EditScreen #found { height: auto; max-height: 50%; border-top: solid $foreground 25%; }
    EditScreen.-narrow #found { display: none; }
    EditScreen #prompt, EditScreen #changes VerticalScroll { scrollbar-size-vertical: 1; }
    EditScreen #score { height: 1; padding: 0 1; }
    """

    def __init__(self, event: EventRow, draft: str | None, check: Callable[[str], Validation]) -> None:
        super().__init__()
        self._event = event
        self._start = editable(event.correction or event.response)
        self._draft = draft
        self._check = check
        self._pause: Timer | None = None
        self._refused: str | None = None  # the text that the validator does not take, and the one that was told so of
        self._warned_of: str | None = None

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="prompt", classes="pane", can_focus=False) as prompt:
            prompt.border_title = safe(f"Correct #{self._event.id} · {self._event.category}", one_line=True)
            yield Static(safe(self._event.prompt, limit=2_000))
        with Container(id="work"):
            wraps = _wraps(self._draft or self._start)
            text = TextArea(id="text", classes="pane", tab_behavior="indent", soft_wrap=wraps)
            text.border_title = "Correction"
            yield text
            with Vertical(id="changes", classes="pane") as changes:
                changes.border_title = "Changes"
                with VerticalScroll(can_focus=False):
                    yield Static(id="diff")
                with VerticalScroll(id="found", can_focus=False):
                    yield Static(id="findings")
        yield Static(id="score")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        area = self.query_one(TextArea)
        area.load_text(self._draft or self._start)  # given to it when it is made, it would be wrapped six times
        area.focus()
        self._examine()

    def on_text_area_changed(self) -> None:
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE, self._examine)

    def _examine(self) -> None:
        text = restored(self.query_one(TextArea).text)
        before, check = self._event.response, self._check

        def examine() -> _Checked:
            return _Checked(text, diff_content(diff_lines(before, text)), check(text))

        self.run_worker(
            examine,
            group="examine",
            description="checking the correction",
            exit_on_error=False,
            exclusive=True,
            thread=True,
        )

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.SUCCESS and event.worker.result is not None:
            self._show(event.worker.result)
        elif event.state is WorkerState.ERROR:
            text = Content.assemble(
                ("✗ the validator failed: ", "$text-error"), safe(event.worker.error, one_line=True)
            )
            self.query_one("#score", Static).update(text)

    def _show(self, checked: _Checked) -> None:
        found = checked.validation
        self._refused = None if found.valid else checked.text
        self.query_one("#diff", Static).update(checked.diff)
        listed = findings_content([asdict(one) for one in found.findings], valid=found.valid)
        self.query_one("#findings", Static).update(listed)
        errors = [one for one in found.findings if one.severity != "info"]
        mark = ("✓ valid", "$text-success") if found.valid else ("✗ not valid", "$text-error")
        parts = [Content.assemble(f"score {number(self._event.score, 0)} → {number(found.score, 0)}  ", mark)]
        if errors:
            parts.append(Content.styled(f"  {counted(len(errors), 'finding')}: ", "$text-muted"))
            parts.append(safe(errors[0].message, one_line=True, limit=200))
        self.query_one("#score", Static).update(Content("").join(parts))

    def action_save(self) -> None:
        """Close with the text as the correction; an empty or unchanged one is none."""
        shown = self.query_one(TextArea).text
        if not shown.strip() or shown == editable(self._event.response):
            reason = "It is empty." if not shown.strip() else "It is the response unchanged: esc, then g for good."
            self.notify(plain(reason), title="Not a correction", severity="warning", markup=False)
            return
        text = restored(shown)
        if self._refused == text and self._warned_of != text:
            self._warned_of = text
            reason = "The validator does not take it, see below. Saved all the same, it teaches: ctrl+s again saves it."
            self.notify(plain(reason), title="Not valid", severity="warning", markup=False)
            return
        self.dismiss(Edited(text, save=True))

    def action_leave(self) -> None:
        """Close and keep what was written."""
        shown = self.query_one(TextArea).text
        self.dismiss(Edited(None if shown == self._start else shown, save=False))

    def action_outside(self) -> None:
        """Go on in the person's own editor; what comes of it is shown here, and saved from here."""
        area = self.query_one(TextArea)
        found = edit_outside(cast("FinetuneApp", self.app), area.text, suffix_of("", area.text))
        if found is not None:
            area.replace(found, (0, 0), area.document.end)

    def action_restore(self) -> None:
        """Put the response back; ctrl+z in the editor takes that back."""
        area = self.query_one(TextArea)
        area.replace(self._start, (0, 0), area.document.end)


def _wraps(text: str) -> bool:
    """Wrapping takes seconds where a line is very long or there are very many, and again at every key."""
    return text.count("\n") < _MOST_LINES and max(map(len, text.split("\n"))) < _LONGEST_LINE
