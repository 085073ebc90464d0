"""What the rank screen goes through: the prompts of one category, read in threads, and where in them one is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from core.select.preference.agenda import Agenda, PromptRanking
from core.select.preference.ranking import Question
from storage import comparisons
from tui.rank import reading
from tui.rank.reading import Book, Figures
from tui.screens.base import BaseScreen


class RankPrompts(ABC):
    """Reads and writes for `screen`. `listed` is called when there is another list, `shown` when there is another
    question, `counted` when there are other figures, `failed` when a category cannot be read."""

    def __init__(
        self,
        screen: BaseScreen,
        *,
        listed: Callable[[], None],
        shown: Callable[[], None],
        counted: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._screen = screen
        self._listed = listed
        self._shown = shown
        self._counted = counted
        self._failed = failed
        self._next: PromptRanking | None = None
        self._wanted: int | None = None
        self._left_at: int | None = None
        self._loading: int | None = None
        self._repeated: set[frozenset[int]] = set()
        self._open: set[int] = set()
        self._mark = (-1, -1)
        self._unwritten = 0
        self.book: Book | None = None
        self.category = ""
        self.text = ""
        self.ranked_too = False
        self.asked: PromptRanking | None = None
        self.figures = Figures()

    def state(self) -> dict[str, Any]:
        """What the next start finds again."""
        return {"category": self.category, "text": self.text, "ranked": self.ranked_too, "prompt": self.key}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take it up."""
        self.category = str(state.get("category") or "")
        self.text = str(state.get("text") or "")
        self.ranked_too = state.get("ranked") is True
        prompt = state.get("prompt")
        self._left_at = prompt if isinstance(prompt, int) else None

    @property
    def agenda(self) -> Agenda:
        """All prompts of the category."""
        return self.book.agenda if self.book is not None else Agenda((), ())

    @property
    def key(self) -> int | None:
        """The prompt at hand."""
        return self.asked.key if self.asked is not None else self._left_at

    @property
    def question(self) -> Question | None:
        """What is asked now."""
        return self.asked.question if self.asked is not None else None

    @property
    def ready(self) -> bool:
        """Whether the question that is shown may be answered: no other one is on its way."""
        return self.question is not None and self._loading is None

    @property
    def busy(self) -> bool:
        """Whether another question is on its way."""
        return self._loading is not None

    @property
    def left(self) -> str:
        """How many prompts are not ranked, with a `+` while more are being found."""
        more = self.book is not None and not self.book.whole and len(self._open) >= reading.FIRST
        return f"{len(self._open):,}{'+' if more else ''} prompt{'' if len(self._open) == 1 else 's'}"

    def ids(self) -> array[int]:
        """The prompts of the list."""
        book = self.book
        return array("q", () if book is None else book.order if self.ranked_too else book.open)

    # Reading a category.

    def refresh(self, category: str) -> None:
        """Read another category that is asked for, or this one where something was added to it."""
        if category and category != self.category:
            self.begin(category)
        elif self.book is None or (
            not self._unwritten and comparisons.newest(self._screen.store, self.category) != self._mark
        ):
            self.read()

    def find(self, event_id: int, then: Callable[[int, bool], None]) -> None:
        """Go to the prompt that an event answers; `then` is told the event, and whether it has several answers."""

        def found(told: tuple[str, tuple[int, ...]]) -> None:
            category, answers = told
            self._wanted = event_id
            if category != self.category:
                self.begin(category, event_id)
            else:
                self.read()
            then(event_id, len(answers) > 1)

        self._screen.in_background(
            partial(reading.read_asked, self._screen.home, event_id), group="asked", description="finding the prompt",
            then=found,
        )  # fmt: skip

    def begin(self, category: str, wanted: int | None = None) -> None:
        """Go to a category."""
        self.category, self.text, self._wanted = category, "", wanted
        self.asked = self._next = self._loading = self.book = None
        self.read()

    def next_category(self) -> None:
        """Go to the category after this one; where it could not be read, try again."""
        names = self.book.categories if self.book is not None else ()
        if self.book is None:
            self.read()
        elif names:
            at = names.index(self.category) if self.category in names else -1
            self.begin(names[(at + 1) % len(names)])

    def search(self, text: str) -> None:
        """List the prompts with these words."""
        if text != self.text:
            self.text = text
            self.read()

    def toggle_ranked(self) -> None:
        """List the ranked prompts too, or not."""
        self.ranked_too = not self.ranked_too
        if self.book is not None:
            self._take_up(self.book)

    def read(self, wanted: int | None = None) -> None:
        """Read the category anew; what is asked stays, unless an event's prompt is `wanted`."""
        self._wanted = self._wanted if wanted is None else wanted
        home, category, text = self._screen.home, self.category, self.text

        def whole(book: Book) -> None:
            if self.book is None or self.book.agenda is not book.agenda:
                return
            if self.asked is None and not self.busy:
                self._take_up(book)
            else:
                # The list alone has grown: what is asked, or on its way, stays even where the list has not got it.
                self.book, self._open = book, set(book.open)
                self._read_ahead()
                self._listed()

        def done(book: Book) -> None:
            if (category, text) == (self.category, self.text):
                self.category, self._mark = book.category, book.mark
                self._take_up(book)
                self._count()
                self._screen.in_background(
                    partial(reading.read_whole, book), group="whole", description="finding what is ranked", then=whole
                )

        pane = self._screen.query_one("#rank-panes") if self.book is None else None
        self._screen.in_background(
            partial(reading.read_book, home, category, text), group="book", description="reading the answers",
            then=done, failed=self._failed, pane=pane, in_turn=True,
        )  # fmt: skip

    def _take_up(self, book: Book) -> None:
        """Ask about the wanted prompt, else await what is on its way, else go on with the one at hand or the first."""
        self.book, self._open = book, set(book.open)
        wanted = None if self._wanted is None else book.agenda.prompt_of(self._wanted)
        listed = self.ids()
        first = self._left_at if self._left_at in listed else next(iter(listed), None)
        if wanted is not None:
            self._wanted = None
            self._load(wanted)
        elif self._loading in listed:
            pass
        elif self.asked is not None and (self.asked.key in listed or self.asked.again is not None):
            self._read_ahead()
        elif first is not None:
            self._load(first)
        else:
            self.asked = None
        self._listed()

    def _count(self) -> None:
        def done(figures: Figures) -> None:
            self.figures = figures
            self._counted()

        self._screen.in_background(
            partial(reading.read_figures, self._screen.home, self.category), group="figures",
            description="counting comparisons", then=done, in_turn=True,
        )  # fmt: skip

    @abstractmethod
    def _load(self, key: int) -> None:
        """Ask about another prompt."""

    @abstractmethod
    def _read_ahead(self) -> None:
        """Find the prompt that comes after the one at hand."""
