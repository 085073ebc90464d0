"""One line under the tabs that leads a newcomer once round the loop, and is never seen again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from core.first_steps import FirstSteps, Step, StepName, begin, first_steps
from core.paths import Home
from storage.db import open_store
from tui.tabs import key_of

PLACES: Final[Mapping[StepName, str]] = {
    "load": "dashboard", "label": "review", "rank": "rank", "train": "train", "promote": "scoreboard",
}  # fmt: skip
_GOALS: Final[Mapping[StepName, str]] = {
    "load": "get some outputs in",
    "label": "label three outputs",
    "rank": "say which of two answers is better",
    "train": "train a version on it",
    "promote": "let the better version serve",
}
_HERE: Final[Mapping[StepName, str]] = {
    "load": "d loads the demonstration, i imports a file",
    "label": "g good, b bad, c corrects it",
    "rank": "n brings answers, a or b decides",
    "train": "ctrl+s in the form (n) starts; a minute or two",
    "promote": "p promotes the version that won",
}
_AT_WORK: Final[Mapping[StepName, str]] = {
    "train": "it is at work; look around meanwhile",
    "promote": "wait, the run still compares it",
}
_IN_VAIN: Final = "No version won yet: "
_DONE: Final = "That was the loop once round. Now the dashboard says what is next."


def read_steps(home: Home) -> FirstSteps | None:
    """How far the first round has come, None where nobody is to be led. For a worker thread."""
    with open_store(home.store) as store:
        since = begin(store, now=time.time())
        return None if since is None else first_steps(store, since)


def guide_text(found: FirstSteps, mode: str) -> Content:
    """The line as it stands on the screen `mode`."""
    marks = "".join("●" if step.complete else "○" for step in found.steps)
    step = found.current
    if step is None:
        return Content.assemble((f"{marks} ", "bold $text-success"), _DONE)
    return Content.assemble((f"{marks} ", "bold $text-accent"), (_goal(step), "bold"), _way(step, mode))


def _goal(step: Step) -> str:
    if step.in_vain and not step.under_way:
        return _IN_VAIN
    count = f" ({step.done} of {step.wanted})" if step.wanted > 1 else ""
    return f"{_GOALS[step.name].capitalize()}{count}: "


def _way(step: Step, mode: str) -> str:
    place = PLACES[step.name]
    if step.under_way:
        return _AT_WORK[step.name] if mode in (place, PLACES["train"]) else f"at work, {key_of('train')} shows it"
    if step.in_vain:
        return f"label more ({key_of('review')}), then train again ({key_of('train')})"
    return _HERE[step.name] if mode == place else f"press {key_of(place)}"


class GuideLine(Static):
    """Hidden until `show` is given steps; a click on it posts `Followed`, on the cross at its end `Ended`."""

    DEFAULT_CSS = """
    GuideLine {
        height: 1; padding: 0 1; display: none; background: $boost;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    GuideLine.-shown { display: block; }
    """

    class Followed(Message):
        """The person wants to go where the next step is done."""

        def __init__(self, mode: str) -> None:
            super().__init__()
            self.mode = mode

    class Ended(Message):
        """The person wants to be led no more."""

    def __init__(self, mode: str) -> None:
        super().__init__(id="guide", markup=False)
        self._mode = mode
        self._found: FirstSteps | None = None

    def show(self, found: FirstSteps | None) -> None:
        """Say how it stands; None hides the line."""
        self._found = found
        self.set_class(found is not None, "-shown")
        if found is not None:
            self.update(Content.assemble(guide_text(found, self._mode), ("  ✕", "$text-muted")))

    @property
    def over(self) -> bool:
        """Whether it shows that the loop has gone round."""
        return self._found is not None and self._found.current is None

    def on_click(self, event: events.Click) -> None:
        found = self._found
        if found is None:
            return
        shown = guide_text(found, self._mode).cell_length + 1
        if found.current is None or event.x > shown:
            self.post_message(self.Ended())
        else:
            self.post_message(self.Followed(PLACES[found.current.name]))
