"""What runs an A/B test on the scoreboard: in a thread, with its progress, and a key that stops it."""

from __future__ import annotations

import threading
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.worker import get_current_worker

from storage.rows import VersionRow
from tui.messages import AbProgress
from tui.screens.knowing import KnowingScreen
from tui.words import counted


class _Left(Exception):
    """It was stopped or the app is closing; the answers so far are kept, and the test goes on from there when it is
    asked for again."""


class ComparingScreen(KnowingScreen):
    """A screen that compares a version with what serves, one test at a time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "test", "A/B test", id="scoreboard.test", tooltip="Compare the version with what serves today"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.testing = ""
        self._halt = threading.Event()

    @property
    def untested(self) -> VersionRow | None:
        """The newest version where it was never compared."""
        raise NotImplementedError

    def show_testing(self) -> None:
        """Show what `testing` says of the test that is under way, empty when none is."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One test at a time, of a version that is there."""
        if action == "test":
            return (self.untested or self.subject) is not None and not self.testing
        if action == "stop_change" and self.testing and not self._halt.is_set():
            return True
        return super().check_action(action, parameters)

    def key_told(self, action: str) -> str:
        """What the keys would do now."""
        version = self.untested or self.subject
        if action == "test" and version is not None:
            return f"Let {version.name} and what serves today answer the same held-out prompts, anew"
        if action == "stop_change" and self.testing:
            return "Stop the test; its answers so far are kept, and it goes on from there when asked for again"
        return super().key_told(action)

    def action_test(self) -> None:
        """Compare the newest version that was not compared yet, else the one under the cursor, with what serves."""
        version = self.untested or self.subject
        if version is None:
            return
        home, chosen, halt = self.home, version.id, self._halt
        halt.clear()

        def compare() -> Exception | None:
            from core.loop import LearningLoop

            worker = get_current_worker()

            def progress(done: int, total: int) -> None:
                if worker.is_cancelled or halt.is_set():
                    raise _Left
                self.post_message(AbProgress(done, total))

            try:
                with LearningLoop(home) as loop:
                    loop.ab(chosen, progress=progress)
            except _Left:
                return None
            except Exception as error:  # noqa: BLE001  handed over, and reported there
                return error
            return None

        self._tell(f"Comparing {version.name} with what serves…")
        self.in_background(
            compare,
            group="scoreboard.test",
            description=f"comparing {version.name}",
            then=self._tested,
        )

    def action_stop_change(self) -> None:
        """Stop the test, else what is being changed."""
        if self.testing and not self._halt.is_set():
            self._halt.set()
            self._tell("Stopping after this prompt; the answers so far are kept")
        else:
            super().action_stop_change()

    def _tell(self, text: str) -> None:
        self.testing = text
        self.show_testing()
        self.refresh_bindings()

    def on_ab_progress(self, event: AbProgress) -> None:
        """Both arms have answered one more prompt."""
        if self.testing and not self._halt.is_set():
            self.testing = f"Comparing: {event.done:,} of {counted(event.total, 'prompt')} answered · x stops"
            self.show_testing()

    def _tested(self, error: Exception | None) -> None:
        self._tell("")
        if error is not None:
            self.finetune.report(error, "comparing two versions")
        self.refresh_data()
