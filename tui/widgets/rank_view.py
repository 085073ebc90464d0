"""The middle of the rank screen: a question about two answers, or the order of a prompt that is ranked."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.widgets import Static

from core.select.preference.agenda import PromptRanking
from core.select.preference.ranking import Question
from tui.rank.words import whole_order
from tui.widgets.two_answers import Side, TwoAnswers


class RankView(Container):
    """`ask` draws a question, `tell` an order."""

    DEFAULT_CSS = """
    RankView { width: 1fr; height: 1fr; }
    RankView #rank-order { display: none; height: 1fr; scrollbar-size-vertical: 1; }
    RankView #rank-order Static { height: auto; }
    RankView.-order #rank-order { display: block; }
    RankView.-order #rank-question { display: none; }
    """

    def compose(self) -> ComposeResult:
        yield TwoAnswers(id="rank-question")
        with VerticalScroll(id="rank-order", classes="pane") as order:
            order.border_title = "The order, the best first"
            order.border_subtitle = "esc back"
            yield Static(id="rank-order-text")

    @property
    def answers(self) -> TwoAnswers:
        """The two answers."""
        return self.query_one(TwoAnswers)

    @property
    def tells(self) -> bool:
        """Whether an order is shown."""
        return self.has_class("-order")

    @property
    def front(self) -> str:
        """The text that is in front."""
        return str(self.query_one("#rank-order-text", Static).visual) if self.tells else self.answers.front

    def ask(self, asked: PromptRanking, question: Question) -> None:
        """Draw two answers, and nothing that tells whose they are."""
        self.set_class(False, "-order")
        left, right = asked.answers[question.left], asked.answers[question.right]
        self.answers.show(left.prompt, Side(left.response, "a  Left"), Side(right.response, "b  Right"))

    def tell(self, asked: PromptRanking) -> None:
        """Draw the order, with whose the answers are."""
        self.query_one("#rank-order-text", Static).update(whole_order(asked))
        self.query_one("#rank-order").scroll_home(animate=False)
        self.set_class(True, "-order")

    def take_focus(self) -> None:
        """Keys are for what is shown."""
        (self.query_one("#rank-order") if self.tells else self.answers).focus()
