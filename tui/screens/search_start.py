"""How large a search for training settings should be, before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual.content import Content

from tui.runs.search import SearchView
from tui.runs.search_work import SearchWish
from tui.screens.row_choice import RowChoice
from tui.text import safe
from tui.words import counted, duration

_TRIALS: Final = (5, 10, 20, 30, 50, 100, 200, 500)
_USUAL: Final = 20
_LIMITS: Final = (None, 100, 200, 500, 1_000, 2_000)


class SearchStartScreen(RowChoice[SearchWish]):
    """Asks how many trials, on how many examples, and whether the search that is there (`known`) goes on."""

    HELP = "train"

    def __init__(self, category: str, base: str, known: SearchView | None) -> None:
        super().__init__("Search training settings")
        self._category = category
        self._base = base
        self._known = known
        self._fresh = known is None
        self._limit = 0
        fewest = _USUAL if known is None else known.done + 1
        self._trials = next((at for at, count in enumerate(_TRIALS) if count >= fewest), len(_TRIALS) - 1)

    @property
    def rows(self) -> Sequence[tuple[str, str]]:
        """Going on or anew where there is a search, the trials, and the examples of a new one."""
        rows = []
        if self._known is not None:
            rows.append(("fresh", "anew, on today's feedback" if self._fresh else "go on with the one there is"))
        rows.append(("trials", f"{counted(_TRIALS[self._trials], 'trial')} in all"))
        if self._fresh:
            limit = _LIMITS[self._limit]
            rows.append(("limit", "all examples" if limit is None else f"the {limit:,} most informative"))
        return rows

    def change(self, name: str, step: int) -> None:
        """Take the next or the former choice of a line."""
        if name == "fresh":
            self._fresh = not self._fresh
        elif name == "trials":
            self._trials = max(0, min(len(_TRIALS) - 1, self._trials + step))
        else:
            self._limit = max(0, min(len(_LIMITS) - 1, self._limit + step))

    def below(self) -> Sequence[Content]:
        """What it is about, how long it will take where that can be told, and what it does meanwhile."""
        base = f" on {self._base}" if self._base else ""
        return [
            Content(""),
            safe(f"{self._category}{base}{self._time()}", "bold", one_line=True),
            Content.styled(
                "Each trial trains with other settings on the same examples and answers prompts that are kept apart; "
                "hopeless ones are cut short. It goes on when you leave the app, gives way to training runs, and can "
                "be stopped and gone on with at any time.",
                "$text-muted",
            ),
        ]

    def _time(self) -> str:
        told = [trial.seconds for trial in self._known.trials if trial.seconds] if self._known is not None else []
        left = _TRIALS[self._trials] - (0 if self._fresh or self._known is None else self._known.done)
        if not told or left <= 0:
            return ""
        each = sum(told) / len(told)
        return f" · about {duration(each * left)} at {duration(each)} a trial"

    def chosen(self) -> SearchWish:
        """The search as it is wanted."""
        fresh = self._fresh and self._known is not None
        limit = _LIMITS[self._limit] if self._fresh else None
        return SearchWish(self._category, self._base, _TRIALS[self._trials], limit, fresh)
