"""What the rank screen reads and writes; all of it runs in threads, with stores of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from core.capture.comparing import record_comparison, redo_comparison, undo_comparison
from core.categories import Category, load_categories, select_of
from core.config import load_config
from core.paths import Home
from core.select.preference.agenda import Agenda, PromptRanking, State, read_agenda, read_prompt
from core.select.preference.consistency import Consistency, consistency
from core.select.preference.merge_insertion import between
from core.select.preference.ranking import Question, repeat_due
from storage import comparisons, events
from storage.comparisons import Choice, ComparisonRow
from storage.db import Store, open_store
from storage.rows import EventFilter, EventSummary

FIRST: Final = 60
"""So many open prompts are found before the first is shown."""
_JUDGED = 5_000
"""So many of the newest comparisons tell how a person agrees with themselves."""
_REPEATED = 300
_TWICE = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list of prompts."""

    event: EventSummary
    state: State
    answers: int


@dataclass(frozen=True, slots=True)
class Figures:
    """How many comparisons are in force, how many pairs rest on them, and how far the person agrees with themselves."""

    comparisons: int = 0
    pairs: int = 0
    own: Consistency | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """One category: its agenda, the order in which its prompts are asked about, those of them that are `open` (only the
    first of them unless `whole`), and the newest event and comparison that were there."""

    category: str
    categories: tuple[str, ...]
    agenda: Agenda
    order: Sequence[int]
    open: Sequence[int]
    mark: tuple[int, int]
    places: Mapping[int, int]
    whole: bool = False

    def place(self, key: int) -> int:
        """Where a prompt stands in the order."""
        return self.places.get(key, -1)


def read_book(home: Home, category: str, text: str) -> Book:
    """Read a category, without a name the first that has prompts to rank; `text` filters the prompts."""
    config, known = load_config(home), load_categories(home)
    with open_store(home.store) as store:
        names = tuple(events.category_names(store))
        percent = {name: select_of(known.get(name, Category(name, name)), config).held_out_percent for name in names}
        if category not in names:
            category = next(
                (name for name in names if comparisons.several(store, name, held_out_percent=percent[name])),
                names[0] if names else "",
            )
        at = comparisons.newest(store, category)
        agenda = read_agenda(store, category, held_out_percent=percent.get(category, 0))
        order = agenda.order()
        if text:
            found = set(events.event_ids(store, EventFilter(category=category, text=text), order="id"))
            order = [key for key in order if not found.isdisjoint(agenda.answers(key))]
        places = {key: place for place, key in enumerate(order)}
        return Book(category, names, agenda, order, list(islice(agenda.open(order), FIRST)), at, places)


def read_whole(book: Book) -> Book:
    """The book with all open prompts: rankings of thousands of prompts take a while to be replayed."""
    return replace(book, open=list(book.agenda.open(book.order)), whole=True)


def read_figures(home: Home, category: str) -> Figures:
    """Count what was said, and look for repeats and circles in it."""
    with open_store(home.store) as store:
        said = comparisons.recent(store, category, _JUDGED)
        return Figures(
            comparisons.counts(store).get(category, 0), comparisons.pairs_made(store, category), consistency(said)
        )


def read_asked(home: Home, event_id: int) -> tuple[str, tuple[int, ...]]:
    """The category of an event, and the different answers to its prompt."""
    with open_store(home.store) as store:
        return events.get(store, event_id).category, comparisons.answers_to(store, event_id)


def read_next(
    home: Home, category: str, agenda: Agenda, keys: Sequence[int], repeated: Collection[frozenset[int]]
) -> PromptRanking | None:
    """The next prompt to be asked about: a comparison that is due a second time and not among those `repeated` already,
    else the first of `keys` that has a question."""
    with open_store(home.store) as store:
        again = _again(store, category, agenda, repeated)
        if again is not None:
            return again
        for key in keys:
            found = read_prompt(store, key, agenda.answers(key))
            if found is not None and found.question is not None:
                return found
    return None


def _again(store: Store, category: str, agenda: Agenda, repeated: Collection[frozenset[int]]) -> PromptRanking | None:
    said = [row for row in comparisons.recent(store, category, _REPEATED) if between(row) not in repeated]
    due = repeat_due(said, seed=0)
    if due is None or len(comparisons.of_pair(store, due.first, due.second)) >= _TWICE:
        return None
    key = agenda.prompt_of(due.first)
    return None if key is None else read_prompt(store, key, (due.first, due.second), again=due)


def entries(store: Store, agenda: Agenda, keys: Sequence[int]) -> Mapping[int, Entry]:
    """Lines of the list."""
    return {
        row.id: Entry(row, agenda.state(row.id), len(agenda.answers(row.id)))
        for row in events.summaries(store, [key for key in keys if key in agenda])
    }


def record(store: Store, *, category: str, question: Question, choice: Choice, seconds: float) -> int:
    """Keep an answer; the newest row of the log after it."""
    record_comparison(store, question.first, question.second, choice, swapped=question.swapped, seconds=seconds)
    return comparisons.newest(store, category)[1]


@dataclass(frozen=True, slots=True)
class Turned:
    """What an undo took back or a redo restored (None: nothing was left), and the newest row of the log after it."""

    said: ComparisonRow | None
    newest: int


def turn(store: Store, *, category: str, back: bool) -> Turned:
    """Take the newest comparison back, or restore the one that was taken back last."""
    said = undo_comparison(store, category) if back else redo_comparison(store, category)
    return Turned(said, comparisons.newest(store, category)[1])
