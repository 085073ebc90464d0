"""Editing one value in its place: a line, a choice, or a text of several lines, with what is wrong while one types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static, TextArea
from textual.widgets.option_list import Option

from tui.text import editable, restored, safe


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `fault(text)` says what is wrong with a text, empty when nothing is; `choices` make it a choice,
    `long` a text of lines; a `secret` is not shown while it is typed."""

    name: str
    title: str
    text: str
    hint: str
    fault: Callable[[str], str]
    choices: Sequence[str] = ()
    long: bool = False
    secret: bool = False


class SettingEditor(Vertical):
    """Posts `Answered` with what was written, or `Left`, which holds the text as well: leaving loses nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", id="editor.leave", priority=True, tooltip="Change nothing; keep the text"),
        Binding("ctrl+s,f2", "save", "Save", id="editor.save", priority=True, tooltip="Write the value"),
        Binding("j", "move(1)", "Next", show=False, id="editor.next", tooltip="The next choice"),
        Binding("k", "move(-1)", "Previous", show=False, id="editor.previous", tooltip="The choice before"),
    ]
    DEFAULT_CSS = """
    SettingEditor { height: auto; max-height: 60%; display: none; }
    SettingEditor.-open { display: block; }
    SettingEditor Input, SettingEditor OptionList, SettingEditor TextArea { display: none; }
    SettingEditor.-line Input { display: block; background: $panel; }
    SettingEditor.-choice OptionList { display: block; height: auto; max-height: 8; }
    SettingEditor.-long TextArea { display: block; height: 8; }
    SettingEditor #fault { height: auto; }
    """

    class Answered(Message):
        """`text` is right as far as the question can tell."""

        def __init__(self, name: str, text: str) -> None:
            super().__init__()
            self.name = name
            self.text = text

    class Left(Message):
        """Nothing is to be changed; `text` is what was typed so far."""

        def __init__(self, name: str, text: str) -> None:
            super().__init__()
            self.name = name
            self.text = text

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="pane")
        self._question: Question | None = None

    @property
    def is_open(self) -> bool:
        """Whether something is asked just now."""
        return self._question is not None

    def compose(self) -> ComposeResult:
        yield Input(select_on_focus=False, compact=True)
        yield OptionList(compact=True)
        yield TextArea(tab_behavior="focus", compact=True)
        yield Static(id="fault")

    def ask(self, question: Question, draft: str | None = None) -> None:
        """Show the question, with what was typed before where there is a `draft`, and take the focus."""
        self._question = question
        kind = "choice" if question.choices else "long" if question.long else "line"
        self.set_classes(f"pane -open -{kind}")
        self.border_title = safe(question.title, one_line=True)
        text = editable(question.text if draft is None else draft)
        if kind == "choice":
            options = self.query_one(OptionList)
            options.clear_options()
            options.add_options([Option(safe(one)) for one in question.choices])
            options.highlighted = question.choices.index(text) if text in question.choices else 0
            options.focus()
        elif kind == "long":
            area = self.query_one(TextArea)
            area.text = text
            area.focus()
        else:
            line = self.query_one(Input)
            line.password = question.secret
            line.value = text.replace("\n", " ")
            line.focus()
            if draft is None:
                line.select_all()  # what is typed replaces it; an arrow key keeps it
            else:
                line.cursor_position = len(line.value)
        self._tell()

    def close(self) -> None:
        """Take the question away."""
        self._question = None
        self.set_classes("pane")

    @property
    def _text(self) -> str:
        question = self._question
        if question is None:
            return ""
        if question.choices:
            return question.choices[self.query_one(OptionList).highlighted or 0]
        return restored(self.query_one(TextArea).text if question.long else self.query_one(Input).value)

    def _tell(self) -> None:
        question = self._question
        if question is None:
            return
        fault = question.fault(self._text)
        said = Content.assemble(("✗ ", "$text-error"), safe(fault, "$text-error")) if fault else safe(question.hint)
        self.query_one("#fault", Static).update(said)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._tell()

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._tell()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_save()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_save()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Letters move in a choice only; elsewhere they are typed."""
        if action == "move":
            return self._question is not None and bool(self._question.choices)
        return self._question is not None

    def action_move(self, lines: int) -> None:
        """To another choice."""
        options = self.query_one(OptionList)
        if lines > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def action_save(self) -> None:
        """Give the answer, unless it is wrong; then what is wrong stays to be read."""
        question, text = self._question, self._text
        if question is not None and not question.fault(text):
            self.close()
            self.post_message(self.Answered(question.name, text))

    def action_leave(self) -> None:
        """Change nothing."""
        question, text = self._question, self._text
        if question is not None:
            self.close()
            self.post_message(self.Left(question.name, text))
