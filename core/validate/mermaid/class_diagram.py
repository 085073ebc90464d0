"""A parser of Mermaid's class diagrams that accepts what Mermaid's own parser accepts.

It goes on at the next line after an error, so one slip costs one finding and the rest is still read.
"""

from __future__ import annotations

import re

from core.validate.mermaid.class_words import (
    BLANK,
    CLASS_BLANK,
    COMMA,
    SIMPLE,
    STRING,
    TAKEN,
    TAKEN_IN_CLASS,
    ClassWords,
)
from core.validate.mermaid.graph import Element, Graph, Link, SyntaxProblem
from core.validate.mermaid.reading import Refused
from core.validate.mermaid.text import count_lines, hide_entities, restore_entities

MAX_PROBLEMS = 100

_HEADER = re.compile(r"\s*classDiagram(?:-v2)?(?=[^\S\n]*(?:\n|\Z))")
_LINE_REST = re.compile(r"[^\n]*")
_NEWLINES = re.compile(r"\s+")
_BREAKS = re.compile(r"\n+")
_END = re.compile(r"\n|\Z")
_TURN = re.compile(r"[^\n]*?direction\s+(?:TB|BT|RL|LR)[^\n]*")
_ACCESSIBLE = re.compile(r"acc(?:Title|Descr)\s*:\s*[^\n]*|accDescr\s*\{[^}]+\}")
_WORD = re.compile(r"(?:class|namespace|note for(?=\s)|note|style|classDef|cssClass|click|link|callback)\b", re.ASCII)
_NAMESPACE = re.compile(r"namespace\b", re.ASCII)
_LABEL = re.compile(r":[^:\n;]+")
_CSS = re.compile(r":::")
_MARK = re.compile(r"<<")
_OPEN = re.compile(r"\{")
_CLOSE = re.compile(r"\}")
_MEMBER = re.compile(r'[^{}\n"][^{}\n]*')
_METHOD = re.compile(r".\(.*\)")
_RELATION = re.compile(
    r"(?P<left><\||\|>|<|>|\*|o\b|\(\))?[^\S\n]*(?P<line>--|\.\.)(?P<right>[^\S\n]*(?:<\||\|>|<|>|\*|o\b|\(\)))?"
)
_CALL = re.compile(r"call\s++[^(]+\([^)]*\)")
_HREF = re.compile(r"href\b", re.ASCII)
_TARGET = re.compile(r"_(?:self|blank|parent|top)\b", re.ASCII)


def parse(body: str, first_line: int) -> Graph:
    """Read a class diagram made ready by `body_of`; line numbers count from `first_line`."""
    reader = _Reader(ClassWords(hide_entities(body), first_line))
    reader.document()
    reader.graph.lines = count_lines(body)
    for element in reader.graph.elements.values():
        element.label = restore_entities(element.label)
    return reader.graph


class _Reader:
    """One method for each rule of the grammar."""

    def __init__(self, cursor: ClassWords) -> None:
        self.graph = Graph(kind="class")
        self._cursor = cursor
        self._open: list[list[int]] = []

    def document(self) -> None:
        cursor = self._cursor
        if not cursor.take(_HEADER):
            self._problem("the text does not begin with `classDiagram` on a line of its own")
            return
        empty = True
        while cursor.take(_NEWLINES) or not cursor.ended():
            if cursor.ended():
                break
            empty = False
            start = cursor.at
            try:
                if self._open:
                    self._inside()
                else:
                    self._statement()
            except Refused as refused:
                self._problem(str(refused), refused.at)
                if len(self.graph.problems) >= MAX_PROBLEMS:
                    return
                cursor.at = max(start, refused.at if refused.at is not None else cursor.at)
                cursor.take(_LINE_REST)
        for opened, _ in self._open[:MAX_PROBLEMS]:
            self._problem("a `namespace` is never closed with `}`", opened)
        if empty:
            self._problem("the diagram holds nothing")

    def _problem(self, message: str, at: int | None = None) -> None:
        self.graph.problems.append(SyntaxProblem(self._cursor.line(at), message))

    def _ended(self) -> None:
        self._cursor.word(_END, "the end of the line")

    def _statement(self) -> None:
        cursor = self._cursor
        if cursor.take(_TURN):
            return
        if cursor.take(_ACCESSIBLE):
            self._ended()
            return
        start = cursor.at
        word = cursor.take(_WORD)
        if word is None:
            if cursor.take(_MARK):
                self._annotation()
            else:
                self._relation()
        elif word.group() == "class":
            self._class()
            cursor.take(CLASS_BLANK)
            cursor.need(_END, "the end of the line")
            return
        elif word.group() == "namespace":
            self._namespace(start)
            return
        else:
            getattr(self, f"_{word.group().replace(' ', '_').lower()}")()
        self._ended()

    def _inside(self) -> None:
        """A statement within a namespace: a class, a note, a namespace or the closing brace."""
        cursor = self._cursor
        start = cursor.at
        if cursor.take(_CLOSE):
            opened, held = self._open.pop()
            if not held:
                raise Refused("the namespace is empty, which Mermaid refuses", opened)
        else:
            word = cursor.take(_WORD)
            kind = word.group() if word else ""
            self._open[-1][1] += 1
            if kind == "namespace":
                self._namespace(start)
                return
            if kind == "class":
                self._class()
            elif kind in ("note", "note for"):
                getattr(self, f"_{kind.replace(' ', '_')}")()
            else:
                cursor.at = start
                raise cursor.expected("a class, a note or `}` in the namespace")
        cursor.take(CLASS_BLANK)
        if not (self._open and cursor.sees(_CLOSE)):
            cursor.need(_END, "the end of the line")

    def _namespace(self, start: int) -> None:
        self._cursor.take(CLASS_BLANK)
        if self._cursor.sees(_NAMESPACE):
            raise self._cursor.expected("the name of the namespace")
        self._cursor.name(TAKEN_IN_CLASS, "the name of the namespace")
        self._cursor.bracketed()
        self._cursor.word(_OPEN, "`{` after the name of the namespace")
        self._open.append([start, 0])

    def _element(self, name: str, line: int) -> Element:
        return self.graph.elements.setdefault(name, Element(name, name, line))

    def _class(self) -> None:
        cursor = self._cursor
        line = cursor.line()
        element = self._element(self._cursor.class_name(TAKEN_IN_CLASS), line)
        element.label = self._cursor.bracketed() or element.label
        cursor.take(CLASS_BLANK)
        if cursor.take(_CSS):
            cursor.take(CLASS_BLANK)
            if cursor.sees(TAKEN_IN_CLASS):
                raise cursor.expected("the name of a style class")
            cursor.need(SIMPLE, "the name of a style class")
        elif cursor.take(_MARK):
            element.kind = self._cursor.marked()
        cursor.take(CLASS_BLANK)
        opened = cursor.at
        if cursor.take(_OPEN):
            self._members(element, opened)

    def _annotation(self) -> None:
        start = self._cursor.at
        kind = self._cursor.marked()
        name = self._cursor.class_name()
        if name not in self.graph.elements:
            raise Refused(f"the annotation names the class `{name}`, which no line before it does", start)
        self.graph.elements[name].kind = kind

    def _members(self, element: Element, opened: int) -> None:
        cursor = self._cursor
        while True:
            cursor.take(_BREAKS)
            if cursor.take(_CLOSE):
                return
            start = cursor.at
            member = cursor.take(_MEMBER)
            if member is None:
                if cursor.ended():
                    raise Refused(f"the body of `{element.id}` is never closed with `}}`", opened)
                mark = cursor.text[cursor.at]
                raise Refused(f"`{mark}` cannot stand in the body of a class")
            self._member(element, member.group().strip(), start)

    def _member(self, element: Element, member: str, start: int) -> None:
        if member.startswith("<<") and member.endswith(">>"):
            element.kind = member[2:-2].strip()
        elif member.find(")") > 0 and not _METHOD.search(member):
            raise Refused(f"the method `{member[:24]}` has `)` without a name and `(` before it", start)

    def _relation(self) -> None:
        cursor = self._cursor
        line = cursor.line()
        source = self._cursor.class_name()
        cursor.take(BLANK)
        start = cursor.at
        label = cursor.take(_LABEL)
        if label:
            element = self._element(source, line)
            self._member(element, label.group()[1:].strip(), start)
            return
        if cursor.sees(_END):
            return
        self._cursor.optional(STRING)
        relation = self._cursor.word(_RELATION, "a relation such as `-->`, `<|--` or `..>`, or `:` and a member")
        self._cursor.optional(STRING)
        target = self._cursor.class_name()
        said = self._cursor.optional(_LABEL)
        left, right = relation["left"] or "", (relation["right"] or "").strip()
        for name, lollipop in ((source, left == "()" != right), (target, right == "()" != left)):
            self._element(name, line).kind += "" if not lollipop else "lollipop"
        text = restore_entities(said.group()[1:].strip()) if said else ""
        self.graph.links.append(Link(source, target, text, line, left + relation["line"] + right))

    def _note(self) -> None:
        self._cursor.word(STRING, "the quoted text of the note")

    def _note_for(self) -> None:
        self._cursor.name(TAKEN, "the class of the note")
        self._note()

    def _style(self) -> None:
        self._cursor.simple("the name of a class")
        self._cursor.styles()

    def _classdef(self) -> None:
        self._cursor.simple("the name of a style class")
        while self._cursor.optional(COMMA):
            self._cursor.simple("the name of a style class")
        self._cursor.styles()

    def _cssclass(self) -> None:
        self._cursor.word(STRING, "the quoted names of classes")
        self._cursor.simple("the name of a style class")

    def _click(self) -> None:
        self._cursor.class_name()
        if self._cursor.optional(_CALL):
            self._cursor.optional(STRING)
            return
        self._cursor.word(_HREF, "`href` or `call …()` after the class")
        self._address()

    def _link(self) -> None:
        self._cursor.class_name()
        self._address()

    def _address(self) -> None:
        self._cursor.word(STRING, "a quoted address")
        self._cursor.optional(STRING)
        self._cursor.optional(_TARGET)

    def _callback(self) -> None:
        self._cursor.class_name()
        self._cursor.word(STRING, "the quoted name of a function")
        self._cursor.optional(STRING)
