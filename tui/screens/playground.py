"""Trying models: a prompt, the answers as they come, and one key that makes feedback of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tui.play.session import Better
from tui.screens.play_asking import AskingScreen

if TYPE_CHECKING:
    from storage.rows import Verdict

_ON_ANSWERS: Final = frozenset({"judge", "correct", "keep", "follow_up", "again"})


class PlaygroundScreen(AskingScreen):
    """What a person says of the answers is recorded; nothing else is."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        take = self.front
        if action in _ON_ANSWERS:
            return take is not None and (not take.running if action == "again" else take.usable)
        if action == "vote":
            return len(self.session.takes) == 2 and all(one.usable for one in self.session.takes.values())
        if action == "write":
            return self.focused is not self.box
        return {"undo": self.session.can_undo, "stop": self.desk.busy}.get(action, True)

    def action_judge(self, kind: Verdict) -> None:
        """Record a verdict on the answer in front."""
        if (take := self.front) is not None:
            self.session.judge(take, kind, self.show)

    def action_correct(self) -> None:
        """Open the editor on the answer in front."""
        if (take := self.front) is not None:
            self.feedback.correct(take, self.show)

    def action_keep(self) -> None:
        """Record the answer in front, and say nothing of it."""
        if (take := self.front) is not None:
            self.session.keep(take, self.show)

    def action_vote(self, better: Better) -> None:
        """Record which answer is better."""
        self.session.vote(better, self.show)

    def action_undo(self) -> None:
        """Take back what was said last."""
        self.session.undo(self.show)

    def copyable(self) -> str:
        """The answer in front, which counts as copied from now on; else the prompt."""
        take = self.front
        if take is None or not take.text:
            return self.box.prompt
        take.copied = True
        self.session.note(take)
        return take.text
