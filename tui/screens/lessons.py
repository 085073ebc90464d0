"""What a version was trained on, example by example; enter opens the event of one in Review."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Footer, Static

from tui.screens.run_modal import RunModal
from tui.text import safe
from tui.versions.trained_on import SPLITS, Lesson, TrainedOn
from tui.widgets.mix_bar import mix_bar
from tui.widgets.text_pane import TextPane
from tui.widgets.virtual_table import VirtualTable
from tui.words import counted, number

_KIND = 17
_BAR = 40


class LessonTable(VirtualTable[Lesson]):
    """The examples, one line each: kind, difficulty, weight, prompt."""

    class Moved(VirtualTable.Moved):
        """The cursor stands on another example."""

    class Chosen(VirtualTable.Chosen):
        """An example was opened."""

    def __init__(self, lessons: Sequence[Lesson], *, id: str | None = None) -> None:
        super().__init__(lambda ids: {one: lessons[one] for one in ids}, _line, id=id, classes="pane")


class LessonsScreen(RunModal[int | None]):
    """Shows what the version called `name` was trained on. Returns the event to open in review, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,e", "dismiss(None)", "Back", id="lessons.back", tooltip="Back to the versions"),
        Binding("enter,o", "open", "Open event", id="lessons.open", tooltip="Show in Review the event it comes from"),
        Binding("tab,shift+tab", "read", "Read", id="lessons.read", tooltip="Into the example, and back to the list"),
    ]
    DEFAULT_CSS = """
    LessonsScreen #lessons-head { height: auto; padding: 0 1; }
    LessonsScreen #lessons-list { height: 1fr; padding: 0; }
    LessonsScreen #lessons-box { height: 1fr; }
    """

    def __init__(self, name: str, found: TrainedOn) -> None:
        super().__init__()
        self._name_of, self._found = name, found

    def compose(self) -> ComposeResult:
        """The mix over the list over the example under the cursor."""
        yield Static(id="lessons-head")
        yield LessonTable(self._found.lessons, id="lessons-list")
        with TextPane(id="lessons-box", classes="pane"):
            yield Static(id="lessons-text")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show all of them."""
        table = self.query_one(LessonTable)
        table.border_title = safe(f"What {self._name_of} was trained on", one_line=True)
        table.show(array("q", range(len(self._found.lessons))))
        table.focus()

    def on_resize(self) -> None:
        """The mix has the width of the window."""
        room = max(20, self.size.width - 4)
        found = self._found
        counts = {word: sum(one.item.split == split for one in found.lessons) for split, word in SPLITS.items()}
        told = " · ".join(f"{count:,} {word}" for word, count in counts.items() if count)
        head = Content.assemble(
            (f"{told or 'nothing'}", "bold"), safe(f" · {found.method} · dataset {found.dataset.id}")
        )
        bar = mix_bar(found.mix, min(_BAR, room), room)
        self.query_one("#lessons-head", Static).update(Content("\n").join([head, bar]) if bar.plain else head)

    @property
    def _lesson(self) -> Lesson | None:
        place = self.query_one(LessonTable).current
        return self._found.lessons[place] if place is not None else None

    def on_lesson_table_moved(self) -> None:
        """Show the one under the cursor."""
        lesson = self._lesson
        if lesson is not None:
            box = self.query_one("#lessons-box")
            box.border_title = safe(_title(lesson), one_line=True)
            box.scroll_home(animate=False)
            self.query_one("#lessons-text", Static).update(lesson_content(lesson))
        self.refresh_bindings()

    def on_lesson_table_chosen(self) -> None:
        """Enter in the list opens the event."""
        if self.check_action("open", ()):
            self.action_open()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An example whose event is gone, or that came without one, has none to open."""
        if action == "open":
            return (self._lesson is not None and self._lesson.event is not None) or None
        return True

    def action_open(self) -> None:
        """Leave for the event that the example comes from."""
        lesson = self._lesson
        if lesson is not None and lesson.event is not None:
            self.dismiss(lesson.event.id)

    def action_read(self) -> None:
        """Into the example, and back."""
        table = self.query_one(LessonTable)
        (self.query_one(TextPane) if table.has_focus else table).focus()

    def copyable(self) -> str:
        """The answer of the example under the cursor."""
        return self._lesson.item.target if self._lesson is not None else ""


def _line(lesson: Lesson, width: int) -> Content:
    item = lesson.item
    return Content.assemble(
        f" {item.position + 1:>5} ",
        (f"{lesson.kind:<{_KIND}}" if item.split == "train" else f"{'watched':<{_KIND}}", "$text-accent"),
        (f" {item.stage[:6]:<6} × {number(item.weight, 2)}  ", "$text-muted"),
        safe(item.prompt, one_line=True, limit=300),
    )


def _title(lesson: Lesson) -> str:
    whence = f"event #{lesson.event.id}" if lesson.event is not None else "its event is gone"
    turns = len(lesson.item.history)
    return f"{lesson.kind} · {whence}" + (f" · {counted(turns, 'turn')} before it" if turns else "")


def lesson_content(lesson: Lesson) -> Content:
    """The prompt and what was learned as its answer; of a pair also what it is preferred to."""
    item = lesson.item
    blocks = [_block("Prompt", item.prompt)]
    wanted = "Answer that was learned" if item.desirable else "Answer to avoid"
    blocks.append(_block("Preferred answer" if item.rejected else wanted, item.target))
    if item.rejected:
        blocks.append(_block("Rejected answer", item.rejected))
    return Content("\n").join(blocks)


def _block(title: str, text: str) -> Content:
    return Content.assemble((title, "bold $text-accent"), "\n", safe(text))
