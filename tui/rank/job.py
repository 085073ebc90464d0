"""A model that answers prompts again while the rank screen goes on: its progress in one line, and how it is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from threading import Event

from textual.content import Content
from textual.widgets import Static
from textual.worker import get_current_worker

from core.capture.more_answers import MoreAnswers, more_answers
from tui.messages import Progress
from tui.screens.base import BaseScreen
from tui.screens.rank_answers import AnswersScreen, Wanted
from tui.text import safe
from tui.widgets.progress_line import bar
from tui.words import counted, duration, time_left

_BAR = 12
Ended = Callable[[str, int | None], None]


class Answered(Progress):
    """So many of the prompts were answered."""


class AnswersJob(Static):
    """One line: how far the model is. `offer` asks what is wanted and starts it, `stop` ends it in mid-answer."""

    DEFAULT_CSS = """
    AnswersJob { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; display: none; }
    AnswersJob.-at-work { display: block; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._stop = Event()
        self._began = 0.0
        self._far = (0, 0)

    @property
    def at_work(self) -> bool:
        """Whether a model answers now."""
        return self.has_class("-at-work")

    def on_mount(self) -> None:
        self.set_interval(1.0, self._draw)

    def offer(self, screen: BaseScreen, category: str, dialog: AnswersScreen, ended: Ended) -> None:
        """Ask how often, and let the model answer; `ended` gets a sentence on what became of it, and the event whose
        prompt was answered where it was one."""

        def chosen(wanted: Wanted | None) -> None:
            if wanted is not None and not self.at_work:
                self._begin(screen, category, wanted, lambda told: ended(told, wanted.prompt_event))
                screen.refresh_bindings()

        screen.app.push_screen(dialog, chosen)

    def _begin(self, screen: BaseScreen, category: str, wanted: Wanted, ended: Callable[[str], None]) -> None:
        self._stop = Event()
        self._began, self._far = time.monotonic(), (0, 0)
        self.set_class(True, "-at-work")
        self._draw()
        home, stop = screen.home, self._stop

        def work() -> MoreAnswers:
            worker = get_current_worker()
            return more_answers(
                home,
                category,
                n=wanted.answers,
                prompts=wanted.prompts,
                prompt_event=wanted.prompt_event,
                stopped=lambda: stop.is_set() or worker.is_cancelled,
                progress=self._tell,
            )

        def failed(error: BaseException) -> None:
            self._ended()
            screen.finetune.report(error, "letting the model answer again")
            ended("✗ the model did not answer")

        screen.in_background(
            work, group="answers", description="letting the model answer again", failed=failed,
            then=partial(self._done, ended),
        )  # fmt: skip

    def _tell(self, done: int, total: int) -> None:
        self.post_message(Answered(done, total))

    def stop(self) -> None:
        """End it; the answers that are whole stay."""
        self._stop.set()
        self._draw()

    def on_answered(self, event: Answered) -> None:
        """Show how far it is."""
        self._far = (event.done, event.total)
        self._draw()

    def _done(self, ended: Callable[[str], None], told: MoreAnswers) -> None:
        self._ended()
        done, name = told.done, told.model
        if told.stopped:
            ended(f"■ stopped; what {name} had answered stays")
        elif done.known:
            ended(f"{name} answered {done.answered} of {counted(done.prompts, 'prompt')}; {done.known} were known")
        else:
            ended(f"✓ {name}: {counted(done.recorded, 'new answer')} to {counted(done.answered, 'prompt')}")

    def _ended(self) -> None:
        self.set_class(False, "-at-work")

    def _draw(self) -> None:
        if not self.at_work:
            return
        done, total = self._far
        spent = time.monotonic() - self._began
        head = Content.styled("■ stopping" if self._stop.is_set() else "● answering", "$text-primary")
        if not total:
            self.update(head + safe(f"  the model is loaded, and prompts are chosen · {duration(spent)} · X stops"))
            return
        left = f" · {time_left(spent * (total - done) / done)}" if done < total else ""
        told = f" {done} of {counted(total, 'prompt')}{left} · X stops"
        self.update(Content.assemble(head, "  ", (bar(done / total, _BAR), "$text-primary"), told))
