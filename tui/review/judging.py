"""What one key does to the event under the cursor: a verdict, a correction, taking the last word back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from core.categories import load_categories
from storage.rows import EventRow, Verdict
from tui.external_editor import edit_outside, suffix_of
from tui.review.drafts import begun, hold, let_go
from tui.review.items import checker
from tui.review.queue import with_repeat
from tui.text import editable
from tui.widgets.event_view import VERDICT_MARKS, turned_note

if TYPE_CHECKING:
    from storage.judgments import Turned
    from tui.review.finding import FindingScreen
    from tui.review.reader import Reader
    from tui.review.session import Again, ReviewSession
    from tui.screens.edit import Edited


class Judging:
    """Judges on the queue of `screen`."""

    def __init__(self, screen: FindingScreen, session: ReviewSession, reader: Reader) -> None:
        self._screen = screen
        self._table = screen.table
        self._queue = screen.queue
        self._session = session
        self._reader = reader
        self._say = screen.show_status

    def judge(self, event: EventRow, kind: Verdict, correction: str | None = None) -> None:
        """Record a verdict and go on to the next event."""
        note = self._same_again(event, kind)
        still_open = len(self._table.ids) - len(self._session.judged | {event.id}) if self._queue.complete else 0
        self._session.judge(
            event.id,
            kind,
            correction,
            category=event.category,
            still_open=still_open,
            then=partial(self._judged, event.id, None if correction is None else editable(correction)),
        )
        following = self._session.next_open(self._table.ids, self._table.cursor)
        self._say(note if following is not None else "✓ all of this queue is judged")
        if following is not None:
            self._table.cursor = following
        if kind != "skip":
            self._queue.labelled(event.id)

    def _same_again(self, event: EventRow, kind: Verdict) -> str:
        """Whether a person who was asked again, blind, said the same."""
        if event.id not in self._session.blind or kind == "skip" or event.verdict is None:
            return ""
        _, before, _ = VERDICT_MARKS[event.verdict]
        return f"#{event.id} again: {before}, as before" if kind == event.verdict else f"#{event.id}: {before} before"

    def _judged(self, event_id: int, correction: str | None, again: Again | None) -> None:
        let_go(self._screen.finetune, event_id, correction)
        self._reader.changed([event_id])
        current, choice = self._table.current, self._queue.choice
        # In a queue of one verdict the place alone would tell what was said.
        hides = choice is not None and choice.filter == "pending"
        if (
            hides
            and again is not None
            and current is not None
            and again.event_id not in (current, *self._session.blind)
        ):
            self._session.ask_again(again)
            self._table.show(with_repeat(self._table.ids, current, again.event_id), current=current)
            self._reader.changed([again.event_id])
        self._say(None)

    def undo(self) -> None:
        """Take back what was said last, and go to its event."""
        self._session.undo(partial(self._turned, "undone"))

    def redo(self) -> None:
        """Restore what was taken back last, and go to its event."""
        self._session.redo(partial(self._turned, "redone"))

    def _turned(self, word: str, turned: Turned | None) -> None:
        if turned is None:
            self._say(f"nothing left to be {word}")
            return
        if turned.kind == "move" or turned.count > 1:
            self._reader.changed(turned.event_ids)
            if self._queue.choice is not None:
                self._screen.load(self._queue.choice, turned.event_id)
        else:
            self._turned_one(word, turned)
        self._say(turned_note(word, turned))

    def _turned_one(self, word: str, turned: Turned) -> None:
        if word == "redone" and turned.kind != "skip":
            self._queue.labelled(turned.event_id)
        else:
            self._queue.unlabelled(turned.event_id)
        if not self._table.go_to(turned.event_id):
            self._table.insert(turned.event_id)
        self._reader.changed([turned.event_id])

    def after_many(self, note: str, changed: Sequence[int]) -> None:
        """Many outputs were judged or moved."""
        self._reader.changed(changed)
        following = self._session.next_open(self._table.ids, self._table.cursor - 1)
        if changed and following is not None:
            self._table.cursor = following
        self._say(note)

    # Correcting.

    def correct(self) -> None:
        """Open the editor on the response, or on the draft that was begun."""
        item = self._reader.item
        if item is not None:
            self._open(item.event, begun(self._screen.finetune, item.event.id))

    def outside(self) -> None:
        """Open the person's own editor on the same; its text comes back into the editor of the app, to be saved."""
        item = self._reader.item
        if item is None:
            return
        event = item.event
        own = load_categories(self._screen.home).get(event.category)
        text = begun(self._screen.finetune, event.id) or editable(event.correction or event.response)
        found = edit_outside(self._screen.finetune, text, suffix_of(own.validator if own else "", text))
        if found is not None:
            self._open(event, found)

    def _open(self, event: EventRow, text: str | None) -> None:
        from tui.screens.edit import EditScreen

        screen = EditScreen(event, text, checker(self._screen.home, event))
        self._screen.app.push_screen(screen, partial(self._edited, event))

    def _edited(self, event: EventRow, edited: Edited | None) -> None:
        if edited is None:
            return
        shown = None if edited.text is None else editable(edited.text)
        hold(self._screen.finetune, event.id, shown)
        if edited.save:
            self.judge(event, "correct", edited.text)
        else:
            self._session.keep_draft(event.id, edited.text, partial(self._kept, event.id, shown))

    def _kept(self, event_id: int, shown: str | None) -> None:
        let_go(self._screen.finetune, event_id, shown)
        self._reader.changed([event_id])
