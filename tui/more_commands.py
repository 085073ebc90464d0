"""What ctrl+p offers beside the keys of the footer: verbs of the screen that the footer has no room for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tui.palette import AppCommands, Command


class MoreCommands(AppCommands):
    """The keys that a screen names in `OFFERED`, as far as they can be used now."""

    def _commands(self) -> Iterator[Command]:
        offered: frozenset[str] = getattr(self.screen, "OFFERED", frozenset())
        for active in self.screen.active_bindings.values():
            area, _, _ = (active.binding.id or "").partition(".")
            if active.binding.id in offered and active.enabled and not active.binding.show:
                verb = active.binding.description
                verb = f"{verb[:1].lower()}{verb[1:]}" if verb[1:2].islower() else verb
                yield Command(f"{area}: {verb}", active.tooltip, partial(self._run, active))
