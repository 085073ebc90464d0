"""A parser of Mermaid's `sequenceDiagram` language that refuses what Mermaid refuses.

It goes on after an error at the next line, so one slip costs one finding and the rest is still read.
"""

from __future__ import annotations

import re

from core.validate.mermaid.graph import Element, Graph, Link, SyntaxProblem
from core.validate.mermaid.reading import Cursor, Refused
from core.validate.mermaid.roles import Roles
from core.validate.mermaid.text import BLANK, MAX_PROBLEMS, SPACE, count_lines, hide_entities, restore_entities

_HEADER = re.compile(rf"{SPACE}*sequenceDiagram\b", re.A)
# Blanks swallow the line breaks that follow them, which is why a blank at the end of `autonumber` is refused.
_SKIPPED = re.compile(rf"(?:{BLANK}{SPACE}*+|#[^\n]*+|%(?!\{{)[^\n]*+|[^}}\n]%%[^\n]*+)*+")
_ENDS = re.compile(r"[\n;]+")
_REST = re.compile(r"[^#\n;]*")
_TEXT = re.compile(r":[^#\n;]*")
_NUMBER = re.compile(r"(?:\d+(?:\.\d\d?)?|\.\d\d?)(?=[ \n])", re.A)
_KEYWORD = re.compile(
    r"(?:participant|actor|create|destroy|box|loop|rect|opt|alt|else|par_over|par|and|critical|option|break|end"
    r"|left of|right of|over|note|links?|properties|details|activate|deactivate|sequenceDiagram|autonumber|off)\b",
    re.I | re.A,
)
_TITLE = re.compile(rf"title:?{SPACE}[^#\n;]+", re.I)
_ACC_LINE = re.compile(rf"acc(?:Title|Descr){SPACE}*+:{SPACE}*+[^\n]*", re.I)
_ACC_BLOCK = re.compile(rf"accDescr{SPACE}*+\{{[^}}]*+\}}?", re.I)
# What is no name wherever a name may stand.
_TAKEN = re.compile(
    "|".join(f"(?:{taken.pattern})" for taken in (_NUMBER, _KEYWORD, _TITLE, _ACC_LINE, _ACC_BLOCK)), re.I | re.A
)

_ARROW = re.compile(r"<<--?>>|--?(?:>>?|[xX)]|\|[\\/]|\\\\|//)|(?:[/\\]\||//|\\\\)--?")
# Inside a name `-`, `/`, `\`, `(` and `)` may stand wherever no arrow and no `()` begins.
_NAME = re.compile(
    r"[^/\\+()<>\-:\n,;]++(?:(?!\(\)|--|-[xX)/\\]|-\|[/\\]|[/\\]\|-|//-|\\\\-)-?[^+<>\-:\n,;]++)*+",
)
_SIGN = re.compile(r"[+-]")
_CENTRAL = re.compile(r"\(\)")
_COMMA = re.compile(r",")
_OFF = re.compile(r"off\b", re.I | re.A)
_STRAY = re.compile(rf"(?:(?!{_ARROW.pattern}|\(\)|.%%)[/\\()<>])++")

# What follows `participant`, `activate` and the like is read by other rules than a name in a message.
_ID_SKIPPED = re.compile(rf"(?:{BLANK}+|#[^\n]*)*+")
_ID_WITH_CONFIG = re.compile(rf"(?:(?![<=>\-:,;@]|{SPACE}).)++(?=@\{{)", re.S)
_ID_WITH_ALIAS = re.compile(rf"(?:(?![<>:,;@]|{SPACE}).)++(?={BLANK}+as{SPACE})", re.S | re.I)
_ID = re.compile(r"[^<>:\n,;@]+")
_AFTER_ID = re.compile(r"[\n;]|\Z")
_CONFIG = re.compile(r"@\{([^}]+)\}")
_AS = re.compile(rf"{BLANK}+as(?={SPACE})", re.I)
_PARTICIPANT = re.compile(r"(participant|actor|destroy)\b", re.I | re.A)

_SEPARATORS = {"else": ("alt",), "and": ("par", "par_over"), "option": ("critical",)}
_BLOCKS = frozenset({"loop", "rect", "opt", "alt", "par", "par_over", "critical", "break", "box"})
_IN_BOX = frozenset({"participant", "actor", "destroy", "end"})


def parse(body: str, first_line: int) -> Graph:
    """Read a sequence diagram without front matter and directives; its first line is number `first_line`.

    Elements are participants, of kind `participant` or `actor`; links are messages in order, of the kind of their
    arrow. What only Mermaid's drawing rules forbid, such as ending an activation that never began, is a problem too.
    """
    reader = _Reader(body, first_line)
    reader.document()
    reader.graph.lines = count_lines(body)
    return reader.graph


class _Reader:
    """One method for each kind of statement."""

    def __init__(self, body: str, first_line: int) -> None:
        text = hide_entities(body.replace("\r", "\n"))
        self._cursor = Cursor(text + "\n", first_line)
        self._last_line = first_line + body.count("\n")
        self._blocks: list[tuple[str, int]] = []
        self._roles = Roles()
        self.graph = Graph(kind="sequence")

    def document(self) -> None:
        if not self._cursor.take(_HEADER):
            self._problem("the text does not begin with `sequenceDiagram`", self._cursor.line())
            return
        while self._more():
            try:
                self._statement()
            except Refused as refused:
                if len(self.graph.problems) >= MAX_PROBLEMS:
                    break
                self._problem(restore_entities(str(refused)), self._cursor.line(refused.at))
                self._cursor.at = self._cursor.line_end()
        for word, line in self._blocks[:MAX_PROBLEMS]:
            self._problem(f"this `{word}` is never closed with `end`", line)
        if not self.graph.problems:
            self.graph.problems.extend(self._roles.problems[:MAX_PROBLEMS])

    def _more(self) -> bool:
        self._skip()
        while self._cursor.take(_ENDS):
            self._skip()
        return not self._cursor.ended()

    def _problem(self, message: str, line: int) -> None:
        self.graph.problems.append(SyntaxProblem(min(line, self._last_line), message))

    def _skip(self) -> None:
        self._cursor.take(_SKIPPED)

    def _statement(self) -> None:
        cursor = self._cursor
        line = cursor.line()
        in_box = bool(self._blocks) and self._blocks[-1][0] == "box"
        start = cursor.at
        taken = cursor.sees(_TAKEN)
        keyword = cursor.take(_KEYWORD) if taken and not cursor.sees(_NUMBER) else None
        word = keyword.group().lower() if keyword else ""
        if in_box and word not in _IN_BOX:
            cursor.at = start
            raise cursor.expected("a participant or `end` inside `box`")
        if keyword:
            self._keyword(word, line, start)
        elif taken:
            if not (cursor.take(_TITLE) or cursor.take(_ACC_LINE) or cursor.take(_ACC_BLOCK)):
                raise cursor.expected("a message, a participant, a note or a block")
        # Mermaid lets stray marks pass, but only where a statement may begin.
        elif not (self._message(line) or cursor.take(_STRAY)):
            raise cursor.expected("a message, a participant, a note or a block")

    def _keyword(self, word: str, line: int, start: int) -> None:
        if word in _BLOCKS:
            self._blocks.append((word, line))
            if word == "box":
                self._roles.open_box()
            self._cursor.take(_REST)
        elif word in _SEPARATORS:
            if not self._blocks or self._blocks[-1][0] not in _SEPARATORS[word]:
                raise Refused(f"`{word}` stands outside `{_SEPARATORS[word][0]}`", start)
            self._cursor.take(_REST)
        elif word == "end":
            self._end(start)
        elif word in ("participant", "actor", "create", "destroy"):
            self._declaration(word, line)
        elif word in ("activate", "deactivate"):
            name = self._identifier()
            self._line_end()
            self._roles.activate(name) if word == "activate" else self._roles.deactivate(name, line)
        elif word == "note":
            self._note(line)
        elif word in ("link", "links", "properties", "details"):
            self._add(self._name("the participant that has the link"), line)
            self._text()
        elif word == "autonumber":
            self._autonumber()
        else:
            self._cursor.at = start
            raise self._cursor.expected("a message, a participant, a note or a block")

    def _end(self, start: int) -> None:
        if not self._blocks:
            raise Refused("`end` closes no block", start)
        word, _ = self._blocks.pop()
        if word == "box":
            self._roles.close_box()

    def _declaration(self, word: str, line: int) -> None:
        created = word == "create"
        if created:
            self._skip()
            following = self._cursor.take(_PARTICIPANT)
            if following is None:
                raise self._cursor.expected("`participant` or `actor` after `create`")
            word = following.group(1).lower()
        name = self._identifier()
        if word == "destroy":
            self._line_end()
            self._roles.destroy(name)
            return
        config = self._cursor.take(_CONFIG)
        if config:
            self._roles.check_config(restore_entities(config.group(1)), line)
        label = name
        if self._cursor.take(_AS):
            rest = self._cursor.take(_REST)
            label = restore_entities(rest.group()).strip() if rest else name
        self._line_end()
        if created:
            self._roles.create(name, line, known=name in self.graph.elements)
        self._roles.declare(name, line)
        element = self._add(name, line)
        element.kind = word
        element.label = label or name

    def _identifier(self) -> str:
        cursor = self._cursor
        cursor.take(_ID_SKIPPED)
        match = cursor.take(_ID_WITH_CONFIG) or cursor.take(_ID_WITH_ALIAS)
        if match:
            return restore_entities(match.group())
        start = cursor.at
        plain = cursor.take(_ID)
        if plain is None:
            raise cursor.expected("the name of a participant")
        name = plain.group()
        if not cursor.sees(_AFTER_ID):
            cut = name.rfind("#")
            if cut <= 0:
                raise cursor.expected("the end of the line after the name of a participant")
            name = name[:cut]
            cursor.at = start + cut
        return restore_entities(name).strip()

    def _note(self, line: int) -> None:
        self._skip()
        place = self._cursor.take(_KEYWORD)
        if place is None or place.group().lower() not in ("over", "left of", "right of"):
            self._cursor.at = place.start() if place else self._cursor.at
            raise self._cursor.expected("`over`, `left of` or `right of` after `note`")
        self._add(self._name("the participant the note belongs to"), line)
        self._skip()
        if place.group().lower() == "over" and self._cursor.take(_COMMA):
            self._add(self._name("the second participant of the note"), line)
        self._text()

    def _autonumber(self) -> None:
        self._skip()
        if not self._cursor.take(_OFF):
            for _ in range(2):
                self._cursor.take(_NUMBER)
                self._skip()
        self._line_end()

    def _message(self, line: int) -> bool:
        name = self._taken_name()
        if name is None:
            return False
        cursor = self._cursor
        self._skip()
        if cursor.take(_CENTRAL):
            self._skip()
        arrow = cursor.take(_ARROW)
        if arrow is None:
            raise cursor.expected(f"an arrow such as `->>` after `{name}`")
        self._skip()
        sign = None
        if not cursor.take(_CENTRAL) and not cursor.sees(_ARROW):
            sign = cursor.take(_SIGN)
        target = self._name("the participant the message goes to")
        label = self._text()
        self._add(name, line)
        self._add(target, line)
        self.graph.links.append(Link(name, target, label, line, arrow.group()))
        self._roles.message(name, target, line)
        if sign and sign.group() == "+":
            self._roles.activate(target)
        elif sign:
            self._roles.deactivate(name, line)
        return True

    def _name(self, wanted: str) -> str:
        self._skip()
        name = self._taken_name()
        if name is None:
            raise self._cursor.expected(wanted)
        return name

    def _taken_name(self) -> str | None:
        match = None if self._cursor.sees(_TAKEN) else self._cursor.take(_NAME)
        return restore_entities(match.group()).strip() if match else None

    def _text(self) -> str:
        self._skip()
        match = self._cursor.take(_TEXT)
        if match is None:
            raise self._cursor.expected("`:` and a text")
        return restore_entities(match.group()[1:]).strip()

    def _line_end(self) -> None:
        self._skip()
        if not self._cursor.ended() and self._cursor.take(_ENDS) is None:
            raise self._cursor.expected("the end of the line")

    def _add(self, name: str, line: int) -> Element:
        element = self.graph.elements.get(name)
        if element is None:
            element = self.graph.elements[name] = Element(name, name, line, "participant")
        return element
