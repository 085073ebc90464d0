"""Choosing what the playground asks: the models, the category, the options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from core.playground.desk import Arm
from tui.play.models import Offer, read_offer
from tui.play.settings import PlaySettings
from tui.screens.base import BaseScreen
from tui.screens.play_options import PlayOptionsScreen
from tui.screens.play_pick import Line, PickScreen
from tui.words import counted

_NONE = Line("", "none", "one answer only")


class Chooser:
    """Opens the lists; `take(settings)` is called with what was chosen, on the app's thread."""

    def __init__(self, screen: BaseScreen, take: Callable[[PlaySettings], None]) -> None:
        self._screen = screen
        self._take = take

    def model(self, arm: Arm, settings: PlaySettings) -> None:
        """List the models, Ollama's too where it answers; nothing is fetched."""
        home = self._screen.home

        def show(offer: Offer) -> None:
            lines = [Line(one.name, one.name, one.note, one.problem) for one in offer.models]
            current = settings.b if arm == "b" else settings.a or offer.first
            lines = [_NONE, *lines] if arm == "b" else lines

            def chosen(name: str | None) -> None:
                if name is not None:
                    self._take(replace(settings, b=name) if arm == "b" else replace(settings, a=name))

            title = "Which model answers beside it?" if arm == "b" else "Which model answers?"
            below = f"{counted(len(offer.models), 'model')} on this machine. Enter chooses, escape goes back."
            self._screen.app.push_screen(PickScreen(title, lines, current, below), chosen)

        self._screen.in_background(
            lambda: read_offer(home, settings.category, ollama=True),
            group="play.list",
            description="looking for models",
            then=show,
        )

    def category(self, settings: PlaySettings, offer: Offer) -> None:
        """List the categories."""
        lines = [Line(name, name, title) for name, title in offer.categories]

        def chosen(name: str | None) -> None:
            if name is not None and name != settings.category:
                self._take(replace(settings, category=name))

        below = "A category has its own models, system prompt and validator."
        self._screen.app.push_screen(PickScreen("Category", lines, settings.category, below), chosen)

    def options(self, settings: PlaySettings, offer: Offer) -> None:
        """System prompt, temperature, most tokens, seed."""

        def chosen(new: PlaySettings | None) -> None:
            if new is not None:
                self._take(new)

        self._screen.app.push_screen(PlayOptionsScreen(settings, offer.category.system_prompt), chosen)
