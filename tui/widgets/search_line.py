"""A line to search with, that tells at every key what is typed."""

from __future__ import annotations

from textual.message import Message
from textual.widgets import Input


class SearchLine(Input):
    """Posts `Typed` at every key; of keys that come at once, as when a text is pasted, only what they come to."""

    class Typed(Message):
        """The text that is there without the spaces around it, and `raw` with them."""

        def __init__(self, raw: str) -> None:
            super().__init__()
            self.text = raw.strip()
            self.raw = raw

        def can_replace(self, message: Message) -> bool:
            """What was typed before is searched for no more."""
            return isinstance(message, SearchLine.Typed)

    def __init__(self, *, placeholder: str, id: str | None = None) -> None:
        super().__init__(placeholder=placeholder, id=id, compact=True, select_on_focus=False)
        self._told = ""
        self._telling = False

    def load(self, text: str) -> None:
        """Put a text there, with the cursor at its end, and say nothing of it."""
        self._told = self.value = text
        self.cursor_position = len(text)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if not self._telling:
            self._telling = True
            self.call_later(self._tell)  # after the keys that wait already

    def _tell(self) -> None:
        self._telling = False
        if self.value != self._told:
            self._told = self.value
            self.post_message(self.Typed(self.value))
