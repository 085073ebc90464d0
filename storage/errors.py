"""The one base of every error that a person is meant to read.

It stands on the ground floor so that storage can raise it; everything above imports it from `core.errors`.
"""

from __future__ import annotations


class FinetuneError(Exception):
    """Something went wrong that the user can act on.

    `message` says what happened and why, `title` names it in a few words, and `hint` is the next step.
    """

    default_title = "Something went wrong"

    def __init__(self, message: str, *, title: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.title = title or self.default_title
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class StoreError(FinetuneError):
    """The store cannot be opened, read or written."""

    default_title = "The store cannot be used"


class BusyError(StoreError):
    """Another process has kept the store from being written for longer than one waits. Nothing was changed."""

    default_title = "The store is busy"


class NotFoundError(FinetuneError):
    """A row that was asked for does not exist."""

    default_title = "Not found"


class ConflictError(FinetuneError):
    """Another process changed the row first, or the change is not allowed in the row's state."""

    default_title = "Changed meanwhile"
