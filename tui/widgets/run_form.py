"""The form of a new training run: what a run needs to be told, and what would come of it, live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Button, Input, Label, Select, Static

from tui.text import safe
from tui.widgets.run_fields import (
    BASE_TIP,
    FIELDS,
    GEOMETRY,
    KEYS,
    METHOD_TIP,
    METHODS,
    QUANTIZE,
    QUANTIZE_TIP,
    SETTINGS,
    START_TIP,
    RunRequest,
    parse_fields,
    typed,
)

_FRESH = (("a fresh adapter", ""),)
_START = "Start training (ctrl+s)"
_STOP = "Break off (x)"


class BaseInput(Input):
    """Where the base model is named; Enter or down asks for the list of all."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,down", "browse", "Base models", show=False, id="train.bases", tooltip="List all base models"),
    ]

    def action_browse(self) -> None:
        """Ask for the list."""
        self.post_message(RunForm.Browse())


class Arrow(Static):
    """What opens the list of base models by the mouse."""

    def on_click(self, event: events.Click) -> None:
        """Ask for the list."""
        event.stop()
        self.post_message(RunForm.Browse())


class RunForm(VerticalScroll):
    """`load` and `suggest` fill it, `request` reads it.

    Every change posts `Changed`, the button `Submitted`, the arrow of the base model `Browse`. A value that nobody
    touched follows what is suggested; one that was edited stays.
    """

    DEFAULT_CSS = """
    RunForm {
        height: 1fr; scrollbar-size-vertical: 1; scrollbar-gutter: stable;
        .row { height: 1; margin-bottom: 0; }
        .row Label, Grid Label { width: 14; color: $text-muted; }
        .row Label.-second { width: 11; margin-left: 1; }
        .row Select, .row Input { width: 1fr; }
        .row #form-quantize_base { width: 7; }
        #form-quantize_base SelectOverlay { width: 9; }
        #form-bases { width: 3; padding-left: 1; color: $foreground 50%; }
        Grid { grid-size: 2; grid-columns: 1fr 1fr; grid-gutter: 0 2; grid-rows: 1; height: auto; }
        Grid Horizontal { height: 1; }
        Grid Input { width: 1fr; }
        .-invalid { color: $text-error; text-style: underline; }
        #form-memory, #form-data, #form-progress { height: auto; }
        #form-memory, #form-progress { margin-top: 1; }
        #form-progress { display: none; }
        &.-making #form-progress { display: block; }
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

    class Browse(Message):
        """The list of base models is wanted."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="pane", can_focus=False)
        self.border_title = "New run"
        self._suggested = dict.fromkeys(KEYS, "") | {"quantize_base": "auto"}
        self._starts: dict[str, Mapping[str, Any]] = {}
        self.more: dict[str, Any] = {}
        """Settings without a field of their own that go along with the request: what makes it fit."""

    def compose(self) -> ComposeResult:
        """Category, base, method and start over the eight numbers, then what would come of them."""
        with Horizontal(classes="row"):
            yield Label("Category")
            yield Select[str]([], prompt="No category", compact=True, id="form-category")
        with Horizontal(classes="row"):
            yield Label("Base model")
            base = BaseInput(compact=True, id="form-base", placeholder="a preset, a folder, ollama:NAME")
            base.tooltip = BASE_TIP
            yield base
            yield Arrow("▼", id="form-bases")
        with Horizontal(classes="row"):
            yield Label("Method")
            yield self._select("form-method", METHODS, METHOD_TIP)
            yield Label("4-bit base", classes="-second")
            yield self._select("form-quantize_base", QUANTIZE, QUANTIZE_TIP)
        with Horizontal(classes="row"):
            yield Label("Go on from")
            yield self._select("form-from", _FRESH, START_TIP)
        with Grid():
            for field in FIELDS:
                with Horizontal():
                    yield Label(field.label)
                    box = Input(
                        compact=True, id=f"form-{field.key}", restrict=r"[0-9.eE+-]*", max_length=12, valid_empty=False
                    )
                    box.tooltip = field.tooltip
                    yield box
        yield Button(_START, variant="primary", compact=True, id="form-start")
        yield Static(id="form-progress")
        yield Static(id="form-memory")
        yield Static(id="form-data")

    @staticmethod
    def _select(id: str, options: Sequence[tuple[str, str]], tooltip: str) -> Select[str]:
        return Select(options, allow_blank=False, compact=True, id=id, tooltip=tooltip)

    # -- filling it

    def load(self, *, presets: Sequence[str], method: str) -> None:
        """Offer these base models, and begin with this method."""
        self.offer_bases(presets)
        self._choice("method").value = method

    def offer_bases(self, names: Sequence[str]) -> None:
        """Complete what is typed as a base model to one of these."""
        self.query_one("#form-base", Input).suggester = SuggestFromList(names, case_sensitive=False)

    def set_categories(self, categories: Sequence[tuple[str, str]], chosen: str) -> None:
        """Offer these categories as (title, name), with the `chosen` one selected."""
        select = self._choice("category")
        select.set_options([(Content(title), name) for title, name in categories])
        if any(name == chosen for _, name in categories):
            select.value = chosen

    def set_base(self, base: str) -> None:
        """Put another base model into the form."""
        self.query_one("#form-base", Input).value = base

    def offer_starts(self, starts: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Offer these versions to go on from, as (label, name, its settings); a chosen one stays if it is offered."""
        offered = {name: settings for _, name, settings in starts}
        if offered == self._starts:
            return
        self._starts = offered
        select, before = self._choice("from"), self._start
        with self.prevent(Select.Changed):
            select.set_options([*_FRESH, *((safe(label), name) for label, name, _ in starts)])
            select.value = before if before in offered else ""
        self._follow_start()

    def suggest(self, settings: Mapping[str, Any]) -> None:
        """Fill in what nobody has edited, and let go of what once made another run fit."""
        self.more = {}
        for key in SETTINGS & settings.keys():
            text, held = typed(settings[key]), bool(self._start) and key in GEOMETRY
            if not held and not self._is_edited(key):
                self._put(key, text)
            self._suggested[key] = text
        self.post_message(self.Changed())

    def apply(self, settings: Mapping[str, Any]) -> None:
        """Take over what makes it fit; what has no field of its own goes along with the request as it is."""
        for key, value in settings.items():
            if key in SETTINGS:
                self._suggested[key] = typed(value)
                self._put(key, typed(value))
            else:
                self.more[key] = value
        self.post_message(self.Changed())

    def focus_first(self) -> None:
        """Put the cursor into the first field."""
        self._choice("category").focus()

    def focus_start(self) -> None:
        """Put the cursor onto the button, where the letters are keys."""
        self.query_one("#form-start", Button).focus()

    # -- reading it

    @property
    def request(self) -> RunRequest:
        """What the form says right now."""
        texts = {field.key: self._text(field.key) for field in FIELDS}
        numbers, faults = parse_fields(texts)
        chosen = self._choice("category").value
        settings = {**self.more, **numbers, **{key: self._text(key) for key in ("method", "quantize_base")}}
        return RunRequest(
            chosen if isinstance(chosen, str) else "",
            self.query_one("#form-base", Input).value.strip(),
            self._start,
            settings,
            {key: value for key, value in settings.items() if key not in SETTINGS or self._is_edited(key)},
            faults,
        )

    @property
    def _start(self) -> str:
        return self._text("from")

    def _choice(self, key: str) -> Select[str]:
        return self.query_one(f"#form-{key}", Select)

    def _text(self, key: str) -> str:
        value = self.query_one(f"#form-{key}", Input).value if key in KEYS else self._choice(key).value
        return value if isinstance(value, str) else ""

    def _is_edited(self, key: str) -> bool:
        return self._text(key) != self._suggested[key]

    def _put(self, key: str, text: str) -> None:
        if key in KEYS:
            self.query_one(f"#form-{key}", Input).value = text
        else:
            self._choice(key).value = text

    def _follow_start(self) -> None:
        """An adapter that is gone on with keeps its size, so that nothing else can be typed there."""
        own = self._starts.get(self._start)
        for key in GEOMETRY:
            box = self.query_one(f"#form-{key}", Input)
            if own is not None:
                box.value = typed(own.get(key, box.value))
            elif box.disabled:
                box.value = self._suggested[key]
            box.disabled = own is not None

    # -- what would come of it

    def show_memory(self, text: Content) -> None:
        """Show the memory verdict."""
        self.query_one("#form-memory", Static).update(text)

    def show_data(self, text: Content) -> None:
        """Show what would be trained on."""
        self.query_one("#form-data", Static).update(text)

    def show_progress(self, text: Content | None) -> None:
        """Show how far the base model is made ready, None when it is."""
        self.set_class(text is not None, "-making")
        self.query_one("#form-start", Button).label = _START if text is None else _STOP
        self.query_one("#form-progress", Static).update(text or "")

    # -- events

    def on_input_changed(self, event: Input.Changed) -> None:
        """A field was edited: mark it when it is no number, and tell."""
        event.stop()
        faults = self.request.faults
        for field in FIELDS:
            self.query_one(f"#form-{field.key}", Input).set_class(field.key in faults, "-invalid")
        self.post_message(self.Changed())

    def on_select_changed(self, event: Select.Changed) -> None:
        """Another category, method, precision of the base or start was chosen."""
        event.stop()
        if event.select.id == "form-from":
            self._follow_start()
        self.post_message(self.Changed())

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """The start button."""
        event.stop()
        self.post_message(self.Submitted())
