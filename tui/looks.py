"""The themes of one app: which there are, which was used last, and which is used when one is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from storage import ui_state
from storage.db import Store
from tui.themes import DARK, LIGHT, of_user, other_side, shipped

if TYPE_CHECKING:
    from textual.theme import Theme

    from tui.app import FinetuneApp

_THEME: Final = "app.theme"
_SIDES: Final = "app.theme_of_each_side"


class Looks:
    """Registers the themes with the app. What is wrong with the user's own is told by `complete`."""

    def __init__(self, app: FinetuneApp, store: Store) -> None:
        self._app = app
        self._problems: list[str] = []
        self._waiting = [LIGHT, DARK]
        self._users_read = False
        sides = ui_state.load(store, _SIDES, {})
        self._last = {side == "dark": str(name) for side, name in sides.items()} if isinstance(sides, dict) else {}
        name = ui_state.load(store, _THEME, DARK)
        if not isinstance(name, str) or not self._known(name):
            self._problems.insert(0, f"The theme {name!r} cannot be used or is gone; {DARK} is shown instead")
            name = DARK
            self._known(name)
        self._begin_with(name)

    def complete(self) -> list[str]:
        """Register what the first frame did not need; every fault of the user's themes, one sentence each."""
        while self._waiting:
            self._app.register_theme(shipped(self._waiting.pop()))
        self._read_users()
        return self._problems

    def _known(self, name: str) -> bool:
        """Register just this theme, so that the first frame does not wait for the others."""
        if name in self._waiting:
            self._waiting.remove(name)
            self._app.register_theme(shipped(name))
        elif name not in self._app.available_themes:
            self._read_users()
        return name in self._app.available_themes

    def _read_users(self) -> None:
        if self._users_read:
            return
        self._users_read = True
        for file in of_user(self._app.home.root / "themes", {*self._app.available_themes, LIGHT, DARK}):
            self._problems += file.problems
            if file.theme is not None:
                self._app.register_theme(file.theme)

    def _begin_with(self, name: str) -> None:
        # Assigning `app.theme` would have the framework parse all styles a second time before the first frame.
        app = self._app
        app.set_reactive(type(app).theme, name)
        app.stylesheet.set_variables(app.get_css_variables())
        theme = app.current_theme
        # Unlike `set_class` this takes the name of a theme as it is, with spaces in it.
        classes = {"-dark-mode": theme.dark, "-light-mode": not theme.dark, f"-theme-{theme.name}": True}
        app.update_classes(classes, update=False)
        app._refresh_truecolor_filter(app.ansi_theme)

    def switch_side(self) -> None:
        """From dark to light or back, to the theme used last on that side."""
        self.complete()
        self._app.theme = other_side(self._app.current_theme, self._last, self._app.available_themes)

    def remember(self, theme: Theme) -> None:
        """Keep the choice for the next start."""
        self._last[theme.dark] = theme.name
        sides = {"dark" if dark else "light": name for dark, name in self._last.items()}

        def save(store: Store) -> None:
            ui_state.save(store, _THEME, theme.name)
            ui_state.save(store, _SIDES, sides)

        self._app.write(save, doing="remembering the theme")
