"""The form of a new training run: what a run needs to be told, and what would come of it, live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from textual.app import ComposeResult
from textual.containers import Grid, Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Button, Input, Label, Select, Static

Kind = Literal["integer", "number"]


@dataclass(frozen=True, slots=True)
class Field:
    """One setting of the form: its key in the training settings, its label, its kind and what it does."""

    key: str
    label: str
    kind: Kind
    tooltip: str


FIELDS = (
    Field("epochs", "Epochs", "integer", "How often every example is seen. 3 is a good start; more may overfit."),
    Field("learning_rate", "Learning rate", "number", "Step size at its peak. 2e-4 suits LoRA; smaller is gentler."),
    Field("batch_size", "Batch", "integer", "Examples at once in memory. 8 GB: 1; 12 GB: 1-2; 16 GB: 2-4; 24 GB: 4-8."),
    Field("accumulation", "Accumulation", "integer", "Batches per step: a larger batch without more memory."),
    Field("rank", "LoRA rank", "integer", "Size of the adapter: 4-64. Larger learns more and needs more memory."),
    Field("alpha", "LoRA alpha", "integer", "Strength of the adapter; twice the rank is usual."),
    Field("max_length", "Max length", "integer", "Longest example in tokens. Longer needs more memory."),
    Field("seed", "Seed", "integer", "The same seed with the same data gives the same run."),
)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the form says: `settings` are training settings by key, `faults` the fields that hold no number yet."""

    category: str
    base: str
    settings: Mapping[str, Any]
    faults: Mapping[str, str]

    @property
    def seed(self) -> int:
        """The seed of the selection and of the training."""
        return int(self.settings.get("seed", 0))


def parse_fields(texts: Mapping[str, str]) -> tuple[dict[str, int | float], dict[str, str]]:
    """Turn the texts of the fields into numbers; those that are none come back as faults by key."""
    numbers: dict[str, int | float] = {}
    faults: dict[str, str] = {}
    for field in FIELDS:
        text = texts.get(field.key, "").strip()
        try:
            if field.kind == "integer":
                numbers[field.key] = int(text)
            else:
                value = float(text)
                numbers[field.key] = int(value) if value.is_integer() and "e" not in text.lower() else value
        except (ValueError, OverflowError):
            wanted = "a whole number" if field.kind == "integer" else "a number"
            faults[field.key] = f"{field.label}: {text!r} is not {wanted}." if text else f"{field.label} is empty."
    return numbers, faults


class RunForm(VerticalScroll):
    """`load` fills it, `request` reads it; every change posts `Changed`, the button posts `Submitted`."""

    DEFAULT_CSS = """
    RunForm {
        height: 1fr; scrollbar-size-vertical: 1;
        .row { height: 1; margin-bottom: 0; }
        .row Label, Grid Label { width: 15; color: $text-muted; }
        .row Select, .row Input { width: 1fr; }
        Grid { grid-size: 2; grid-columns: 1fr 1fr; grid-gutter: 0 2; grid-rows: 1; height: auto; margin-top: 1; }
        Grid Horizontal { height: 1; }
        Grid Input { width: 1fr; }
        .-invalid { color: $text-error; text-style: underline; }
        #form-memory, #form-data { height: auto; margin-top: 1; }
        #form-start { margin-top: 1; width: 100%; }
    }
    """

    class Changed(Message):
        """A field was edited."""

        def can_replace(self, message: Message) -> bool:
            """Only the newest state of the form matters."""
            return isinstance(message, RunForm.Changed)

    class Submitted(Message):
        """The start button was pressed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="pane", can_focus=False)
        self.border_title = "New run"
        self._more: dict[str, Any] = {}

    def compose(self) -> ComposeResult:
        """Category and base over the eight numbers, then what would come of them."""
        with Horizontal(classes="row"):
            yield Label("Category")
            yield Select[str]([], prompt="No category", compact=True, id="form-category")
        with Horizontal(classes="row"):
            yield Label("Base model")
            yield Input(compact=True, id="form-base", placeholder="a preset's name or a model folder")
        with Grid():
            for field in FIELDS:
                with Horizontal():
                    yield Label(field.label)
                    box = Input(
                        compact=True, id=f"form-{field.key}", restrict=r"[0-9.eE+-]*", max_length=12, valid_empty=False
                    )
                    box.tooltip = field.tooltip
                    yield box
        yield Button("Start training (ctrl+s)", variant="primary", compact=True, id="form-start")
        yield Static(id="form-memory")
        yield Static(id="form-data")

    def load(self, *, presets: Sequence[str], settings: Mapping[str, Any]) -> None:
        """Offer these base models, and fill in the training settings by key."""
        base_box = self.query_one("#form-base", Input)
        base_box.suggester = SuggestFromList(presets, case_sensitive=False)
        base_box.tooltip = "Presets: " + ", ".join(presets)
        self._more = {}
        self.apply(settings)

    def set_categories(self, categories: Sequence[tuple[str, str]], chosen: str) -> None:
        """Offer these categories as (title, name), with the `chosen` one selected."""
        select = self.query_one("#form-category", Select)
        select.set_options([(Content(title), name) for title, name in categories])
        if any(name == chosen for _, name in categories):
            select.value = chosen

    def apply(self, settings: Mapping[str, Any]) -> None:
        """Take these settings over; those without a field of their own go along with the request as they are."""
        keys = {field.key for field in FIELDS}
        for key, value in settings.items():
            if key in keys:
                self.query_one(f"#form-{key}", Input).value = _plain(value)
            else:
                self._more[key] = value
        self.post_message(self.Changed())

    @property
    def request(self) -> RunRequest:
        """What the form says right now."""
        texts = {field.key: self.query_one(f"#form-{field.key}", Input).value for field in FIELDS}
        numbers, faults = parse_fields(texts)
        chosen = self.query_one("#form-category", Select).value
        category = chosen if isinstance(chosen, str) else ""
        base = self.query_one("#form-base", Input).value.strip()
        return RunRequest(category, base, {**self._more, **numbers}, faults)

    def set_base(self, base: str) -> None:
        """Put another base model into the form."""
        self.query_one("#form-base", Input).value = base

    def show_memory(self, text: Content) -> None:
        """Show the memory verdict."""
        self.query_one("#form-memory", Static).update(text)

    def show_data(self, text: Content) -> None:
        """Show what would be trained on."""
        self.query_one("#form-data", Static).update(text)

    def focus_first(self) -> None:
        """Put the cursor into the first field."""
        self.query_one("#form-category", Select).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """A field was edited: mark it when it is no number, and tell."""
        event.stop()
        faults = self.request.faults
        for field in FIELDS:
            self.query_one(f"#form-{field.key}", Input).set_class(field.key in faults, "-invalid")
        self.post_message(self.Changed())

    def on_select_changed(self, event: Select.Changed) -> None:
        """Another category was chosen."""
        event.stop()
        self.post_message(self.Changed())

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """The start button."""
        event.stop()
        self.post_message(self.Submitted())


def _plain(value: Any) -> str:
    """A setting as one would type it: 0.0002 becomes 2e-4."""
    if isinstance(value, float) and 0 < abs(value) < 0.001:
        mantissa, exponent = f"{value:e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:g}" if isinstance(value, float) else str(value)
