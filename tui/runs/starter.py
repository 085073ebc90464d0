"""Starting the run that the form describes: its base model is made ready first, then the run is queued."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tui.runs.base_look import BaseMaker, Stopped
from tui.screens.base import BaseScreen
from tui.text import safe
from tui.widgets.run_fields import RunRequest
from tui.widgets.run_form import RunForm


class RunStarter:
    """One start at a time; `started(run)` is called with the number of the run."""

    def __init__(self, screen: BaseScreen, form: RunForm, started: Callable[[int], None]) -> None:
        self._screen = screen
        self._form = form
        self._started = started
        self._maker: BaseMaker | None = None
        self.at_work = False
        """Whether a base model is being made ready, so that there is something to break off."""

    def start(self, request: RunRequest, *, suggested: bool) -> None:
        """Start it, or say why not. Unless `suggested` only what was edited counts, since the rest of the form belongs
        to another base model or method."""
        if request.faults or not request.category:
            text = " ".join(request.faults.values()) or "Choose a category first."
            self._screen.finetune.tell(text, title="The form is not complete", severity="warning")
        elif self._maker is None:
            screen = self._screen
            self._maker = BaseMaker(
                screen.home,
                request.base,
                # Posting is the one thing that a thread may do with a widget.
                note=partial(screen.call_later, self._noted),
                done=partial(screen.call_later, self._queue, request, suggested),
                failed=partial(screen.call_later, self._failed),
            )
            self._maker.start()

    def stop(self) -> None:
        """Break off making the base model ready."""
        if self._maker is not None:
            self._maker.stop()
            self._form.show_progress(safe("Breaking off…"))

    def _noted(self, text: str) -> None:
        first, self.at_work = not self.at_work, True
        self._form.show_progress(safe(f"{text} Closing the app ends it."))
        if first:
            self._form.focus_start()
            self._screen.refresh_bindings()

    def _end(self) -> None:
        self._maker, self.at_work = None, False
        self._form.show_progress(None)
        self._screen.refresh_bindings()

    def _failed(self, error: BaseException) -> None:
        self._end()
        if not isinstance(error, Stopped):
            self._screen.finetune.report(error, "making the base model ready")

    def _queue(self, request: RunRequest, suggested: bool) -> None:
        self._end()
        home, chosen = self._screen.home, request.settings if suggested else request.edited
        settings = {key: value for key, value in chosen.items() if key != "seed"}

        def start() -> int:
            from core.loop import LearningLoop

            with LearningLoop(home) as loop:
                return loop.start_run(
                    request.category,
                    base=request.base or None,
                    settings=settings,
                    seed=request.seed,
                    start=request.start or None,
                )

        self._screen.in_background(
            start, group="train.start", description="starting the run", then=self._started, pane=self._form
        )
