"""What ctrl+p offers: every command that works where one is right now, named `area: verb`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from textual.binding import ActiveBinding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

_ALIKE = {"list", "scroll", "tree", "runs", "confirm", "help", "dialog"}


@dataclass(frozen=True, slots=True)
class Command:
    """One entry: its name, what it does, and the call that does it."""

    name: str
    help: str
    run: Callable[[], Any]


class AppCommands(Provider):
    """The commands of the focused widget, its screen and the app. What cannot be done now is not offered."""

    async def discover(self) -> Hits:
        """Everything, in the order of the keys."""
        for command in self._commands():
            yield DiscoveryHit(Content(command.name), command.run, text=command.name, help=command.help)

    async def search(self, query: str) -> Hits:
        """What matches, by its name."""
        matcher = self.matcher(query)
        for command in self._commands():
            score = matcher.match(command.name)
            if score > 0:
                yield Hit(score, matcher.highlight(command.name), command.run, text=command.name, help=command.help)

    def _commands(self) -> Iterator[Command]:
        seen: set[str] = set()
        for active in self.screen.active_bindings.values():
            name = command_name(active)
            if name and active.enabled and name not in seen:
                seen.add(name)
                help_text = active.binding.tooltip or active.binding.description
                yield Command(name, help_text, partial(self._run, active))
        other = "light" if self.app.current_theme.dark else "dark"
        yield Command(f"app: switch to {other}", f"The {other} theme used last", partial(self._app, "switch_side"))
        yield Command("app: theme", "Choose a theme, dark or light", self.app.action_change_theme)

    async def _app(self, action: str) -> None:
        await self.app.run_action(action, self.app)

    async def _run(self, active: ActiveBinding) -> None:
        await self.app.run_action(active.binding.action, active.node)


def command_name(active: ActiveBinding) -> str:
    """`area: verb` of a binding, empty for keys that only move about.

    The area is the part of the binding's id before the point; the screens themselves stand under `go to`.
    """
    binding = active.binding
    area, _, verb = (binding.id or "").partition(".")
    if not verb or binding.system or not binding.description:
        return ""
    if binding.action.startswith("open(") and area == "app":
        return f"go to: {binding.description}"
    if (not binding.show and area != "app") or area in _ALIKE:
        return ""
    verb_first = binding.description[:1].lower() if binding.description[1:2].islower() else binding.description[:1]
    return f"{area}: {verb_first}{binding.description[1:]}"
