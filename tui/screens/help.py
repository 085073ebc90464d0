"""Help for where one is: the keys that work there, made from the bindings themselves, and a short page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Markdown, Static

from assets import ASSETS
from tui.vim import SCROLL

_ORDER = {"widget": 0, "screen": 1, "app": 2}
_OBVIOUS = {"scroll_left", "scroll_right", "page_left", "page_right"}
_TITLES = {"screen": "On this screen", "widget": "In the focused part", "app": "Everywhere"}


class _Page(VerticalScroll):
    """All of the help; it moves with the keys of vim too."""

    BINDINGS: ClassVar[list[BindingType]] = list(SCROLL)


class HelpScreen(ModalScreen[None]):
    """Shows help; `page` names a file in assets/help, `bindings` are those that were active when help was asked for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "close", "Back", id="help.close", tooltip="Back to where you were"),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 92; max-width: 96%; height: auto; max-height: 94%;
        background: $surface; border: round $primary; padding: 0 2;
    }
    HelpScreen Static { height: auto; }
    HelpScreen Markdown { padding: 0; margin: 1 0 0 0; background: $surface; }
    HelpScreen MarkdownHeader { content-align: left middle; margin: 0 0 1 0; }
    HelpScreen MarkdownBlock:last-child { margin-bottom: 0; }
    """

    def __init__(self, page: str, bindings: Mapping[str, ActiveBinding]) -> None:
        super().__init__()
        self._page = page
        self._active = bindings

    def compose(self) -> ComposeResult:
        """What the screen is for, its keys, and the keys that are alike everywhere."""
        with _Page() as box:
            box.border_title = "Help"
            box.border_subtitle = "esc back · j k scroll"
            if page := page_text(self._page):
                yield Markdown(page, open_links=False)
            yield Static(key_table(self._active))
            yield Markdown(page_text("keys"), open_links=False)

    def on_mount(self) -> None:
        """Keys scroll at once."""
        self.query_one(_Page).focus()

    def action_close(self) -> None:
        """Back to where help was asked for."""
        self.dismiss()


def page_text(name: str) -> str:
    """The text of a help page, empty when there is none of this name."""
    path = ASSETS / "help" / f"{name}.md"
    return path.read_text(encoding="utf-8") if name and path.is_file() else ""


def key_table(bindings: Mapping[str, ActiveBinding]) -> Content:
    """The active keys in groups: those of the screen, of the focused part, and of the whole app."""
    groups: dict[str, dict[str, tuple[list[str], Binding, bool]]] = {}
    for active in bindings.values():
        binding = active.binding
        group = _group(active)
        # The framework's own keys (without an id) matter in a list or an input; elsewhere they are told in keys.md.
        if not binding.description or binding.system or (binding.id is None and group != "widget"):
            continue
        if binding.action in _OBVIOUS:
            continue
        entry = groups.setdefault(group, {}).setdefault(binding.action, ([], binding, active.enabled))
        entry[0].append(binding.key_display or display_key(binding.key))
    lines: list[Content] = []
    for group in sorted(groups, key=_ORDER.__getitem__):
        lines.append(Content.styled(f"\n{_TITLES[group]}", "bold $text-accent"))
        for keys, binding, enabled in groups[group].values():
            text = binding.tooltip or binding.description
            style = "" if enabled else "$text-muted"
            line = Content.assemble((f"{' '.join(keys):>16}  ", "bold"), (f"{binding.description:<14} ", style))
            lines.append(line + Content.styled(text if text != binding.description else "", "$text-muted"))
    return Content("\n").join(lines)


def _group(active: ActiveBinding) -> str:
    from textual.app import App
    from textual.screen import Screen

    node = active.node
    return "app" if isinstance(node, App) else "screen" if isinstance(node, Screen) else "widget"


def display_key(key: str) -> str:
    """A key as it is printed on the keyboard: ctrl+s → ^s, question_mark → ?, G → G."""
    names = {"question_mark": "?", "escape": "esc", "pagedown": "pgdn", "pageup": "pgup", "up": "↑", "down": "↓",
             "left": "←", "right": "→", "slash": "/", "equals_sign": "=", "plus": "+", "minus": "-", "delete": "del",
             "backspace": "bksp"}  # fmt: skip
    if key.startswith("ctrl+"):
        return f"^{key.removeprefix('ctrl+')}"
    return names.get(key, key)
