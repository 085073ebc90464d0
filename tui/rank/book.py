"""The questions of the rank screen: which is asked, what is said to it, which comes next; and undo."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from core.select.preference.agenda import PromptRanking, read_prompt
from core.select.preference.ranking import Vote
from storage.comparisons import Choice, ComparisonRow
from storage.db import Store
from tui.rank import reading
from tui.rank.prompts import RankPrompts
from tui.rank.reading import Turned

_AHEAD: Final = 40
_SOMETHING: Final = -1
"""What is on its way is not known yet: the next prompt, or the one that an undo leads to."""


class RankBook(RankPrompts):
    """Reads prompts and records what is said of them, in the order in which it is said."""

    # Reading a prompt.

    def open(self, key: int) -> None:
        """Ask about this prompt."""
        if key in self.agenda and (self._loading or self.key) != key:
            self._load(key)

    def _load(self, key: int) -> None:
        answers = self.agenda.answers(key)
        self._loading = key
        # In the writing thread, so that what was said of the prompt just now is read with it.
        self._write(partial(read_prompt, key=key, answers=answers), "reading a prompt", partial(self._loaded, key))

    def _loaded(self, key: int, found: PromptRanking | None) -> None:
        if self._loading != key:
            return
        self._loading = None
        if found is not None and key in self.agenda:
            self.agenda.told(key, found.ranking.log)
            (self._open.discard if found.question is None else self._open.add)(key)
            self._show(found)

    def _show(self, asked: PromptRanking) -> None:
        self.asked, self._next, self._loading = asked, None, None
        if asked.again is not None:
            self._repeated.add(frozenset((asked.again.first, asked.again.second)))
        self._shown()
        self._read_ahead()

    def _read_ahead(self) -> None:
        book, asked = self.book, self.asked
        if book is None or asked is None:
            return
        keys = [key for key in book.open if key in self._open and key != asked.key]
        later = [key for key in keys if book.place(key) > book.place(asked.key)]
        wanted = [*later, *keys][:_AHEAD]
        home, repeated = self._screen.home, frozenset(self._repeated)
        self._screen.in_background(
            partial(reading.read_next, home, self.category, book.agenda, wanted, repeated),
            group="next", description="reading the next prompt", then=self._ahead,
        )  # fmt: skip

    def _ahead(self, found: PromptRanking | None) -> None:
        self._next = found
        if self._loading == _SOMETHING and self.question is None:
            self._go_to_next()

    def _go_to_next(self) -> None:
        self._loading = None
        if self._next is not None:
            self._show(self._next)
        elif not self.ranked_too:
            self.asked = None
            self._listed()

    # Saying.

    def answer(self, choice: Choice, seconds: float) -> None:
        """Record what is said to the question; `asked` then has the next one, or none."""
        asked, question = self.asked, self.question
        assert asked is not None and question is not None
        if asked.again is None:
            vote = asked.ranking.answer(choice)
        else:
            vote = Vote(question.first, question.second, choice)
            asked.ranking.log.append(vote)
            asked.again = None
        self.agenda.add(asked.key, vote)
        self._unwritten += 1
        self._write(
            partial(reading.record, category=self.category, question=question, choice=choice, seconds=seconds),
            "recording a comparison", self._recorded, partial(self._not_recorded, asked.key),
        )  # fmt: skip

    def _recorded(self, newest: int) -> None:
        self._unwritten -= 1
        self._mark = (self._mark[0], newest)
        self._count()

    def _not_recorded(self, key: int, _: BaseException) -> None:
        self._unwritten -= 1
        self.read(key)

    def go_on(self) -> None:
        """Show the next question: of this prompt, else of the next one, which is mostly read already."""
        asked = self.asked
        if asked is None or asked.question is not None:
            self._shown()
            return
        self._open.discard(asked.key)
        waits = self._next is None and bool(self._open)
        self._loading = _SOMETHING if waits else None
        if waits:
            self._shown()
            self._read_ahead()
        else:
            self._go_to_next()

    def turn(self, back: bool, tell: Callable[[ComparisonRow | None], None]) -> None:
        """Take the newest comparison back (else restore the one taken back last), and go to its prompt."""
        if self.category:
            self._loading = self._loading or _SOMETHING
            self._write(
                partial(reading.turn, category=self.category, back=back), "undoing a comparison",
                partial(self._turned, tell),
            )  # fmt: skip

    def _turned(self, tell: Callable[[ComparisonRow | None], None], done: Turned) -> None:
        self._mark = (self._mark[0], done.newest)
        if self._loading == _SOMETHING:
            self._loading = None
        key = None if done.said is None else self.agenda.prompt_of(done.said.first_event)
        if key is not None:
            self._load(key)
        self._count()
        tell(done.said)

    def _write(
        self,
        work: Callable[[Store], Any],
        doing: str,
        then: Callable[[Any], None],
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        def where_shown(call: Callable[[Any], None]) -> Callable[[Any], None]:
            return lambda value: call(value) if self._screen.is_attached else None

        self._screen.finetune.write(
            work, doing=doing, then=where_shown(then), failed=where_shown(failed) if failed is not None else None
        )
