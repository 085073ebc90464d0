"""The memory that models take is given back a while after the playground was left."""

from __future__ import annotations

from typing import Final

from textual.timer import Timer

from core.playground.desk import Desk
from tui.screens.base import BaseScreen

IDLE_SECONDS: Final = 60.0


class Idle:
    """`left` when the screen is no longer in front, `back` when it is again."""

    def __init__(self, screen: BaseScreen, desk: Desk) -> None:
        self._screen = screen
        self._desk = desk
        self._leaving: Timer | None = None

    def left(self) -> None:
        """Wait, and let the models go once nothing is answering."""
        self._leaving = self._screen.set_timer(IDLE_SECONDS, self._release)

    def back(self) -> None:
        """The models are wanted."""
        if self._leaving is not None:
            self._leaving.stop()

    def _release(self) -> None:
        if self._desk.busy:
            self.left()
        elif self._desk.loaded:
            self._screen.in_background(self._desk.close, group="play.idle", description="letting go of the models")
