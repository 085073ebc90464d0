"""Blind votes: two answers to one prompt, nobody says whose they are, and one key decides."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from core.prove.voting import Ballot, Question, Sitting
from storage import ab_votes
from storage.ab_votes import AbVoteRow
from storage.db import Store
from tui.app import FinetuneApp
from tui.screens.base import BaseScreen
from tui.text import safe
from tui.widgets.two_answers import Side, TwoAnswers
from tui.words import counted, number

_SAID: Mapping[Ballot, str] = {
    "left": "1 is better",
    "right": "2 is better",
    "tie": "no difference",
    "both_good": "both good",
    "both_bad": "both bad",
}
_SCORES = {"left": "The scores say 1.", "right": "The scores say 2.", "tie": "The scores see no difference."}


class VoteScreen(ModalScreen[int]):
    """Asks the open questions of a sitting; `names` are those of the versions. Returns how many votes were given.

    Names and scores of a pair are shown when it has been voted on, never before. A vote is on the disk before the next
    one is written; undo takes back the newest vote on these versions, as often as there is one.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "vote('left')", "Better", id="vote.left", tooltip="The first answer is better"),
        Binding("2", "vote('right')", "Better", id="vote.right", tooltip="The second answer is better"),
        Binding("t", "vote('tie')", "Tie", id="vote.tie", tooltip="No difference"),
        Binding("b", "vote('both_good')", "Both good", id="vote.both_good", tooltip="Both are good, and as good"),
        Binding("n", "vote('both_bad')", "Both bad", id="vote.both_bad", tooltip="Neither is any good"),
        Binding("s", "vote('skip')", "Skip", id="vote.skip", tooltip="Say nothing of this pair"),
        Binding("u", "undo", "Undo", id="vote.undo", tooltip="Take the last vote back, as often as you like"),
        Binding("escape,q", "close", "Back", id="vote.close", tooltip="Back to the scoreboard"),
        Binding("question_mark,f1", "help", "Help", show=False, id="vote.help", tooltip="What the keys do here"),
    ]
    HORIZONTAL_BREAKPOINTS = BaseScreen.HORIZONTAL_BREAKPOINTS
    DEFAULT_CSS = """
    VoteScreen { background: $background; }
    VoteScreen #vote-head { height: auto; padding: 0 1; }
    VoteScreen #vote-last { height: auto; padding: 0 1; color: $text-muted; }
    VoteScreen.-done #vote-question { display: none; }
    """

    def __init__(self, sitting: Sitting, names: Mapping[int, str]) -> None:
        super().__init__()
        self._sitting = sitting
        self._names = names
        self._waiting = [question for question in sitting.questions if question.key not in sitting.answered]
        self._votes = 0
        self._since = time.monotonic()

    def compose(self) -> ComposeResult:
        """How far, the prompt, both answers, and what was revealed last."""
        yield Static(id="vote-head")
        yield TwoAnswers(id="vote-question")
        yield Static(id="vote-last")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Ask the first one."""
        # Neither side has the focus: it would look like a choice.
        self.query_one(TwoAnswers).focus()
        self._show()

    @property
    def question(self) -> Question | None:
        """What is asked now; None when everything is answered."""
        return self._waiting[0] if self._waiting else None

    @property
    def _finetune(self) -> FinetuneApp:
        assert isinstance(self.app, FinetuneApp)
        return self.app

    def _show(self) -> None:
        question, total = self.question, len(self._sitting.questions)
        self.set_class(question is None, "-done")
        self._since = time.monotonic()
        head = self.query_one("#vote-head", Static)
        if question is None:
            told = f"Nothing is left to vote on: {counted(total, 'pair')} with different answers, all answered."
            head.update(Content.styled(told, "bold") + "\n\nesc goes back to the verdict, in which every vote counts.")
        else:
            left_over = counted(len(self._waiting), "pair")
            head.update(Content(f"Which answer is better? {left_over} of {total} to go."))
            left, right = Side(question.left.text, "1"), Side(question.right.text, "2")
            self.query_one(TwoAnswers).show(question.prompt, left, right)
        self.refresh_bindings()

    def _reveal(self, text: str) -> None:
        self.query_one("#vote-last", Static).update(safe(text))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There must be something to vote on."""
        return self.question is not None if action == "vote" else True

    def action_vote(self, said: Ballot) -> None:
        """Record a vote, tell whose answers they were, and ask the next one."""
        question = self.question
        if question is None:
            return
        seconds = time.monotonic() - self._since

        def work(store: Store) -> None:
            ab_votes.add(
                store,
                at=time.time(),
                test_id=question.test_id,
                position=question.position,
                choice=question.choice(said),
                swapped=question.swapped,
                seconds=seconds,
            )

        self._finetune.write(work, doing="recording a vote", failed=lambda _: self._ask_again(question))
        del self._waiting[0]
        if said == "skip":
            self._reveal("Skipped.")
        else:
            self._votes += 1
            self._reveal(revealed(question, said, self._names))
        self._show()

    def _ask_again(self, question: Question) -> None:
        if self.is_attached:
            self._waiting.insert(0, question)
            self._reveal("What was said could not be kept.")
            self._show()

    def action_undo(self) -> None:
        """Take the newest vote on these versions back and ask again."""
        tests = self._sitting.tests

        def work(store: Store) -> AbVoteRow | None:
            last = ab_votes.last(store, tests)
            return ab_votes.undo(store, last.id, at=time.time()) if last is not None else None

        self._finetune.write(work, doing="undoing a vote", then=self._undone)

    def _undone(self, vote: AbVoteRow | None) -> None:
        if not self.is_attached:
            return
        if vote is None:
            self._reveal("Nothing is left to take back.")
            return
        key = (vote.test_id, vote.position)
        again = [question for question in self._sitting.questions if question.key == key]
        self._waiting = [*again, *(question for question in self._waiting if question.key != key)]
        self._reveal("Taken back.")
        self._show()

    def copyable(self) -> str:
        """The answers in front."""
        return self.query_one(TwoAnswers).front if self.question is not None else ""

    def action_help(self) -> None:
        """What is asked here, and the keys."""
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen("vote", self.active_bindings))

    def action_close(self) -> None:
        """Back, with the number of votes."""
        self.dismiss(self._votes)


def revealed(question: Question, said: Ballot, names: Mapping[int, str]) -> str:
    """Whose answers were voted on, with their scores, and whom the scores prefer."""
    sides = []
    for number_, shown in (("1", question.left), ("2", question.right)):
        score = f" (score {number(shown.score)})" if shown.score is not None else ""
        sides.append(f"{number_} was {names.get(shown.version, f'version {shown.version}')}{score}")
    scored = question.scored
    return " ".join([f"You said: {_SAID[said]}.", f"{', '.join(sides)}.", _SCORES[scored] if scored else ""]).strip()
