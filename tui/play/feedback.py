"""What the validator says of an answer that was tried, and the editor on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.categories import load_categories
from core.config import load_config
from core.playground.desk import Arm
from core.playground.take import Take
from core.validate.validator import Finding, Validation
from storage.rows import EventRow
from tui.play.session import PlaySession, Told
from tui.screens.base import BaseScreen
from tui.screens.edit import Edited, EditScreen
from tui.text import safe

if TYPE_CHECKING:
    from core.paths import Home


class Feedback:
    """`validate` looks at a whole answer in a thread, once; `correct` opens the editor."""

    def __init__(self, screen: BaseScreen, session: PlaySession) -> None:
        self._screen = screen
        self._session = session
        self._looked_at: set[Take] = set()
        self._drafts: dict[Take, str] = {}

    def validate(self, arm: Arm, take: Take, then: Callable[[Take], None]) -> None:
        """Let the category's validator look at an answer; it says so itself where it cannot."""
        if take in self._looked_at:
            return
        self._looked_at = (self._looked_at & {*self._session.takes.values()}) | {take}
        home = self._screen.home

        def keep(found: Validation) -> None:
            take.validation = found
            then(take)

        def failed(error: BaseException) -> None:
            keep(Validation(0.0, True, (Finding("validator", str(error), severity="warning"),), judged=False))

        self._screen.in_background(
            lambda: examined(home, take),
            group=f"play.check.{arm}",
            description="validating an answer",
            then=keep,
            failed=failed,
        )

    def correct(self, take: Take, told: Told) -> None:
        """Open the editor; escape keeps what was written for the next time."""
        home = self._screen.home

        def check(text: str) -> Validation:
            return examined(home, take, text)

        def edited(done: Edited | None) -> None:
            if done is None:
                return
            if done.save and done.text is not None:
                self._drafts.pop(take, None)
                self._session.judge(take, "correct", told, correction=done.text)
            elif done.text is not None:
                self._drafts[take] = done.text
                told("the correction is kept as a draft; c goes on with it")

        screen = _CorrectScreen(_as_event(take), self._drafts.get(take), check)
        self._screen.app.push_screen(screen, edited)


class _CorrectScreen(EditScreen):
    """The editor on an answer that may have no number yet."""

    def on_mount(self) -> None:
        number = f"#{self._event.id} · " if self._event.id else ""
        self.query_one("#prompt").border_title = safe(f"Correct {number}{self._event.category}", one_line=True)


def examined(home: Home, take: Take, text: str | None = None) -> Validation:
    """The validator's verdict on an answer, or on another text in its place; what is too long is not looked at."""
    from core.validate.registry import validator_for

    shown = take.text if text is None else text
    most = load_config(home).capture.max_chars
    if len(shown) > most:
        told = f"{len(shown):,} characters; at most {most:,} are looked at and recorded"
        return Validation(0.0, True, (Finding("too_long", told, severity="warning"),), judged=False)
    own = load_categories(home)[take.question.category]
    return validator_for(own).validate(shown, prompt=take.question.prompt)


def _as_event(take: Take) -> EventRow:
    """The answer as the editor takes it; 0 is the number of what is not recorded."""
    found = take.validation
    asked = take.question
    return EventRow(
        id=take.event_id or 0, created_at=take.ended_at, category=asked.category, model=take.model,
        prompt=asked.prompt, response=take.text, content_hash="", prompt_hash="", bucket=0, feedback_type="neutral",
        score=found.score if found is not None and found.judged else None, valid=found is None or found.valid,
        quality=0.0, tier="rejected", generic=False, confidence=None, system=asked.system, context="",
        source="playground", group_key=take.group, latency_ms=None, findings=(), quality_parts={}, sanitized={},
        metadata={}, verdict=None, correction=None, judged_at=None,
    )  # fmt: skip
