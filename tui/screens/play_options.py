"""How the playground asks: a system prompt of one's own, and how the next token is drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Label, Static, TextArea

from tui.play.settings import HIGHEST_SEED, PlaySettings
from tui.text import editable, restored, safe


class PlayOptionsScreen(ModalScreen[PlaySettings | None]):
    """Returns the settings as they are wanted, or None. `usual` is the category's own system prompt."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,f5", "save", "Take over", id="options.save", priority=True, tooltip="For the next prompt"),
        Binding("escape", "dismiss(None)", "Back", id="options.back", tooltip="Back, nothing changed"),
    ]
    DEFAULT_CSS = """
    PlayOptionsScreen { align: center middle; }
    PlayOptionsScreen > Vertical {
        width: 88; max-width: 98%; height: auto; max-height: 90%;
        background: $surface; border: round $primary; padding: 0 1;
    }
    PlayOptionsScreen TextArea { height: 7; }
    PlayOptionsScreen Static { height: auto; color: $text-muted; }
    PlayOptionsScreen #usual { max-height: 3; margin-bottom: 1; }
    PlayOptionsScreen Horizontal { height: auto; margin-top: 1; }
    PlayOptionsScreen Horizontal Vertical { width: 1fr; height: auto; }
    PlayOptionsScreen #fault { color: $text-error; }
    """

    def __init__(self, settings: PlaySettings, usual: str) -> None:
        super().__init__()
        self._settings = settings
        self._usual = usual

    def compose(self) -> ComposeResult:
        now = self._settings
        seed = "" if now.seed is None else str(now.seed)
        fields = (
            ("temperature", "Temperature 0-5", f"{now.temperature:g}", "0.3"),
            ("max_tokens", "Most tokens 1-32768", str(now.max_tokens), "512"),
            ("seed", "Seed, empty for any", seed, "any"),
        )
        with Vertical() as box:
            box.border_title = "Options of the next answers"
            yield Label("System prompt")
            yield TextArea(editable(now.system), id="system", tab_behavior="focus")
            usual = self._usual or "none"
            yield Static(safe(f"Empty takes that of the category: {usual}", one_line=True, limit=300), id="usual")
            with Horizontal():
                for name, label, value, hint in fields:
                    with Vertical():
                        yield Label(label)
                        yield Input(value, placeholder=hint, id=name)
            yield Static(id="fault")
            yield Static("ctrl+s takes over, tab goes on, escape goes back.")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one("#temperature", Input).focus()

    def on_input_submitted(self) -> None:
        self.action_save()

    def action_save(self) -> None:
        """Close with the settings, or say which value is none."""
        try:
            temperature = _number(self._value("temperature") or "0.3", 0.0, 5.0, "The temperature")
            tokens = _number(self._value("max_tokens") or "512", 1, 32_768, "The most tokens")
            typed = self._value("seed")
            seed = None if typed in ("", "any") else int(_number(typed, 0, HIGHEST_SEED, "The seed", whole=True))
        except ValueError as error:
            self.query_one("#fault", Static).update(safe(f"✗ {error}", one_line=True))
            return
        system = restored(self.query_one("#system", TextArea).text)
        self.dismiss(
            replace(
                self._settings,
                system=system if system.strip() else "",
                temperature=temperature,
                max_tokens=int(tokens),
                seed=seed,
            )
        )

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()


def _number(text: str, low: float, high: float, what: str, *, whole: bool = False) -> float:
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise ValueError(f"{what} must be a number from {low:g} to {high:,.0f}.")
    return value
