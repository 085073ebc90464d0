"""Ranking: two answers to one prompt, blind; one key says which is better, and the next question is there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from core.select.preference.agenda import PromptRanking
from storage import events
from tui.rank import words
from tui.rank.book import RankBook
from tui.rank.job import AnswersJob
from tui.rank.keys import RANK
from tui.rank.reading import Entry, entries
from tui.screens.rank_answers import AnswersScreen
from tui.screens.rank_finding import RankFinding
from tui.widgets.empty import Empty
from tui.widgets.rank_view import RankView
from tui.widgets.search_line import SearchLine
from tui.widgets.virtual_table import VirtualTable


class RankScreen(RankFinding):
    """The question in the middle; the prompts on its left, where there is room, else in its place when asked for."""

    MODE = "rank"
    HELP = "rank"
    BINDINGS: ClassVar[list[BindingType]] = RANK
    DEFAULT_CSS = """
    RankScreen #rank-status { height: auto; max-height: 2; padding: 0 1; }
    RankScreen #rank-reveal { height: auto; max-height: 4; padding: 0 1; }
    RankScreen #rank-search { display: none; }
    RankScreen #rank-panes { height: 1fr; layout: horizontal; }
    RankScreen #rank-list { width: 36; height: 1fr; }
    RankScreen.-narrow #rank-list { display: none; width: 1fr; }
    RankScreen.-narrow.-listing #rank-list { display: block; }
    RankScreen.-narrow.-listing RankView { display: none; }
    RankScreen #rank-nothing { display: none; }
    RankScreen.-empty #rank-nothing { display: block; }
    RankScreen.-empty #rank-panes { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._note = ""
        self._since = 0.0
        self._finished: PromptRanking | None = None

    def compose_body(self) -> ComposeResult:
        yield Static(id="rank-status")
        yield SearchLine(placeholder="words in prompt or answers; enter keeps, esc clears", id="rank-search")
        with Container(id="rank-panes"):
            yield VirtualTable(self._fetch, words.entry_line, id="rank-list", classes="pane")
            yield RankView()
        yield Empty(id="rank-nothing")
        yield AnswersJob(id="rank-job")
        yield Static(id="rank-reveal")

    def on_mount(self) -> None:
        """Read what there is to rank; the question has the focus."""
        self._book = RankBook(
            self, listed=self._list_prompts, shown=self._show_question, counted=self._show_status,
            failed=self._show_failure,
        )  # fmt: skip
        self._table.border_title = "Prompts"
        self._view.take_focus()

    def state(self) -> Mapping[str, Any]:
        """Category, filter and prompt, and whether one answer is shown at a time."""
        return {**self._book.state(), "single": self._view.answers.single}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._book.restore(state)
        self._view.answers.set_class(state.get("single") is True, "-single")
        self._show_search(self._book.text)

    def copyable(self) -> str:
        """The answers in front, or the order."""
        return self._view.front if self._book.asked is not None else ""

    @property
    def _job(self) -> AnswersJob:
        return self.query_one(AnswersJob)

    def _fetch(self, ids: Sequence[int]) -> Mapping[int, Entry]:
        return entries(self.store, self._book.agenda, ids)

    def refresh_data(self) -> None:
        """Read again where something was added, and what another screen asks for."""
        asked = self.take_asked()
        event, category = asked.get("prompt_event"), asked.get("category")
        if isinstance(event, int):
            self._book.find(event, self._found)
        else:
            self._book.refresh(category if isinstance(category, str) else "")

    def _found(self, event_id: int, several: bool) -> None:
        if not several:
            self._offer_answers(event_id)

    # What is shown.

    def _list_prompts(self) -> None:
        """The list and the states of emptiness, after a category was read."""
        book = self._book
        self._table.show(book.ids(), current=book.key)
        idle = book.asked is None and not book.busy and book.book is not None
        nothing = words.nothing(book.book, book.text, book.ranked_too) if idle and book.book is not None else None
        self.set_class(nothing is not None, "-empty")
        if nothing is not None:
            self.query_one("#rank-nothing", Empty).show(*nothing)
        self._show_status()
        self.refresh_bindings()

    def _show_question(self) -> None:
        """Draw what is asked now, or the order of a prompt that is ranked."""
        asked, question = self._book.asked, self._book.question
        self._since = time.monotonic()
        if asked is not None:
            self._view.tell(asked) if question is None else self._view.ask(asked, question)
            if not isinstance(self.focused, VirtualTable | SearchLine):
                self._view.take_focus()
        if asked is not None and self.focused is not self._table:
            self._table.go_to(asked.key)
        self._table.reread()
        self._show_status()
        self.refresh_bindings()

    def _show_failure(self, error: BaseException) -> None:
        self.set_class(True, "-empty")
        self.query_one("#rank-nothing", Empty).show(
            "The answers cannot be read.", [("", str(error)), ("^l", "shows the log"), ("c", "tries again")]
        )

    def _show_status(self, note: str | None = None) -> None:
        self._note = self._note if note is None else note
        book = self._book
        line = words.status(book.category, book.asked, book.left, book.figures, self._note)
        self.query_one("#rank-status", Static).update(line)
        self._table.border_subtitle = "all" if book.ranked_too else "not ranked"

    def _reveal(self, told: Content) -> None:
        self.query_one("#rank-reveal", Static).update(told)

    # Answering.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What cannot be done now is not offered."""
        if not self.is_mounted or not hasattr(self, "_book"):
            return action not in ("vote", "undo", "order", "stop", "more")
        if action == "vote":
            return self._book.ready and not self._view.tells and self.focused is not self._table
        if action == "stop":
            return self._job.at_work
        if action == "more":
            return bool(self._book.category) and not self._job.at_work
        if action == "order":
            return self._finished is not None or self._view.tells
        if action == "prompts":
            return not self.has_class("-empty")
        if action == "search":
            return not isinstance(self.focused, SearchLine)
        return True

    def action_vote(self, said: words.Said) -> None:
        """Record an answer; the next question is drawn at once."""
        asked, question = self._book.asked, self._book.question
        if asked is None or question is None or not self._book.ready:
            return
        again = asked.again is not None
        self._book.answer(words.choice_of(question, said), time.monotonic() - self._since)
        told = words.revealed(asked, question, said)
        if asked.question is None and not again:
            self._finished = asked
            told += Content("\n") + words.short_order(asked.order)
        self._reveal(told)
        self._note = ""
        self._book.go_on()

    def action_undo(self, back: bool) -> None:
        """Take the newest comparison of the category back, or restore the one that was taken back last."""
        self._book.turn(back, lambda said: self._reveal(Content(words.turned(said, back))))

    def action_more(self) -> None:
        """Ask how often a model should answer."""
        self._offer_answers(None)

    def _offer_answers(self, event_id: int | None) -> None:
        """For the prompt of an event that another screen named, or for any."""
        at_hand = event_id if event_id is not None else self._book.asked.key if self._book.asked is not None else None
        prompt = "" if at_hand is None else next((row.prompt for row in events.summaries(self.store, [at_hand])), "")
        dialog = AnswersScreen(prompt=prompt, prompt_event=at_hand, only_this=event_id is not None)
        self._job.offer(self, self._book.category, dialog, self._answers_ended)

    def _answers_ended(self, told: str, prompt_event: int | None) -> None:
        self._show_status(told)
        self._book.read(prompt_event)

    def action_stop(self) -> None:
        """Stop the model."""
        self._job.stop()

    def action_order(self) -> None:
        """The order of the prompt that was ranked last, and back."""
        if self._view.tells:
            self._show_question()
        elif self._finished is not None:
            self._view.tell(self._finished)
            self._view.take_focus()
            self.refresh_bindings()

    def action_category(self) -> None:
        """The next category."""
        self._finished = None
        self._reveal(Content(""))
        self._book.next_category()
