"""A parser of Mermaid's flowcharts (`flowchart` and `graph`) that accepts what Mermaid's own parser accepts.

It goes on at the next line after an error, so one slip costs one finding and the rest is still read.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from core.validate.mermaid.flow_data import ShapeData
from core.validate.mermaid.flow_words import Arrow, Words
from core.validate.mermaid.graph import Element, Graph, Link, SyntaxProblem
from core.validate.mermaid.reading import Refused
from core.validate.mermaid.text import count_lines, hide_entities, restore_entities

MAX_LINKS = 500
MAX_PROBLEMS = 100

_HEADER = re.compile(r"\s*(?:graph|flowchart-elk|flowchart)\b", re.ASCII)
_DIRECTION = re.compile(r"\s*(?:LR|RL|TB|BT|TD|BR|<|>|\^|v)(?=;|[^\S\n]*(?:\n|\Z))")
_HEADER_END = re.compile(r"[^\S\n]*(?:\n|\Z)|(?<=\S);")
_GAP = re.compile(r"[\s;]+")
_TITLE = re.compile(r"acc(?:Title|Descr)\s*:\s*[^\n]*")
_DESCRIPTION = re.compile(r"accDescr\s*\{[^}]*(?:\}|\Z)")
_TURN = re.compile(r"direction\s+(?:TB|BT|RL|LR|TD)")
_WORD = re.compile(r"(?:style|linkStyle|classDef|class|subgraph|click|end)\b", re.ASCII)
_SPACE = re.compile(r"[^\S\n]")
_SPACES = re.compile(r"[^\S\n]+")
_LINE_REST = re.compile(r"[^\n]*")
_AND = re.compile(r"[^\S\n]+&[^\S\n]+")
_SEPARATOR = re.compile(r"[\n;]|\Z")
_SUBGRAPH_TEXT = re.compile(r"(?=\[)")
_END = re.compile(r"\s*")
_DATA = re.compile(r"@(?=\{)")
_NUMBERS = re.compile(r"\d+(?:,\d+)*(?=\s)")
_DEFAULT = re.compile(r"default\b", re.ASCII)
_INTERPOLATE = re.compile(r"interpolate\b", re.ASCII)
_CLICKED = re.compile(r"\s+[^\s]+\s")
_CALL = re.compile(r"call\s++[^(]+\([^)]*\)")
_HREF = re.compile(r"href\s")
_QUOTED = re.compile(r'"(?!`)[^"]+"')
_TIP = re.compile(r'\s"[^"]+"')
_TARGET = re.compile(r"\s_(?:self|blank|parent|top)\b", re.ASCII)


def parse(body: str, first_line: int) -> Graph:
    """Read a flowchart made ready by `body_of`; line numbers count from `first_line`."""
    reader = _Reader(Words(hide_entities(body), first_line))
    reader.document()
    reader.graph.lines = count_lines(body)
    for element in reader.graph.elements.values():
        element.label = restore_entities(element.label)
    return reader.graph


class _Reader:
    """One method for each rule of the grammar, over a cursor that knows the words."""

    def __init__(self, words: Words) -> None:
        self.graph = Graph(kind="flowchart")
        self._words = words
        self._turns = [match.span() for match in _TURN.finditer(words.text)]
        self._data = ShapeData(words)
        self._open: list[tuple[int, str]] = []
        self._edge_ids: set[str] = set()

    def document(self) -> None:
        words = self._words
        if not words.take(_HEADER):
            self._problem("the text does not begin with `flowchart` or `graph`")
            return
        directed = words.take(_DIRECTION)
        if not words.take(_HEADER_END) or (not directed and words.text[words.at - 1 : words.at] == ";"):
            self._problem("expected a direction such as `TD` or `LR` and then a new line after the header")
            words.take(_LINE_REST)
        while words.take(_GAP) or not words.ended():
            if words.ended():
                break
            start = words.at
            try:
                self._statement()
            except Refused as refused:
                self._problem(str(refused), refused.at)
                if len(self.graph.problems) >= MAX_PROBLEMS:
                    return
                words.at = max(start, refused.at if refused.at is not None else words.at)
                words.take(_LINE_REST)
        for opened, _ in self._open[:MAX_PROBLEMS]:
            self._problem("a `subgraph` is never closed with `end`", opened)

    def _problem(self, message: str, at: int | None = None) -> None:
        self.graph.problems.append(SyntaxProblem(self._words.line(at), message))

    def _statement(self) -> None:
        words = self._words
        # Mermaid looks for `direction` in the whole line before it looks at blanks, but after keywords.
        indented = words.text[words.at - 1] in " \t"
        turned = self._turn()
        if not (turned and indented) and (words.take(_TITLE) or words.take(_DESCRIPTION)):
            return
        word = _WORD.match(words.text, words.at)
        if word and word.group() == "click" and not words.text[word.end() : word.end() + 1].isspace():
            word = None
        if turned and (indented or word is None):
            words.at = turned
            words.take(_LINE_REST)
            return
        if word is None:
            self._chain()
            self._separate(spaces=True)
            return
        words.at = word.end()
        if word.group() == "end":
            self._close()
            return
        if turned and word.group() != "click":
            raise Refused(f"`direction` needs a line of its own, apart from `{word.group()}`")
        getattr(self, f"_{word.group().lower()}")()

    def _turn(self) -> int | None:
        """The end of a `direction LR` that begins on this line, or None."""
        index = bisect_left(self._turns, (self._words.at,))
        if index < len(self._turns) and self._turns[index][0] < self._words.line_end():
            return self._turns[index][1]
        return None

    def _separate(self, *, spaces: bool = False) -> None:
        if spaces:
            self._words.take(_SPACES)
        self._words.need(_SEPARATOR, "the end of the line or `;`" + ("" if spaces else " (without blanks before it)"))

    def _blank(self, before: str) -> None:
        self._words.need(_SPACE, f"one blank and {before}")

    def _close(self) -> None:
        if not self._open:
            raise Refused("`end` closes no subgraph (it is a reserved word: a node needs another id)")
        self._open.pop()
        self._words.take(_END)

    def _subgraph(self) -> None:
        opened = self._words.at
        self._blank("the id or the title of the subgraph")
        title = self._words.title().strip().strip('"`')
        if self._words.sees(_SUBGRAPH_TEXT):
            self._words.brackets()
        self._separate()
        for _, outer in self._open[-1:]:
            self.graph.groups[outer].append(title)
        self.graph.groups.setdefault(title, [])
        self._open.append((opened, title))

    def _style(self) -> None:
        self._blank("the id of a node")
        line = self._words.line()
        name = self._words.id("the id of a node")
        self._element(name, line)
        self._styles_after(name)

    def _styles_after(self, name: str) -> None:
        self._blank(f"the styles of `{name}`")
        self._words.styles()
        self._separate(spaces=True)

    def _classdef(self) -> None:
        self._blank("the name of a class")
        self._styles_after(self._words.id("the name of a class"))

    def _class(self) -> None:
        self._blank("the ids of nodes")
        self._words.id("the ids of nodes")
        self._blank("the name of a class")
        self._words.id("the name of a class")
        self._separate()

    def _linkstyle(self) -> None:
        self._blank("the numbers of links")
        start = self._words.at
        numbers = self._words.take(_NUMBERS)
        if not numbers:
            self._words.need(_DEFAULT, "the numbers of links (`0,1`) or `default`")
        self._blank("the styles of the links")
        if self._words.take(_INTERPOLATE):
            self._blank("the name of a curve")
            self._words.id("the name of a curve")
        if not (self._words.sees(_SEPARATOR) and self._words.text[self._words.at - 1] != " "):
            self._words.styles()
        self._separate(spaces=True)
        for number in numbers.group().split(",") if numbers else ():
            leading = len(number) > 1 and number.startswith("0")
            if leading or len(number) > len(str(MAX_LINKS)) or int(number) >= len(self.graph.links):
                raise Refused(f"there is no link with the number {number[:9]} before this line", start)

    def _click(self) -> None:
        words = self._words
        words.need(_CLICKED, "the id of a node and what a click does")
        if words.take(_CALL):
            words.take(_TIP)
        elif words.take(_HREF) or words.text.startswith('"', words.at):
            words.need(_QUOTED, "a quoted address")
            words.take(_TIP)
            words.take(_TARGET)
        elif words.sees(_DEFAULT):
            raise words.expected("an address, `call …()` or the name of a function")
        else:
            words.id("the name of a function")
            words.take(_TIP)
        self._separate()

    def _chain(self) -> None:
        """Nodes joined by links: `a & b --> c -->|yes| d`."""
        sources = self._nodes()
        while True:
            start = self._words.at
            edge = self._words.edge_id()
            line = self._words.line()
            arrow = self._words.arrow()
            if arrow is None:
                if edge is not None:
                    raise Refused(f"expected a link after its id `{edge[:24]}@`")
                self._words.at = start
                return
            if edge is not None:
                self._edge_ids.add(edge)
            targets = self._nodes()
            self._link(sources, targets, arrow, line)
            sources = targets

    def _link(self, sources: list[str], targets: list[str], arrow: Arrow, line: int) -> None:
        if len(self.graph.links) + len(sources) * len(targets) > MAX_LINKS:
            raise Refused(f"the diagram has more than {MAX_LINKS} links, which Mermaid refuses")
        label = restore_entities(arrow.label)
        self.graph.links.extend(Link(source, to, label, line, arrow.kind) for source in sources for to in targets)

    def _nodes(self) -> list[str]:
        found = [self._node()]
        while self._words.take(_AND):
            found.append(self._node())
        return found

    def _node(self) -> str:
        words = self._words
        line = words.line()
        name = words.id("the id of a node")
        brackets = words.brackets()
        if words.css_class() and brackets is None and not words.ended() and words.text[words.at] in "[({>":
            raise words.expected("a link or the end of the line (a class stands after the brackets)")
        label, kind = (brackets[1], brackets[0]) if brackets else ("", "")
        if words.take(_DATA):
            data = self._data.read(is_link=name in self._edge_ids)
            label, kind = data.label or label, data.shape or kind
            if name in self._edge_ids:
                return name
        self._element(name, line, label, kind)
        for _, group in self._open[-1:]:
            self.graph.groups[group].append(name)
        return name

    def _element(self, name: str, line: int, label: str = "", kind: str = "") -> None:
        element = self.graph.elements.setdefault(name, Element(name, name, line))
        element.label = label or element.label
        element.kind = kind or element.kind
