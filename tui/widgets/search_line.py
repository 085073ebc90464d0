"""A line to search with, that tells what is typed once the typing pauses."""

from __future__ import annotations

from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input

_PAUSE = 0.12


class SearchLine(Input):
    """Posts `Typed` 0.12 s after the last key, so that a quick word is one search."""

    class Typed(Message):
        """The text that is there, without the spaces around it."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, *, placeholder: str, id: str | None = None) -> None:
        super().__init__(placeholder=placeholder, id=id, compact=True)
        self._typing: Timer | None = None

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._typing is not None:
            self._typing.stop()
        self._typing = self.set_timer(_PAUSE, self._tell)

    def _tell(self) -> None:
        self.post_message(self.Typed(self.value.strip()))
