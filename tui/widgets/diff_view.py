"""What changed between two texts: lines by glyph and colour, and within a changed line its changed words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from textual.content import Content
from textual.widgets import Static

from tui.text import safe

Kind = Literal["same", "removed", "added"]
MAX_LINES = 1_500
_CONTEXT = 2
_GLYPHS: dict[Kind, str] = {"same": "  ", "removed": "− ", "added": "+ "}
_STYLES: dict[Kind, str] = {"same": "$text-muted", "removed": "$text-error", "added": "$text-success"}
_WORDS = re.compile(r"\w+|\s+|[^\w\s]+")


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line; `marked` are the (start, end) characters that differ from the line it replaces or is replaced by."""

    kind: Kind
    text: str
    marked: tuple[tuple[int, int], ...] = ()


class DiffView(Static):
    """`show(old, new)` draws the difference of two texts."""

    DEFAULT_CSS = """
    DiffView { height: auto; }
    """

    def show(self, old: str, new: str) -> None:
        """Draw what `new` changes in `old`."""
        self.update(diff_content(diff_lines(old, new)))


def diff_lines(old: str, new: str) -> list[DiffLine]:
    """Every line of both texts in order, unchanged ones once. Beyond 1,500 lines a text is not compared further."""
    before, after = _lines(old)[:MAX_LINES], _lines(new)[:MAX_LINES]
    found: list[DiffLine] = []
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            found += [DiffLine("same", line) for line in before[a:b]]
        elif tag == "replace" and b - a == d - c:
            for left, right in zip(before[a:b], after[c:d], strict=True):
                found += _changed(left, right)
        else:
            found += [DiffLine("removed", line) for line in before[a:b]]
            found += [DiffLine("added", line) for line in after[c:d]]
    return found


def _lines(text: str) -> list[str]:
    """Split where the screen does; the other characters at which Python splits lines are shown, and so compared."""
    lines = text.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def diff_content(lines: Sequence[DiffLine]) -> Content:
    """The changed lines with two lines around them; `nothing is changed` when there are none."""
    if all(line.kind == "same" for line in lines):
        return Content.styled("Nothing is changed yet.", "$text-muted")
    return Content("\n").join(_shown(lines))


def _shown(lines: Sequence[DiffLine]) -> Iterator[Content]:
    near = {
        place
        for index, line in enumerate(lines)
        if line.kind != "same"
        for place in range(index - _CONTEXT, index + _CONTEXT + 1)
    }
    hidden = 0
    for index, line in enumerate(lines):
        if index not in near:
            hidden += 1
            continue
        if hidden:
            yield Content.styled(f"  ⋯ {hidden} unchanged", "$text-muted")
            hidden = 0
        yield _line(line)
    if hidden:
        yield Content.styled(f"  ⋯ {hidden} unchanged", "$text-muted")


def _line(line: DiffLine) -> Content:
    style = _STYLES[line.kind]
    if not line.marked:
        return Content.assemble((_GLYPHS[line.kind], style), safe(line.text, style))
    parts = [Content.styled(_GLYPHS[line.kind], style)]
    at = 0
    for start, end in line.marked:
        parts += [safe(line.text[at:start], style), safe(line.text[start:end], f"{style} bold underline")]
        at = end
    return Content("").join([*parts, safe(line.text[at:], style)])


def _changed(old: str, new: str) -> Iterator[DiffLine]:
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if len(before) * len(after) > 250_000 or matcher.ratio() < 0.3:
        yield DiffLine("removed", old)
        yield DiffLine("added", new)
        return
    left: list[tuple[int, int]] = []
    right: list[tuple[int, int]] = []
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag != "equal":
            left.append(_span(before, a, b))
            right.append(_span(after, c, d))
    yield DiffLine("removed", old, tuple(span for span in left if span[0] < span[1]))
    yield DiffLine("added", new, tuple(span for span in right if span[0] < span[1]))


def _span(words: Sequence[str], start: int, end: int) -> tuple[int, int]:
    at = sum(map(len, words[:start]))
    return at, at + sum(map(len, words[start:end]))
