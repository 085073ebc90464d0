"""The base models that the form of a new run offers: looked for in a thread, listed when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.runs.base_look import read_bases
from tui.screens.base import BaseScreen
from tui.screens.base_list import BaseListScreen
from tui.widgets.run_form import RunForm

if TYPE_CHECKING:
    from core.train.bases import KnownBase


class BaseChooser:
    """`look` looks for them, `browse` lists what was found."""

    def __init__(self, screen: BaseScreen, form: RunForm) -> None:
        self._screen = screen
        self._form = form
        self._found: Sequence[KnownBase] = ()

    def look(self) -> None:
        """Look for base models; where Ollama does not answer there are just fewer."""
        home = self._screen.home
        self._screen.in_background(
            lambda: read_bases(home),
            group="train.bases",
            description="looking for base models",
            then=self._show,
            failed=lambda error: None,  # the form says by itself what is wrong with what it names
            in_turn=True,
        )

    def _show(self, bases: Sequence[KnownBase]) -> None:
        self._found = bases
        self._form.offer_bases([base.name for base in bases])

    def browse(self) -> None:
        """List them; the chosen one goes into the form."""

        def choose(name: str | None) -> None:
            if name is not None:
                self._form.set_base(name)

        if self._found:
            self._screen.app.push_screen(BaseListScreen(self._found, self._form.request.base), choose)
        else:
            self._screen.finetune.tell("Still looking for base models. Try again in a moment.")
