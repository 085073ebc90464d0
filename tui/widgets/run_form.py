"""The form of a new training run: what a run needs to be told, and what would come of it, live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Button, Input, Select, Static

from tui.text import safe
from tui.widgets.run_fields import FIELDS, GEOMETRY, KEYS, SETTINGS, RunRequest, parse_fields, typed
from tui.widgets.run_form_fields import FRESH, START, STOP, FormFields

BESIDE: Final = 92  # columns


class RunForm(VerticalScroll):
    """`load` and `suggest` fill it, `request` reads it.

    Every change posts `Changed`, the button `Submitted`. A value that nobody touched follows what is suggested; one
    that was edited stays, and so does what was taken over from a trial of a search.
    """

    DEFAULT_CSS = """
    RunForm {
        height: 1fr; scrollbar-size-vertical: 1; scrollbar-gutter: stable;
        #form-outlook, #form-outlook Static { height: auto; }
        #form-data { margin-top: 1; }
        #form-memory { margin-top: 1; }
        &.-beside { layout: horizontal; }
        &.-beside #form-fields, &.-beside #form-outlook { width: 1fr; }
        &.-beside #form-outlook { margin-left: 3; }
        &.-beside #form-memory { margin-top: 0; }
        &.-making #form-progress { display: block; }
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
        self._suggested = dict.fromkeys(KEYS, "") | {"quantize_base": "auto"}
        self._starts: dict[str, Mapping[str, Any]] = {}
        self._fitting: dict[str, Any] = {}
        self._taken: dict[str, Any] = {}

    @property
    def more(self) -> Mapping[str, Any]:
        """Settings without a field of their own that go along with the request: a trial's, and what makes it fit."""
        return {**self._taken, **self._fitting}

    def compose(self) -> ComposeResult:
        """Category, base, method and start over the eight numbers, beside or above what would come of them."""
        yield FormFields(id="form-fields")
        with Vertical(id="form-outlook"):
            yield Static(id="form-memory")
            yield Static(id="form-data")

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
            select.set_options([*FRESH, *((safe(label), name) for label, name, _ in starts)])
            select.value = before if before in offered else ""
        self._follow_start()

    def suggest(self, settings: Mapping[str, Any]) -> None:
        """Fill in what nobody has edited, and let go of what once made another run fit."""
        self._fitting = {}
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
                self._fitting[key] = value
        self.post_message(self.Changed())

    def take(self, settings: Mapping[str, Any]) -> None:
        """Take over the settings of a trial as if somebody had typed them; empty lets go of an earlier one's."""
        self._taken = {key: value for key, value in settings.items() if key not in SETTINGS}
        for key in SETTINGS & settings.keys():
            self._put(key, typed(settings[key]))
        self.post_message(self.Changed())

    def on_resize(self) -> None:
        """Where there is room, what would come of it stands beside the fields."""
        self.set_class(self.size.width >= BESIDE, "-beside")

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
        self.query_one("#form-start", Button).label = START if text is None else STOP
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
