"""What threads tell the app: facts with typed fields, posted and never called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.message import Message


class StoreChanged(Message, bubble=False):
    """Something, in this process or another, has written to the store. Several that wait become one.

    It does not bubble: the app hands it to the screen in front, and must not get it back.
    """

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, StoreChanged)


class Written(Message):
    """A write has been committed; `then(value)` runs on the app's own thread."""

    def __init__(self, value: Any, then: Callable[[Any], None] | None) -> None:
        super().__init__()
        self.value = value
        self.then = then


class Failed(Message):
    """Something in a thread went wrong. `doing` says what it was about; `then(error)` runs on the app's own thread."""

    def __init__(self, error: BaseException, doing: str, then: Callable[[BaseException], None] | None = None) -> None:
        super().__init__()
        self.error = error
        self.doing = doing
        self.then = then


class Held(Message):
    """Writes wait because another process keeps the store, or with `over` no longer."""

    def __init__(self, *, over: bool) -> None:
        super().__init__()
        self.over = over


class Progress(Message):
    """So many of `total` are done; of those that wait only the newest of a kind matters."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__()
        self.done = done
        self.total = total

    def can_replace(self, message: Message) -> bool:
        """Whether that is the same kind of progress."""
        return type(message) is type(self)


class AbProgress(Progress):
    """How many prompts both arms of the running test have answered."""
