"""Which prompts a person may rank the answers of, in which order they are asked about, and where each stands.

First comes what was begun; then the prompts whose answers the scores hardly tell apart, since a person says there what
no validator does; of those the ones with more answers, then the newer ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.select.preference.merge_insertion import Told, between, most_questions
from core.select.preference.ranking import MOST, Question, Ranking
from storage import comparisons, events
from storage.comparisons import Several
from storage.db import Store
from storage.rows import EventRow

State = Literal["new", "begun", "ranked"]
_GAP_STEP: Final = 10.0


def taking_part(answers: Sequence[int], log: Sequence[Told]) -> list[int]:
    """Up to 10 of the answers to one prompt: those that were compared before, then the newest."""
    compared = {event for told in log for event in (told.first_event, told.second_event)}
    order = sorted(answers, key=lambda event: (event not in compared, -event))
    return sorted(order[:MOST])


class Agenda:
    """The prompts of one category, each known by its first answer, with what was said of their answers.

    Whether a prompt is ranked follows mostly from how often it was compared; where it does not it is found out when
    asked, and remembered.
    """

    def __init__(self, prompts: Iterable[Several], log: Iterable[Told]) -> None:
        self._prompts = {each.answers[0]: each for each in prompts}
        self._home = {event: key for key, each in self._prompts.items() for event in each.answers}
        self._logs: dict[int, list[Told]] = {}
        self._states: dict[int, State] = {}
        for told in log:
            key = self._home.get(told.first_event)
            if key is not None and key == self._home.get(told.second_event):
                self._logs.setdefault(key, []).append(told)

    def __len__(self) -> int:
        return len(self._prompts)

    def __contains__(self, key: object) -> bool:
        return key in self._prompts

    def prompt_of(self, event_id: int) -> int | None:
        """The prompt that an event answers, as it is known here."""
        return self._home.get(event_id)

    def answers(self, key: int) -> tuple[int, ...]:
        """All different answers to a prompt."""
        return self._prompts[key].answers

    def add(self, key: int, told: Told) -> None:
        """One more thing was said of a prompt's answers."""
        self._logs.setdefault(key, []).append(told)
        self._states.pop(key, None)

    def told(self, key: int, log: Sequence[Told]) -> None:
        """What was said of a prompt's answers is now this."""
        if log:
            self._logs[key] = list(log)
        else:
            self._logs.pop(key, None)
        self._states.pop(key, None)

    def state(self, key: int) -> State:
        """Where a prompt stands."""
        known = self._states.get(key)
        if known is None:
            known = self._states[key] = self._surely(key) or self._replayed(key)
        return known

    def order(self) -> list[int]:
        """All prompts as they are asked about: the begun ones first, ranked ones among them."""
        return sorted(self._prompts, key=self._place)

    def open(self, order: Sequence[int]) -> Iterator[int]:
        """Those of `order` that are not ranked yet."""
        return (key for key in order if self.state(key) != "ranked")

    def _place(self, key: int) -> tuple[bool, float, int, int]:
        each = self._prompts[key]
        gap = -1.0 if each.gap is None else each.gap // _GAP_STEP
        return key not in self._logs, gap, -len(each.answers), -key

    def _surely(self, key: int) -> State | None:
        log = self._logs.get(key)
        if not log:
            return "new"
        k, told = min(MOST, len(self._prompts[key].answers)), len({between(one) for one in log})
        # With fewer comparisons the answers do not hang together; with all of them nothing is left to ask.
        return "begun" if told < k - 1 else "ranked" if told >= k * (k - 1) // 2 else None

    def _replayed(self, key: int) -> State:
        log = self._logs[key]
        return "ranked" if Ranking(taking_part(self._prompts[key].answers, log), log).order() else "begun"


def read_agenda(store: Store, category: str, *, held_out_percent: int) -> Agenda:
    """The agenda of a category as the store has it now; 0.4 s for 20,000 prompts and 100,000 comparisons."""
    return Agenda(
        comparisons.several(store, category, held_out_percent=held_out_percent), comparisons.said(store, category)
    )


@dataclass(slots=True)
class PromptRanking:
    """One prompt with those of its answers that take part, and their ranking so far. `key` is the agenda's."""

    key: int
    answers: dict[int, EventRow]
    ranking: Ranking
    again: Question | None = None

    @property
    def question(self) -> Question | None:
        """What to ask now, None when the order is known. A comparison that is asked `again` stands alone."""
        if self.again is not None:
            return self.again
        return None if self.ranking.order() else self.ranking.next_question()

    @property
    def number(self) -> int:
        """Which question this is, from 1."""
        return 1 if self.again is not None else len({between(told) for told in self.ranking.log}) + 1

    @property
    def about(self) -> int:
        """How many questions it takes at most, so far as is known."""
        return 1 if self.again is not None else max(most_questions(len(self.answers)), self.number)

    @property
    def order(self) -> list[list[EventRow]]:
        """The answers in groups of equals, the best first; empty while it is not known."""
        return [[self.answers[event] for event in group] for group in self.ranking.order()]


def read_prompt(
    store: Store, key: int, answers: Sequence[int], *, again: Question | None = None
) -> PromptRanking | None:
    """A prompt to be asked about, from its answers; None where fewer than two of them are left."""
    log = comparisons.among(store, answers)
    rows = {row.id: row for row in events.get_many(store, taking_part(answers, log))}
    return PromptRanking(key, rows, Ranking(list(rows), log), again) if len(rows) > 1 else None
