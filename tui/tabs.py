"""The screens that a number key opens, in the order of the loop: the one place that knows their names and keys."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from textual.screen import Screen


@dataclass(frozen=True, slots=True)
class Tab:
    """`mode` names the screen inside the program, `title` to people, `short` where there is little room; `where` is
    its class, imported when it is first opened."""

    mode: str
    title: str
    short: str
    where: str

    def open(self) -> Screen[Any]:
        """A new screen."""
        module, _, name = self.where.partition(":")
        screen: Screen[Any] = getattr(importlib.import_module(f"tui.screens.{module}"), name)()
        return screen


TABS: Final = (
    Tab("dashboard", "Dashboard", "Home", "dashboard:DashboardScreen"),
    Tab("review", "Review", "Review", "review:ReviewScreen"),
    Tab("rank", "Rank", "Rank", "rank:RankScreen"),
    Tab("hard", "Hard negatives", "Hard", "hard_negatives:HardNegativesScreen"),
    Tab("train", "Train", "Train", "train:TrainScreen"),
    Tab("scoreboard", "Scoreboard", "Score", "scoreboard:ScoreboardScreen"),
    Tab("models", "Models", "Models", "models:ModelsScreen"),
    Tab("playground", "Playground", "Play", "playground:PlaygroundScreen"),
    Tab("settings", "Settings", "Set", "settings:SettingsScreen"),
)
_KEYS: Final = {tab.mode: str(number) for number, tab in enumerate(TABS, start=1)}


def key_of(mode: str) -> str:
    """The number key that opens a screen."""
    return _KEYS[mode]


def modes() -> dict[str, Callable[[], Screen[Any]]]:
    """What opens each screen, by its mode."""
    return {tab.mode: tab.open for tab in TABS}
