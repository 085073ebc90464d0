"""A parser of Mermaid's `stateDiagram` language, in either version, that refuses what Mermaid refuses.

It goes on after an error at the next line, so one slip costs one finding and the rest is still read.
"""

from __future__ import annotations

import re

from core.validate.mermaid.graph import Element, Graph, Link, SyntaxProblem
from core.validate.mermaid.reading import Cursor, Refused
from core.validate.mermaid.state_words import Marks, StateHead, StateWords
from core.validate.mermaid.text import BLANK, MAX_PROBLEMS, SPACE, count_lines, hide_entities, restore_entities


def _any_of(*patterns: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern.pattern})" for pattern in patterns), re.I | re.A)


_HEADER = re.compile(rf"stateDiagram(?:-[vV]2)?(?={SPACE})")
_SPACES = re.compile(rf"{SPACE}*")
# Blanks swallow the line breaks that follow them; inside a composite state no line break matters.
_SKIPPED = re.compile(rf"(?:{BLANK}{SPACE}*+|#[^\n]*+|%%[^\n]*+)*+")
_SKIPPED_INSIDE = re.compile(rf"(?:{SPACE}++|#[^\n]*+|%%[^\n]*+)*+")
_BREAKS = re.compile(r"\n+")
_REST = re.compile(r"[^\n]*")
_ID = re.compile(rf"(?:(?![:\-{{]|%%|{SPACE}).)++", re.S)
_STAR = re.compile(r"\[\*\]")
_ARROW = re.compile(r"-->")
_CLASS_MARK = re.compile(r":::")
_TEXT = re.compile(r":(?!::)(?::?[^:\n;])+")
_STRING = re.compile(r'"[^"]*"')
_OPEN = re.compile(r"\{")
_CLOSE = re.compile(r"\}")
_DIVIDER = re.compile(r"--(?!>)")

_DIRECTION = re.compile(rf"direction{SPACE}+(?:TB|BT|RL|LR)", re.I)
_STYLING = re.compile(
    rf"classDef{SPACE}+(?!default{SPACE})\w+{SPACE}+[^\n]*"
    rf"|class{SPACE}+\w++(?:,{SPACE}*+\w++)*+[^\n]*"
    rf"|style{SPACE}+[\w,]++{SPACE}+[^\n]*",
    re.I | re.A,
)
_STYLING_WORD = re.compile(rf"(?:classDef|class|style){SPACE}", re.I)
_STATE = re.compile(rf"state{SPACE}+", re.I)
_NOTE = re.compile(rf"note{SPACE}+", re.I)
_NOTE_PLACE = re.compile(r"(?:left|right) of\b", re.I | re.A)
_NOTE_ID = re.compile(rf"{SPACE}*+((?:(?![:\-]|{SPACE}).)++)", re.S)
_NOTE_TEXT = re.compile(rf"{SPACE}*+:[^:\n;]+")
_NOTE_END = re.compile(rf"\n{BLANK}*end note\b", re.I | re.A)
_NOTE_FLOATING = re.compile(rf'"[^"]+"{SPACE}*+as{SPACE}*+[^\n]*', re.I)

# What only means something outside composite states; inside, these are names of states.
_OUTER_SETTING = re.compile(
    rf"hide empty description\b|scale{SPACE}+\d+{SPACE}+width\b|acc(?:Title|Descr){SPACE}*+:{SPACE}*+[^\n]*"
    rf"|accDescr{SPACE}*+\{{[^}}]*+\}}?",
    re.I | re.A,
)
_OUTER_CLICK = re.compile(r"click\b", re.I | re.A)
_OUTER_HREF = re.compile(r"href\b", re.I | re.A)
_OUTER_TAKEN = re.compile(rf'href\b|scale{SPACE}|stateDiagram(?:-v2)?{SPACE}|"[^"]*"', re.I | re.A)
# What is no name of a state wherever one may stand.
_ANYWHERE = (_STATE, _NOTE, _STYLING_WORD)
_TAKEN_INSIDE = _any_of(*_ANYWHERE, _CLOSE)
_TAKEN = _any_of(*_ANYWHERE, _OUTER_SETTING, _OUTER_CLICK, _OUTER_TAKEN)


def parse(body: str, first_line: int) -> Graph:
    """Read a state diagram without front matter and directives; its first line is number `first_line`.

    Elements are states, of kind `state`, `composite`, `fork`, `join`, `choice`, `start` or `end`; the two ends of a
    diagram are `root_start` and `root_end`, those of a composite state `A` are `A_start` and `A_end`. Links are
    transitions. A bare `state A` declares nothing, as in Mermaid.
    """
    reader = _Reader(body, first_line)
    reader.document()
    reader.graph.lines = count_lines(body)
    return reader.graph


class _Reader:
    """One method for each kind of statement; `_scopes` are the composite states that are open, with their offsets."""

    def __init__(self, body: str, first_line: int) -> None:
        text = hide_entities(body.replace("\r", "\n")) + "\n"
        self._cursor = Cursor(text, first_line)
        self._last_line = first_line + body.count("\n")
        self._words = StateWords(self._cursor)
        self._directions = Marks(_DIRECTION, text)
        self._note_ends = Marks(_NOTE_END, text)
        self._composites: set[str] = set()
        self._described: dict[str, list[int]] = {}
        self._scopes: list[tuple[str, int]] = []
        self.graph = Graph(kind="state")

    def document(self) -> None:
        cursor = self._cursor
        cursor.take(_SPACES)
        if self._direction_at() or not cursor.take(_HEADER):
            self._problem("the text does not begin with `stateDiagram` or `stateDiagram-v2`", cursor.at)
            return
        while self._more():
            try:
                self._statement()
            except Refused as refused:
                if len(self.graph.problems) >= MAX_PROBLEMS:
                    break
                self._problem(restore_entities(str(refused)), refused.at)
                cursor.at = cursor.line_end()
        for name, at in self._scopes[:MAX_PROBLEMS]:
            self._problem(f"the composite state `{name}` is never closed with `}}`", at)
        if not self.graph.problems:
            self._check_composites()

    def _check_composites(self) -> None:
        for name, places in self._described.items():
            if len(places) > 1 and name in self._composites and len(self.graph.problems) < MAX_PROBLEMS:
                self._problem(f"the composite state `{name}` has more than one description", places[1])

    def _more(self) -> bool:
        self._skip()
        while self._cursor.take(_BREAKS):
            self._skip()
        return not self._cursor.ended()

    def _problem(self, message: str, at: int | None) -> None:
        line = min(self._cursor.line(at), self._last_line)
        self.graph.problems.append(SyntaxProblem(line, message))

    def _skip(self) -> None:
        self._cursor.take(_SKIPPED_INSIDE if self._scopes else _SKIPPED)

    def _statement(self) -> None:
        cursor = self._cursor
        # Mermaid reads a whole line as a direction wherever it says `direction LR`.
        if (end := self._direction_at()) is not None:
            cursor.at = end
            cursor.take(_REST)
        elif cursor.take(_STYLING):
            return
        elif cursor.sees(_STYLING_WORD):
            raise cursor.expected("names and a style (a class called `default` cannot be defined)")
        elif cursor.take(_STATE):
            self._declaration()
        elif cursor.take(_NOTE):
            self._note()
        elif self._scopes:
            self._inner()
        elif cursor.take(_OUTER_SETTING):
            return
        elif cursor.take(_OUTER_CLICK):
            self._click()
        else:
            self._transition()

    def _direction_at(self) -> int | None:
        return self._directions.last_between(self._cursor.at, self._cursor.line_end())

    def _inner(self) -> None:
        if self._cursor.take(_CLOSE):
            self._scopes.pop()
        elif not self._cursor.take(_DIVIDER):
            self._transition()

    def _transition(self) -> None:
        at = self._cursor.at
        source = self._state("a state, a transition or a note", is_target=False)
        self._skip()
        if self._cursor.take(_ARROW):
            target = self._state("the state the transition goes to", is_target=True)
            self.graph.links.append(Link(source.id, target.id, self._text(), self._cursor.line(at), "-->"))
        elif label := self._text():
            source.label = label
            self._describe(source.id, at)

    def _text(self) -> str:
        self._skip()
        match = self._cursor.take(_TEXT)
        return restore_entities(match.group()[1:]).strip() if match else ""

    def _state(self, wanted: str, *, is_target: bool) -> Element:
        cursor = self._cursor
        self._skip()
        at = cursor.at
        if cursor.take(_STAR):
            kind = "end" if is_target else "start"
            element = self._add(self._start(kind), at, kind)
        else:
            element = self._add(self._id(wanted), at)
        self._skip()
        if cursor.take(_CLASS_MARK):
            self._skip()
            if cursor.sees(_STAR):
                raise cursor.expected("the name of a class after `:::`")
            self._id("the name of a class after `:::`")
        return element

    def _id(self, wanted: str) -> str:
        cursor = self._cursor
        if cursor.sees(_TAKEN_INSIDE if self._scopes else _TAKEN) or self._direction_at() is not None:
            raise cursor.expected(wanted)
        return restore_entities(cursor.need(_ID, wanted).group())

    def _add(self, name: str, at: int, kind: str = "state") -> Element:
        element = self.graph.elements.get(name)
        if element is None:
            element = self.graph.elements[name] = Element(name, name, self._cursor.line(at), kind)
        if kind != "state":
            element.kind = kind
        return element

    def _declaration(self) -> None:
        at = self._cursor.at
        head = self._words.head()
        if head.broken:
            self._skip()
        opened = self._openable(head) and self._cursor.take(_OPEN) is not None
        name = self._start() if head.id == "[*]" else head.id
        if opened:
            self._scopes.append((name, at))
            self._composites.add(name)
        elif head.label and ":" in name:
            name = name.split(":")[0].strip()
            self._describe(name, at)
        if head.label:
            self._describe(name, at)
        if head.kind or opened:
            element = self._add(name, at, "composite" if opened else head.kind)
            element.label = head.label or element.label

    def _start(self, kind: str = "start") -> str:
        return f"{self._scopes[-1][0] if self._scopes else 'root'}_{kind}"

    def _describe(self, name: str, at: int) -> None:
        self._described.setdefault(name, []).append(at)

    def _openable(self, head: StateHead) -> bool:
        # A brace on the line after opens a composite state, but not inside another one.
        return head.named and not (head.broken and self._scopes)

    def _note(self) -> None:
        cursor = self._cursor
        if cursor.take(_NOTE_FLOATING):
            return
        if not cursor.take(_NOTE_PLACE):
            raise cursor.expected("`left of` or `right of` after `note`")
        at = cursor.at
        match = cursor.take(_NOTE_ID)
        if match is None:
            raise cursor.expected("the state the note belongs to")
        if not cursor.take(_NOTE_TEXT):
            end = self._note_ends.first_from(cursor.at)
            if end is None:
                raise Refused("the note has no text after `:` and no `end note`", at)
            cursor.at = end
        name = restore_entities(match.group(1))
        self._add(self._start() if name == "[*]" else name, at)

    def _click(self) -> None:
        cursor = self._cursor
        self._state("the state to click on", is_target=False)
        strings = 2
        self._skip()
        if cursor.take(_OUTER_HREF):
            strings = 1
        for _ in range(strings):
            self._skip()
            cursor.need(_STRING, "`href` and an address in quotes, or an address and a tooltip")
        self._skip()
        if not cursor.ended():
            cursor.need(_BREAKS, "the end of the line")
