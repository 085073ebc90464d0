"""The answers of a sitting, side by side or one below the other."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container

from core.playground.desk import Arm
from core.playground.take import Take
from tui.play.look import side, title
from tui.play.session import PlaySession
from tui.widgets.answer_pane import AnswerPane


class Answers(Container):
    """`show` draws what stands in the session; `front` is the answer that a key means."""

    DEFAULT_CSS = """
    Answers { height: 1fr; layout: horizontal; }
    Answers #right { display: none; }
    Answers.-two #right { display: block; }
    """

    def __init__(self, session: PlaySession, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._session = session

    def compose(self) -> ComposeResult:
        yield AnswerPane(id="left", classes="pane")
        yield AnswerPane(id="right", classes="pane")

    def show(self) -> None:
        """Draw all anew."""
        session = self._session
        self.set_class(len(session.takes) == 2, "-two")
        for place, pane in enumerate(self.query(AnswerPane)):
            arm = session.arm_at(place)
            take = session.takes[arm] if arm is not None else None
            pane.border_title = title(
                place + 1,
                take,
                hidden=session.hidden,
                verdict=session.verdicts.get(take) if take is not None else None,
                mark=side(place, session.better),
            )
            pane.show(take, hidden=session.hidden)

    def poll(self) -> None:
        """Draw what has come since."""
        for pane in self.query(AnswerPane):
            pane.poll()

    def redraw(self, take: Take) -> None:
        """More is known of an answer that is over."""
        for place, pane in enumerate(self.query(AnswerPane)):
            arm = self._session.arm_at(place)
            if arm is not None and self._session.takes[arm] is take:
                pane.redraw_ending()

    def enter(self) -> None:
        """The focus goes to the first answer, where it is not on one."""
        if not isinstance(self.screen.focused, AnswerPane):
            self.screen.set_focus(self.query_one("#left"))

    @property
    def front(self) -> Arm | None:
        """The arm of the pane that has the focus; that of the only one, also where the focus is nowhere."""
        focused = self.screen.focused
        if len(self._session.takes) < 2:
            return self._session.arm_at(0) if focused is None or isinstance(focused, AnswerPane) else None
        return self._session.arm_at(int(focused.id == "right")) if isinstance(focused, AnswerPane) else None
