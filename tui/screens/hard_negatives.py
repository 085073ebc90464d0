"""What the model fails on, and what can be done about it: correct, ask again, test, take into the next batch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from storage.db import Store
from tui.hard.correcting import Correcting
from tui.hard.jobs import HardJobs
from tui.hard.keys import HARD
from tui.screens.hard_browse import HardBrowseScreen
from tui.widgets.hard_pane import HardPane
from tui.widgets.search_line import SearchLine
from tui.widgets.virtual_table import VirtualTable


class HardNegativesScreen(HardBrowseScreen):
    """Corrects, asks, tests and wishes for what is under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = HARD

    def on_mount(self) -> None:
        self._jobs = HardJobs(self, self._job_changed, self._job_ended)
        self._correcting = Correcting(self, self._said)

    def on_unmount(self) -> None:
        self._jobs.stop()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return False
        tree, busy = self._tree, self._jobs.job is not None
        leaf, pinned = tree.current in tree.shown.leaves, tree.shown.found.pinned
        if action == "stop":
            return busy
        if action == "correct":
            return leaf
        if action == "again":
            return leaf and not busy
        if action == "test":
            return tree.current is not None and not busy
        if action == "pin":
            return leaf and (tree.current in pinned) is not parameters[0]
        if action == "filter":
            return bool(tree.shown.found.every)
        if action == "search":
            return not isinstance(self.focused, SearchLine)
        return True

    def on_pattern_tree_turned(self) -> None:
        self.refresh_keys()

    def on_virtual_table_chosen(self, event: VirtualTable.Chosen) -> None:
        self.finetune.open("review", event=event.item_id, category=self._loader.category)

    def action_correct(self) -> None:
        """Open the editor on the answer, or on the draft that was begun."""
        if self._item is not None:
            self._loader.keep(self._item.event.id)  # before it is said: the change may be read sooner than it is told
            self._correcting.open(self._item.event)

    def action_undo(self) -> None:
        """Take back the last judgment in force."""
        self._correcting.undo()

    def _said(self, note: str) -> None:
        self._loader.keep(self._tree.current)
        self._show_status(note)
        self._loader.read(force=True)

    def action_again(self) -> None:
        """Have the prompt answered once more."""
        if self._tree.current is not None:
            self._jobs.answer(self._tree.current)
            self.query_one(HardPane).scroll_home(animate=False)

    def action_test(self, whole: bool) -> None:
        """Test the newest version on this one, or on all that are shown of its pattern."""
        branch, current = self._tree.branch, self._tree.current
        if branch is not None and (whole or current == branch.line):
            self._jobs.test(self._loader.category, [each.event_id for each in branch.members])
        elif current is not None:
            self._jobs.test(self._loader.category, [current])

    def action_stop(self) -> None:
        """Break off what a version is being asked."""
        self._jobs.stop()
        self._show_status()

    def _job_changed(self) -> None:
        self._show_status()
        self._show_current()
        self.refresh_keys()

    def _job_ended(self, note: str, event_ids: Sequence[int]) -> None:
        self._loader.keep(*event_ids)
        self._show_status(note)
        self._show_current()
        self.refresh_keys()
        self._loader.read(force=False)

    def action_pin(self, wanted: bool) -> None:
        """Ask for it in the next batch, or take that back."""
        event_id, now = self._tree.current, time.time()
        if event_id is None:
            return

        def work(store: Store) -> bool:
            from storage import pins

            return pins.pin(store, event_id, now=now) if wanted else pins.unpin(store, event_id, now=now)

        self.finetune.write(work, doing="asking for the next batch", then=lambda _: self._loader.read(force=True))
