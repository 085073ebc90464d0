"""Jump mode: which letters stand over which parts of a screen."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

from textual.geometry import Region
from textual.widget import Widget

if TYPE_CHECKING:
    from textual.screen import Screen

LETTERS: Final = "asdfghjklqwertyuiopzxcvbnm"
"""Those under the fingers first."""


def labels(count: int) -> list[str]:
    """`count` different labels of equal length, so that none begins another: one letter each while they last."""
    length = 1
    while len(LETTERS) ** length < count:
        length += 1
    made = ("".join(letters) for letters in product(LETTERS, repeat=length))
    return [label for label, _ in zip(made, range(count), strict=False)]


def targets(screen: Screen[object]) -> list[tuple[Widget, Region]]:
    """Every part that can take the focus and can be seen, with the part of the terminal where it shows."""
    found = []
    for widget in screen.focus_chain:
        shown = _shown(widget, screen)
        if shown.area and not widget.loading:
            found.append((widget, shown))
    return found


def _shown(widget: Widget, screen: Screen[object]) -> Region:
    """What of the widget is not scrolled out of one of its ancestors."""
    region = widget.region.intersection(screen.region)
    for ancestor in widget.ancestors:
        if ancestor is screen or not isinstance(ancestor, Widget):
            break
        region = region.intersection(ancestor.region)
    return region
