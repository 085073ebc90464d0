"""The input lines of the form of a new run, and the arrow beside the base model."""

from __future__ import annotations

from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input, Static

_OF_NUMBERS: Final = frozenset("0123456789.eE+-")


class NumberInput(Input):
    """Takes what a number is written with; every other letter stays a key of the screen."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Whether the key is typed here."""
        return character in _OF_NUMBERS if character else False

    async def _on_key(self, event: events.Key) -> None:
        if event.is_printable and event.character not in _OF_NUMBERS:
            event.prevent_default()  # that Input types it; the key goes on to the screen


class BaseInput(Input):
    """Where the base model is named; Enter or down asks for the list of all."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,down", "browse", "Base models", show=False, id="train.bases", tooltip="List all base models"),
    ]

    class Browse(Message):
        """The list of base models is wanted."""

    def action_browse(self) -> None:
        """Ask for the list."""
        self.post_message(self.Browse())


class Arrow(Static):
    """What opens the list of base models by the mouse."""

    def on_click(self, event: events.Click) -> None:
        """Ask for the list."""
        event.stop()
        self.post_message(BaseInput.Browse())
