"""The doctor's part of the settings screen: checks line by line, what mends them, a copy of the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.worker import get_current_worker

from core.backup import back_up
from core.checks import Check
from core.doctor import examining
from core.errors import FinetuneError
from tui.screens.base import BaseScreen
from tui.screens.confirm import ConfirmScreen
from tui.widgets.progress_line import bar
from tui.widgets.setting_editor import Question

BACKUP = "backup"


class DoctorScreen(BaseScreen):
    """A screen that the doctor works on. What is to be shown goes to `show_check`, `tell_work` and `ask`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "examine", "Run again", id="doctor.run", tooltip="Look at everything once more"),
        Binding("f", "fix", "Fix", id="doctor.fix", tooltip="Mend what is under the cursor, or go where it is mended"),
        Binding("b", "back_up", "Back up", id="doctor.backup", tooltip="Write a whole copy of the store to a file"),
        Binding("x", "stop", "Stop", id="doctor.stop", tooltip="Stop the copy; nothing is left of it"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.checks: list[Check] = []
        self.examined = False
        self.work = ""
        """What the doctor is at, in words; empty when it is at nothing."""
        self._stopped = threading.Event()
        self._round = 0

    def show_check(self, check: Check) -> None:
        """One more check is done."""
        raise NotImplementedError

    def tell_work(self) -> None:
        """`work` has changed."""
        raise NotImplementedError

    def ask(self, question: Question) -> None:
        """Ask for a line; the answer goes to `answer_doctor`."""
        raise NotImplementedError

    def open_file(self, path: Path) -> None:
        """Open a file in the user's editor."""
        raise NotImplementedError

    @property
    def check_under_cursor(self) -> Check | None:
        """The one that `fix` is about."""
        raise NotImplementedError

    def action_examine(self) -> None:
        """Look at everything, each line as soon as it is known."""
        self.checks, self.examined = [], True
        self._round += 1
        home, number = self.home, self._round

        def work() -> None:
            worker = get_current_worker()
            for check in examining(home):
                if worker.is_cancelled:
                    return
                self.call_later(self._checked, number, check)

        self._at_work("examining")
        self.in_background(work, group="doctor", description="examining", then=self._done, failed=self._failed)

    def _checked(self, number: int, check: Check) -> None:
        if number == self._round:  # not one of a round that was begun anew
            self.checks.append(check)
            self.show_check(check)

    def action_fix(self) -> None:
        """Mend it here, or open where it can be mended."""
        check = self.check_under_cursor
        kind, _, number = (check.fix if check is not None else "").partition(" ")
        if kind == "file":
            self.open_file(self.home.config)
        elif kind == "run":
            self.finetune.open("train", run=int(number))
        elif kind == "version":
            self.finetune.open("models", version=int(number))
        elif kind == "trials" and check is not None:
            question = ConfirmScreen("Remove what trials left?", f"{check.detail}.", "Remove", danger=True)
            self.finetune.push_screen(question, lambda yes: self._mend(kind) if yes else None)
        elif kind:
            self._mend(kind)

    def _mend(self, kind: str) -> None:
        from core.doctor_fixes import FIXES

        home = self.home

        def work() -> list[str]:
            return FIXES[kind](home, note=self._note)

        self._at_work("mending")
        self.in_background(work, group="doctor", description="mending", then=self._mended, failed=self._failed)

    def _mended(self, said: list[str]) -> None:
        self.finetune.tell("\n".join(said) or "There was nothing left to mend.")
        self.action_examine()

    def action_back_up(self) -> None:
        """Ask where the copy of the store goes."""
        name = time.strftime("store-%Y%m%d-%H%M.db", time.localtime(time.time()))
        hint = "A file that does not exist yet. enter writes it, esc does not."
        self.ask(Question(BACKUP, "Copy of the store to", str(self.home.exports / name), hint, _fault_of_target))

    def answer_doctor(self, text: str) -> None:
        """Write the copy there."""
        home, target = self.home, Path(text.strip()).expanduser().absolute()
        self._stopped.clear()

        def work() -> list[Path]:
            return back_up(home, target, progress=self._progress())

        self._at_work("copying the store")
        self.in_background(work, group="doctor", description="copying", then=self._copied, failed=self._failed)

    def _progress(self) -> Callable[[int, int], None]:
        shown = -1

        def progress(done: int, total: int) -> None:
            nonlocal shown
            if self._stopped.is_set() or get_current_worker().is_cancelled:
                raise FinetuneError("The copy was stopped; nothing of it is left.", title="Stopped")
            share = done / max(1, total)
            if (percent := int(100 * share)) != shown:
                shown = percent
                self._note(f"copying the store {bar(share, 16)} {percent} %")

        return progress

    def _copied(self, written: list[Path]) -> None:
        self._done()
        self.finetune.tell("\n".join(map(str, written)), title="Copied")

    def action_stop(self) -> None:
        """Stop the copy at once."""
        self._stopped.set()

    def _note(self, text: str) -> None:
        """From a thread: what is being done."""
        self.call_later(self._at_work, text)

    def _at_work(self, text: str) -> None:
        self.work = text
        self.tell_work()

    def _done(self, _: object = None) -> None:
        self._at_work("")

    def _failed(self, error: BaseException) -> None:
        self._done()
        self.finetune.report(error, "the doctor's work")


def _fault_of_target(text: str) -> str:
    if not text.strip():
        return "Name a file."
    path = Path(text.strip()).expanduser()
    if path.exists() and not path.is_dir():
        return "There is such a file already; choose another name."
    if path.is_dir() and (path / "store.db").exists():
        return "There is a store.db in that folder already."
    return ""
