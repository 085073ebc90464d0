"""What the form of a new run offers, and what others fill into it: a category, or the settings of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tui.runs.form_outlook import FormOutlook
from tui.runs.plan import FormChoices, read_choices
from tui.screens.base import BaseScreen
from tui.widgets.run_form import RunForm


class FormFiller:
    """Keeps the form's choices in step with what there is; a category brings its base model along."""

    def __init__(self, screen: BaseScreen, form: RunForm, outlook: FormOutlook) -> None:
        self._screen = screen
        self._form = form
        self._outlook = outlook
        self._default = ""
        self._wanted: str | None = None
        self.choices: FormChoices | None = None
        self.category = ""
        """The category that the form stands on."""

    @property
    def waits(self) -> bool:
        """Whether nothing was ever recorded, so that new events change what there is to choose."""
        return self.choices is not None and self.choices.empty

    def want(self, category: str) -> None:
        """Open the form on a category when its choices are read."""
        self._wanted = category

    def remember(self, category: str) -> None:
        """The category of last time, taken up when the choices are read if it is there."""
        self.category = category

    def read(self) -> None:
        """Read what can be chosen."""
        home = self._screen.home
        self._screen.in_background(
            lambda: read_choices(home),
            group="train.choices",
            description="reading the categories and base models",
            then=self._show,
            in_turn=True,
        )

    def _show(self, choices: FormChoices) -> None:
        """Fill the form; later only its categories, and the default one unless another was chosen."""
        before, self.choices = self.choices, choices
        names = [name for _, name in choices.categories]
        default = names[0] if names else ""
        kept = self.category if self.category in names and self.category != self._default else default
        chosen = self._wanted or kept
        if before is None:
            self.category = chosen
            self._form.load(presets=choices.presets, method=choices.method)
            self._form.set_base(choices.bases.get(chosen, ""))
        self._default = default
        if before is None or before.categories != choices.categories:
            self._outlook.forget()
            self._form.set_categories(choices.categories, chosen)
        elif self._wanted:
            self._form.set_categories(choices.categories, chosen)
        if self._wanted:
            self._wanted = None
            self._screen.call_next(self._screen.run_action, "screen.new_run")
        self._screen.refresh_bindings()

    def follow(self) -> None:
        """A new category brings its own base model."""
        category = self._form.request.category
        if self.choices is not None and category and category != self.category:
            self.category = category
            self._form.set_base(self.choices.bases.get(category, ""))

    def fill(self, category: str, base: str, settings: Mapping[str, Any]) -> None:
        """Put a trial into the form as if somebody had typed it."""
        if self.choices is not None:
            self.category = category
            self._form.set_categories(self.choices.categories, category)
        self._form.set_base(base)
        self._form.take(settings)
