"""What follows the word `state` in a Mermaid state diagram: it has words and rules of its own."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass

from core.validate.mermaid.reading import Cursor, Refused
from core.validate.mermaid.text import BLANK, NOT_SPACE, SPACE, restore_entities

# Where several stand on a line, Mermaid takes the last of the first sort that is there at all.
_SORTS = tuple(
    (f"{left}{word}{right}", word)
    for left, right in (("<<", ">>"), ("[[", "]]"))
    for word in ("fork", "join", "choice")
)
_SKIPPED = re.compile(rf"(?:{BLANK}+|#[^\n]*+|%%[^\n]*+)*+")
_AS = re.compile(rf"{SPACE}*+as{SPACE}+", re.I)
_ALIAS = re.compile(r"(?:[^\n{%]|%(?!%))*+")
_QUOTED = re.compile(r'"([^"]*)"')
_NAME = re.compile(rf"(?:(?!\{{){NOT_SPACE})++")
_TWO_WORDS = re.compile(rf"\w++{SPACE}+\w++", re.A)
_BREAK = re.compile(r"\n")


class Marks:
    """All places where a pattern stands, found once, so that asking for one takes no second look at the text."""

    def __init__(self, pattern: re.Pattern[str], text: str) -> None:
        found = [match.span() for match in pattern.finditer(text)]
        self._starts = [start for start, _ in found]
        self._ends = [end for _, end in found]

    def last_between(self, start: int, end: int) -> int | None:
        """The end of the last mark that begins in `start` to `end`."""
        last = bisect_left(self._starts, end) - 1
        return self._ends[last] if last >= 0 and self._starts[last] >= start else None

    def first_from(self, start: int) -> int | None:
        """The end of the first mark that begins at `start` or after it."""
        first = bisect_left(self._starts, start)
        return self._ends[first] if first < len(self._ends) else None


@dataclass(frozen=True, slots=True)
class StateHead:
    """A declaration up to its brace: `kind` is empty for a bare name, `broken` says that the line has ended."""

    id: str = ""
    label: str = ""
    kind: str = ""
    named: bool = False
    broken: bool = False


class StateWords:
    """Reads declarations with the cursor of the diagram."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._marks = [
            (len(mark), word, Marks(re.compile(re.escape(mark), re.I), cursor.text)) for mark, word in _SORTS
        ]
        self._braces = Marks(re.compile(r"\{"), cursor.text)

    def head(self) -> StateHead:
        """Read from behind `state` to the end of the line or to a brace. Raises Refused where Mermaid would."""
        cursor = self._cursor
        cursor.take(_SKIPPED)
        sort = self._sort()
        if sort is not None:
            return sort
        name = ""
        while True:
            cursor.take(_SKIPPED)
            if cursor.sees(_AS):
                raise cursor.expected('a name in quotes before `as`, such as `state "a name" as id`')
            if cursor.take(_BREAK) or cursor.ended():
                return StateHead(name, named=bool(name), broken=True)
            if quoted := cursor.take(_QUOTED):
                if quoted.group(1):
                    return self._aliased(restore_entities(quoted.group(1)))
                continue
            if cursor.text.startswith("{", cursor.at):
                if not name:
                    raise cursor.expected("the name of a state")
                return StateHead(name, named=True)
            name = self._name()

    def _sort(self) -> StateHead | None:
        cursor = self._cursor
        end = cursor.line_end()
        for width, word, marks in self._marks:
            found = marks.last_between(cursor.at, end)
            if found is not None:
                name = restore_entities(cursor.text[cursor.at : found - width]).strip()
                cursor.at = found
                return StateHead(name, kind=word)
        return None

    def _name(self) -> str:
        cursor = self._cursor
        if cursor.text.startswith('"', cursor.at):
            raise Refused("a name in quotes is never closed", cursor.at)
        words = _TWO_WORDS.match(cursor.text, cursor.at)
        if words:
            brace = self._braces.first_from(words.end())
            if brace is not None and "\n" not in cursor.text[words.end() : brace]:
                if "\n" in words.group():
                    raise Refused(
                        "a bare `state` cannot stand right before a line with a brace: leave it out", cursor.at
                    )
                raise cursor.expected('one word (or `"a name" as id`) before the brace')
        return restore_entities(cursor.need(_NAME, "the name of a state").group())

    def _aliased(self, label: str) -> StateHead:
        cursor = self._cursor
        cursor.take(_SKIPPED)
        if self._sort() is not None or not cursor.take(_AS):
            raise cursor.expected("`as` and an id after the name in quotes")
        match = cursor.take(_ALIAS)
        name = restore_entities(match.group()).strip() if match else ""
        cursor.take(_SKIPPED)
        return StateHead(name, label, "state", named=True, broken=cursor.take(_BREAK) is not None)
