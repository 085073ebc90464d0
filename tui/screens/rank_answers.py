"""How often and to what a model should answer again, before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from textual.content import Content

from core.capture.more_answers import FEWEST, MOST
from tui.screens.row_choice import RowChoice
from tui.text import safe
from tui.words import counted

_PROMPTS: Final = (1, 5, 10, 20, 50, 100)


@dataclass(frozen=True, slots=True)
class Wanted:
    """So many answers each, to the prompt of an event (None: to so many prompts)."""

    answers: int
    prompts: int
    prompt_event: int | None


class AnswersScreen(RowChoice[Wanted]):
    """Asks how many prompts and answers; `prompt` is the text of the one at hand, the event `prompt_event`."""

    HELP = "rank"

    def __init__(self, *, prompt: str = "", prompt_event: int | None = None, only_this: bool = False) -> None:
        super().__init__("Let the model answer again")
        self._prompt = prompt
        self._event = prompt_event
        self._this = only_this and prompt_event is not None
        self._prompts = 2
        self._answers = 3

    @property
    def rows(self) -> Sequence[tuple[str, str]]:
        """Whether it is about this prompt, how many prompts where it is not, and how many answers."""
        rows = []
        if self._event is not None:
            rows.append(("this", "this prompt only" if self._this else "the prompts that teach most"))
        if not self._this:
            rows.append(("prompts", counted(_PROMPTS[self._prompts], "prompt")))
        return [*rows, ("answers", f"{self._answers} answers to each")]

    def change(self, name: str, step: int) -> None:
        """Take the next or the former choice of a line."""
        if name == "this":
            self._this = not self._this
        elif name == "prompts":
            self._prompts = max(0, min(len(_PROMPTS) - 1, self._prompts + step))
        else:
            self._answers = max(FEWEST, min(MOST, self._answers + step))

    def below(self) -> Sequence[Content]:
        """The prompt where it is about one, and who answers."""
        prompt = [Content(""), safe(self._prompt, "$text-muted", one_line=True, limit=180)] if self._this else []
        return [
            *prompt,
            Content(""),
            Content.styled(
                "What serves answers, else the newest version, else the untouched base model, at a temperature of 0.8 "
                "or more. Every answer is recorded and scored; then you say which is better.",
                "$text-muted",
            ),
        ]

    def chosen(self) -> Wanted:
        """What is wanted of the model."""
        return Wanted(self._answers, _PROMPTS[self._prompts], self._event if self._this else None)
