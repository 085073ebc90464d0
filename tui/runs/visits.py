"""The dialogues that the screen of runs leads to, and what comes back from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.train.launch import LOG
from storage.rows import RunRow
from tui.runs.form_outlook import FormOutlook
from tui.runs.plan import FormChoices
from tui.screens.base import BaseScreen
from tui.widgets.run_form import RunForm


class RunVisits:
    """Opens them. `taken(category, base, settings)` is told a trial that somebody wants to try in the form."""

    def __init__(self, screen: BaseScreen, form: RunForm, outlook: FormOutlook, taken: Callable[..., None]) -> None:
        self._screen = screen
        self._form = form
        self._outlook = outlook
        self._taken = taken

    def samples(self) -> None:
        """The examples that the form would train on."""
        from tui.screens.samples import SamplesScreen

        data = self._outlook.data
        if data is None or not data.items:
            return

        def opened(event: int | None) -> None:
            if event is not None:
                self._screen.finetune.open("review", event=event)

        request = self._form.request
        screen = SamplesScreen(request, data.items, lambda samples: self._outlook.count_tokens(data, samples))
        self._screen.app.push_screen(screen, opened)

    def log(self, run: RunRow) -> None:
        """The log of a run."""
        from tui.screens.run_log import RunLogScreen

        path = self._screen.home.resolve(run.folder) / LOG
        self._screen.app.push_screen(RunLogScreen(f"Log of run {run.id} · {run.category}", path))

    def compare(self, first: int, second: int) -> None:
        """Two runs."""
        from tui.screens.compare_runs import CompareRunsScreen

        self._screen.app.push_screen(CompareRunsScreen(first, second))

    def searches(self, run: RunRow | None, choices: FormChoices) -> None:
        """The searches, that of the run's or the form's category first."""
        from tui.screens.search_trials import Choice, SearchTrialsScreen

        def take(choice: Choice | None) -> None:
            if choice is not None:
                self._taken(*choice)

        self._screen.app.push_screen(SearchTrialsScreen(self._places(run, choices)), take)

    def _places(self, run: RunRow | None, choices: FormChoices) -> Sequence[tuple[str, str]]:
        request = self._form.request
        first = (run.category, run.base_model) if run is not None else (request.category, request.base)
        others = [(name, choices.bases.get(name, "")) for _, name in choices.categories]
        return list(dict.fromkeys([first, *others])) if first[0] else others
