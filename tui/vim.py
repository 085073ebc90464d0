"""The keys of vim for what moves: give them to a list, a tree or a scrolling pane as its BINDINGS.

The ids are the same wherever the meaning is, so one line of `keymap.toml` changes a movement in every list at once.
Where a screen needs `g` for a verb of its own it takes `without("list.top", LIST)`.
"""

from __future__ import annotations

from typing import Final

from textual.binding import Binding


def _move(keys: str, action: str, description: str, name: str, tooltip: str) -> Binding:
    return Binding(keys, action, description, show=False, id=name, tooltip=tooltip)


LIST: Final[tuple[Binding, ...]] = (
    _move("j", "cursor_down", "Next", "list.next", "One line down"),
    _move("k", "cursor_up", "Previous", "list.previous", "One line up"),
    _move("l", "select", "Open", "list.open", "Open the line"),
    _move("g", "first", "First", "list.top", "To the first line"),
    _move("G", "last", "Last", "list.last", "To the last line"),
    _move("ctrl+d", "page_down", "Page down", "list.page_down", "One page down"),
    _move("ctrl+u", "page_up", "Page up", "list.page_up", "One page up"),
)
"""For an OptionList."""

TREE: Final[tuple[Binding, ...]] = (
    _move("j", "cursor_down", "Next", "list.next", "One line down"),
    _move("k", "cursor_up", "Previous", "list.previous", "One line up"),
    _move("h", "cursor_parent", "Parent", "tree.parent", "To the branch that holds this line"),
    _move("l", "toggle_node", "Open or close", "tree.toggle", "Open or close the branch"),
    _move("g", "scroll_home", "First", "list.top", "To the first line"),
    _move("G", "scroll_end", "Last", "list.last", "To the last line"),
    _move("ctrl+d", "page_down", "Page down", "list.page_down", "One page down"),
    _move("ctrl+u", "page_up", "Page up", "list.page_up", "One page up"),
)
"""For a Tree."""

SCROLL: Final[tuple[Binding, ...]] = (
    _move("j", "scroll_down", "Down", "scroll.down", "Scroll one line down"),
    _move("k", "scroll_up", "Up", "scroll.up", "Scroll one line up"),
    _move("h", "scroll_left", "Left", "scroll.left", "Scroll to the left"),
    _move("l", "scroll_right", "Right", "scroll.right", "Scroll to the right"),
    _move("g", "scroll_home", "Top", "scroll.top", "To the top"),
    _move("G", "scroll_end", "End", "scroll.end", "To the end"),
    _move("ctrl+d", "page_down", "Page down", "scroll.page_down", "One page down"),
    _move("ctrl+u", "page_up", "Page up", "scroll.page_up", "One page up"),
)
"""For a VerticalScroll, HorizontalScroll or any other scrolling pane that takes the focus."""


def without(name: str, keys: tuple[Binding, ...]) -> tuple[Binding, ...]:
    """`keys` without the binding of that id."""
    return tuple(binding for binding in keys if binding.id != name)
