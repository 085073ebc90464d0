"""Correcting a hard negative: the editor, its draft, and the judgment that comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from core.categories import load_categories
from core.config import load_config
from storage.db import Store
from storage.rows import EventRow
from tui.review.drafts import begun, hold, keep_draft, let_go
from tui.review.items import checker
from tui.screens.base import BaseScreen
from tui.text import editable

if TYPE_CHECKING:
    from core.capture.judging import Judge
    from storage.judgments import Turned
    from tui.screens.edit import Edited


class Correcting:
    """`done(note)` is called on the app's thread when a correction or a draft is stored, or one is taken back."""

    def __init__(self, screen: BaseScreen, done: Callable[[str], None]) -> None:
        self._screen = screen
        self._done = done
        self._opened_at = 0.0

    def has_draft(self, event_id: int) -> bool:
        """Whether a correction was begun and not saved."""
        return begun(self._screen.finetune, event_id) is not None

    def open(self, event: EventRow) -> None:
        """The editor on the answer, or on the draft that was begun."""
        from tui.screens.edit import EditScreen

        self._opened_at = time.monotonic()
        editor = EditScreen(event, begun(self._screen.finetune, event.id), checker(self._screen.home, event))
        self._screen.app.push_screen(editor, partial(self._left, event.id))

    def undo(self) -> None:
        """Take back the last judgment in force, wherever it was made."""
        self._screen.finetune.write(lambda store: self._judge(store).undo(), doing="undoing", then=self._undone)

    def _left(self, event_id: int, edited: Edited | None) -> None:
        if edited is None:
            return
        text, seconds = edited.text, time.monotonic() - self._opened_at
        shown = None if text is None else editable(text)
        hold(self._screen.finetune, event_id, shown)

        def correct(store: Store) -> None:
            self._judge(store).judge(event_id, "correct", correction=text, seconds=seconds)
            keep_draft(store, event_id, None)

        def stored(note: str) -> None:
            let_go(self._screen.finetune, event_id, shown)
            self._done(note)

        if edited.save:
            note = f"✎ #{event_id} is corrected; u takes it back"
            self._screen.finetune.write(correct, doing=f"correcting #{event_id}", then=lambda _: stored(note))
        else:
            self._screen.finetune.write(
                lambda store: keep_draft(store, event_id, text), doing="keeping the draft", then=lambda _: stored("")
            )

    def _undone(self, turned: Turned | None) -> None:
        if turned is None:
            self._done("there is nothing to take back")
        else:
            events = ", ".join(f"#{each}" for each in turned.event_ids[:3])
            self._done(f"what was said of {events} is taken back; U in Review restores it")

    def _judge(self, store: Store) -> Judge:
        from core.capture.judging import Judge

        return Judge(store, load_config(self._screen.home), load_categories(self._screen.home))
