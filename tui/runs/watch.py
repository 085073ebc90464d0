"""The runs as the screen of runs knows them: read again and again, one of them with all its figures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from storage.rows import RunRow
from tui.runs.feed import RunsView, read_runs
from tui.screens.base import BaseScreen
from tui.widgets.run_list import RunList
from tui.widgets.run_view import RunView


class Shown(Protocol):
    """What is called when the runs were read; `first` the first time."""

    def __call__(self, *, first: bool) -> None: ...


class RunWatch:
    """Reads the runs, and of the one that is watched only what is new since the last look."""

    def __init__(self, screen: BaseScreen, shown: RunList, view: RunView) -> None:
        self._screen = screen
        self._list = shown
        self._view = view
        self._seen = RunsView((), None)
        # The watched run and how far it was read change together, as a thread reads both.
        self._place: tuple[int | None, int] = (None, 0)
        self._wanted: int | None = None
        self._remembered: int | None = None
        self.runs: dict[int, RunRow] = {}
        self.has_read = False
        self.asked = False
        """Whether the form was asked for before the runs were read."""

    @property
    def run_id(self) -> int | None:
        """The run that is watched, or was when the app was left."""
        return self._place[0] or self._remembered

    @property
    def run(self) -> RunRow | None:
        """Its row."""
        return self.runs.get(self._place[0]) if self._place[0] is not None else None

    @property
    def first(self) -> int:
        """The run to open on: the one at work, else the one of last time, else the newest."""
        active = next((run.id for run in self._seen.runs if run.status == "running"), None)
        return active or (self._remembered if self._remembered in self.runs else None) or self._seen.runs[0].id

    def remember(self, run_id: int) -> None:
        """The run that was watched when the app was left."""
        self._remembered = run_id

    def want(self, run_id: int) -> None:
        """Another screen has asked for a run."""
        self._wanted = run_id

    def take_wanted(self) -> int | None:
        """The run that was asked for, once, when it is there."""
        wanted, self._wanted = self._wanted, None
        return wanted if wanted in self.runs else None

    def take_up(self, run_id: int) -> bool:
        """Watch a run from its beginning; False where it is watched already."""
        if run_id == self._place[0]:
            return False
        self._place = (run_id, 0)
        self._view.clear()
        return True

    def let_go(self) -> None:
        """Watch none."""
        self._place = (None, 0)

    def start_name(self, run: RunRow) -> str:
        """The name of the version that a run went on from; empty for a fresh adapter or a version that is gone."""
        from storage import versions
        from storage.errors import NotFoundError

        if run.start_version is None:
            return ""
        try:
            return versions.get(self._screen.store, run.start_version).name
        except NotFoundError:
            return ""

    def read(self, *, then: Shown, failed: Callable[[BaseException], None]) -> None:
        """Read what is new."""
        home = self._screen.home
        self._screen.in_background(
            lambda: read_runs(home, *self._place),  # as it is when its turn comes
            group="train.runs",
            description="reading the runs",
            then=lambda view: self._take(view, then),
            failed=failed,
            pane=None if self.has_read else self._list,
            in_turn=True,
        )

    def _take(self, view: RunsView, then: Shown) -> None:
        first, self.has_read = not self.has_read, True
        self._seen = view
        self.runs = {run.id: run for run in view.runs}
        news = view.news
        if news is not None and news.run.id == self._place[0]:
            self._place = (news.run.id, news.rowid)
            self._view.add(news, view.places.get(news.run.id, 0))
        then(first=first)

    def show_list(self, marked: int | None) -> None:
        """Show all runs, one of them marked."""
        self._list.show(self._seen.runs, now=time.time(), places=self._seen.places, marked=marked)
