"""What the keys do with the run that is in front; the half of the screen of runs that is not the form."""

from __future__ import annotations

from storage.rows import RunRow
from tui.runs.control import RunControl
from tui.runs.visits import RunVisits
from tui.runs.watch import RunWatch
from tui.screens.base import BaseScreen
from tui.widgets.run_view import RunView


class RunActions(BaseScreen):
    """A screen with a run in front; it sets the three helpers when it is mounted."""

    _seen: RunWatch
    _control: RunControl
    _visits: RunVisits

    def __init__(self) -> None:
        super().__init__()
        self._marked: int | None = None

    @property
    def in_front(self) -> RunRow | None:
        """The run that the keys act on, None while the form is shown."""
        raise NotImplementedError

    def can_with_run(self, action: str) -> bool:
        """Whether one of the actions below is something to do now."""
        run = self.in_front
        if run is None:
            return False
        if action in ("stop", "resume", "cancel"):
            return self._control.can(action, run)
        if action == "mark":
            return self._marked in (None, run.id)
        if action == "compare":
            return self._marked is not None and self._marked != run.id
        return True

    def action_stop(self) -> None:
        """Ask the run to save and pause."""
        if self.in_front is not None:
            self._control.stop(self.in_front.id)

    def action_cancel(self) -> None:
        """Take a waiting run out of the queue."""
        self.action_stop()

    def action_resume(self) -> None:
        """Go on with a run that has not come to its end."""
        if self.in_front is not None:
            self._control.resume(self.in_front.id)

    def action_curve(self) -> None:
        """Show another curve."""
        self.query_one(RunView).next_curve()

    def action_log(self) -> None:
        """Show the whole log of the run."""
        if self.in_front is not None:
            self._visits.log(self.in_front)

    def action_mark(self) -> None:
        """Mark the run, or take the mark off."""
        if self.in_front is not None:
            self._marked = None if self._marked == self.in_front.id else self.in_front.id
            self._seen.show_list(self._marked)
            self.refresh_bindings()

    def action_compare(self) -> None:
        """Compare the marked run with this one."""
        if self.in_front is not None and self._marked is not None:
            self._visits.compare(self._marked, self.in_front.id)
