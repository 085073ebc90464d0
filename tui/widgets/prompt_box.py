"""The box in which a prompt is written."""

from __future__ import annotations

from textual import events
from textual.widgets import TextArea

from tui.play.settings import Prompts
from tui.text import editable, restored


class PromptBox(TextArea):
    """Many lines of text. At its first and last line, up and down bring earlier and later prompts."""

    DEFAULT_CSS = """
    PromptBox { height: 6; padding: 0 1; }
    """

    def __init__(
        self, prompts: Prompts, *, placeholder: str, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes, placeholder=placeholder)
        self._prompts = prompts

    @property
    def prompt(self) -> str:
        """What is written, with the characters that are shown by name as they were."""
        return restored(self.text)

    def put(self, prompt: str) -> None:
        """Show another text, the cursor at its end."""
        self.load_text(editable(prompt))
        self.move_cursor(self.document.end)

    def turn(self, step: int) -> None:
        """Show the prompt before (−1) or after (1) the one that stands here; at the ends nothing changes."""
        found = self._prompts.older(self.prompt) if step < 0 else self._prompts.newer()
        if found is not None:
            self.put(found)

    async def _on_key(self, event: events.Key) -> None:
        row = self.cursor_location[0]
        step = {"up": -1, "down": 1}.get(event.key, 0)
        if step and row == (0 if step < 0 else self.document.line_count - 1):
            above = self.wrapped_document.location_to_offset(self.cursor_location).y
            edge = 0 if step < 0 else self.wrapped_document.height - 1
            if above == edge:
                event.prevent_default()
                event.stop()
                self.turn(step)
                return
        await super()._on_key(event)
