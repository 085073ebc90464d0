"""A parser of Mermaid's `erDiagram` language that accepts what Mermaid's own grammar accepts.

It goes on after an error at the next line, so one slip costs one finding and the rest is still read.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from core.validate.mermaid.er_model import Attribute, Diagram, Entity, Relation, SyntaxProblem

__all__ = ["FENCE", "Attribute", "Diagram", "Entity", "Relation", "SyntaxProblem", "parse"]

# A diagram with as many problems is no diagram: the rest of it is not read.
MAX_PROBLEMS = 100

FENCE = re.compile(
    r"^[ \t]*+(?:```|~~~)[ \t]*+(?:mermaid[ \t]*+)?\n(.*?)(?:^[ \t]*+(?:```|~~~)[ \t]*+$|\Z)", re.S | re.M
)
_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\n.*?\n---[ \t]*(?:\n|\Z)", re.S)
_COMMENT_LINE = re.compile(r"^[ \t]*%%.*$", re.M)

_BLANK = re.compile(r"[ \t\r\f\v]*")
_SPACE = re.compile(r"\s*")
_LINE_REST = re.compile(r"[^\n]*")
_HEADER = re.compile(r"erDiagram\b")
_SETTING = re.compile(
    r"(?:accTitle\s*:[^\n]*|accDescr\s*:[^\n]*|accDescr\s*\{[^}]*\}|title[ \t][^\n{|}:]++(?=\n|\Z)"
    r"|direction[ \t]+(?:TB|BT|RL|LR)[^\n]*|(?:style|classDef)[ \t]+[\w,*-]+[ \t]+[\w-]+[ \t]*:[^\n]*"
    r"|class[ \t]+[\w,*-]+[ \t]+[\w,*-]+(?=[ \t]*(?:\n|\Z)))",
    re.I,
)
_RESERVED = re.compile(r"acc|title|direction|style|class|subgraph|end", re.I)
_MARKS = frozenset("[:")
_SUBGRAPH = re.compile(r'subgraph[ \t]+(?:"[^"\n]+"|[\w*-]+)[ \t]*+(?:\[[^\]\n]+\][ \t]*+)?(?=\n)', re.I)
_END = re.compile(r"end\b", re.I)
# What Mermaid reads as something else wherever a name or a label may stand.
_TAKEN = (
    r"(?!--|\.\.|\.-|-\."
    r"|(?:style|classDef|class|subgraph|end|(?:zero|one) or (?:zero|one|more|many)|only one|one|many|to)\b)"
)
_PLAIN = rf"{_TAKEN}(?:[^\x00-\x7F]|[A-Za-z_.*-])(?:[^\x00-\x7F]|[\w.*-])*"
_NAME = re.compile(rf'"[^"%\r\n\v\\]+"|(?!1\s+["\'A-Za-z_])\d+(?:\.\d+)?|{_PLAIN}', re.I)
_ALIAS = re.compile(rf"\[[ \t]*({_NAME.pattern})[ \t]*\]", re.I)
_CLASSES = re.compile(r":::[ \t]*[\w*-]+(?:[ \t]*,[ \t]*[\w*-]+)*")
_OPEN = re.compile(r"\{")
_CLOSE = re.compile(r"\}")
_COLON = re.compile(r":(?!::)")
_LABEL = re.compile(rf'"[^"]*"|{_PLAIN}', re.I)
_LINK = re.compile(r"--|\.\.|\.-|-\.|optionally to\b|to\b", re.I)
# Which side of a relation holds one row (at most) and which may hold many.
_MANY = r"one or more\b|one or many\b|zero or more\b|zero or many\b|many\(0\)|many\(1\)|many\b|1\+|0\+"
_ONE = r"one or zero\b|zero or one\b|only one\b|one\b|1(?!\w)"
_CARDINALITY = re.compile(rf"(?P<many>{_MANY}|\}}o\b|\}}\||o\{{|\|\{{)|(?P<one>{_ONE}|\|\||\|o\b|o\||u(?=[.|-]))", re.I)
_KEY = re.compile(r"(?:PK|FK|UK)\b", re.I)
_NO_TILDE = re.compile(r"[^\s~]*+")
_GENERIC = re.compile(r"[^\s~]*+~[^\n]*~[^\s]*+")
_WORD = re.compile(r"[*A-Za-z_\u00C0-\uFFFF][A-Za-z0-9\-_\[\]().,\u00C0-\uFFFF*]*|`[^`]+`")
_BREAK = re.compile(r"\n")
_OPTIONAL = re.compile(r"\?")
_COMMA = re.compile(r",")
_COMMENT = re.compile(r'"[^"]*"')
# Whole lines in the form that nearly every diagram has, each taken in one step as the rules one by one would take it;
# whatever may go on in the next line (a key, a comma, a comment) is left to the rules.
_WORD_AHEAD = r"[A-Za-z_][A-Za-z0-9_]*"
_PLAIN_ATTRIBUTE = re.compile(
    rf"[ \t]*({_WORD_AHEAD})[ \t]+(?!(?:PK|FK|UK)\b)({_WORD_AHEAD})(?:[ \t]+(PK|FK|UK))?[ \t]*\n"
    rf"(?=[ \t]*(?:\}}|(?!(?:PK|FK|UK)\b){_WORD_AHEAD}[ \t]))",
    re.I,
)
_PLAIN_RELATION = re.compile(
    rf"{_TAKEN}({_WORD_AHEAD})[ \t]+(\|\||\|o|\}}o|\}}\|)(?:--|\.\.)(\|\||o\||o\{{|\|\{{)[ \t]+"
    rf"{_TAKEN}({_WORD_AHEAD})"
    rf'[ \t]*:[ \t]*("[^"\n]*"|{_TAKEN}{_WORD_AHEAD})[ \t]*\n',
    re.I,
)
_PLAIN_ENTITY = re.compile(rf"(?!accDescr\b){_TAKEN}({_WORD_AHEAD})[ \t]*\{{[ \t]*\n", re.I)


def parse(text: str) -> Diagram:
    """Read an ER diagram, bare or inside a Mermaid code fence; line numbers count from the first line of `text`."""
    fence = FENCE.search(text)
    start = fence.start(1) if fence else 0
    body = fence.group(1) if fence else text
    reader = _Reader(body, first_line=text.count("\n", 0, start) + 1)
    reader.document()
    reader.diagram.lines = len(body.rstrip().split("\n")) if body.strip() else 0
    return reader.diagram


class _Refused(Exception):
    """What stands at the cursor cannot follow here; `line` is where the trouble began, None for the cursor's line."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class _Reader:
    """A cursor over the text with one method for each rule of the grammar; `whole_lines` is a short cut."""

    whole_lines = True

    def __init__(self, body: str, *, first_line: int) -> None:
        blanked = _FRONT_MATTER.sub(lambda match: "\n" * match.group().count("\n"), body)
        self._text = _COMMENT_LINE.sub("", blanked)
        self._at = 0
        self._first_line = first_line
        self._depth = 0
        # No type with two `~` begins before or at this offset.
        self._no_generic = -1
        self._breaks = [each.start() for each in _BREAK.finditer(self._text)]
        self.diagram = Diagram()

    def document(self) -> None:
        self._take(_SPACE)
        if not self._take(_HEADER):
            self._problem("the text does not begin with `erDiagram`")
            return
        while self._take(_SPACE) is not None and self._at < len(self._text):
            try:
                self._statement()
            except _Refused as refused:
                self._problem(str(refused), refused.line)
                self._take(_LINE_REST)
            if len(self.diagram.problems) >= MAX_PROBLEMS:
                return
        if self._depth:
            self._problem("a `subgraph` is never closed with `end`")

    def _line(self) -> int:
        return self._first_line + bisect_right(self._breaks, self._at - 1)

    def _problem(self, message: str, line: int | None = None) -> None:
        self.diagram.problems.append(SyntaxProblem(line or self._line(), message))

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self._at)
        if match:
            self._at = match.end()
        return match

    def _need(self, pattern: re.Pattern[str], wanted: str) -> str:
        self._take(_BLANK)
        match = self._take(pattern)
        if match is None:
            rest = _LINE_REST.match(self._text, self._at)
            seen = rest.group().strip()[:24] if rest else ""
            raise _Refused(f"expected {wanted}, found " + (f"`{seen}`" if seen else "the end of the line"))
        return match.group()

    def _statement(self) -> None:
        if self.whole_lines and self._plain_line():
            return
        if _RESERVED.match(self._text, self._at) and self._reserved():
            return
        line = self._line()
        left = self._need(_NAME, "an entity name").strip('"')
        self._take(_BLANK)
        alias = None
        if self._text[self._at : self._at + 1] in _MARKS:
            alias = self._take(_ALIAS)
            self._classes()
        ends = None if alias else self._take(_CARDINALITY)
        if ends is not None:
            self._relation(left, bool(ends["many"]), line)
            return
        entity = self._entity(left, line)
        if alias:
            entity.alias = alias.group(1).strip('"')
        if self._take(_OPEN):
            entity.line = line if not entity.attributes else entity.line
            self._block(entity)

    def _reserved(self) -> bool:
        """Takes a setting, the head of a subgraph or its end."""
        if self._take(_SETTING):
            return True
        if self._take(_SUBGRAPH):
            self._depth += 1
            return True
        if self._depth and self._take(_END):
            self._depth -= 1
            return True
        return False

    def _plain_line(self) -> bool:
        """Takes a relation or the head of an entity that fills its line."""
        line = self._line()
        if found := self._take(_PLAIN_RELATION):
            left, left_end, right_end, right, label = found.groups()
            self._entity(left, line)
            self._entity(right, line)
            many = left_end[0] == "}", right_end[1] == "{"
            self.diagram.relations.append(Relation(left, right, *many, label.strip('"'), line))
        elif found := self._take(_PLAIN_ENTITY):
            entity = self._entity(found.group(1), line)
            entity.line = entity.line if entity.attributes else line
            self._block(entity)
        return found is not None

    def _relation(self, left: str, left_many: bool, line: int) -> None:
        self._need(_LINK, "`--` or `..` between the two cardinalities")
        self._take(_BLANK)
        end = self._take(_CARDINALITY)
        if end is None:
            raise _Refused(f"the relation of `{left}` has no cardinality such as `o{{` on its right side")
        right = self._need(_NAME, "the second entity of the relation").strip('"')
        self._classes()
        self._need(_COLON, "`:` and a label after the relation")
        label = self._need(_LABEL, "a label after `:`").strip('"')
        self._entity(left, line)
        self._entity(right, line)
        self.diagram.relations.append(Relation(left, right, left_many, bool(end["many"]), label, line))

    def _classes(self) -> None:
        self._take(_BLANK)
        self._take(_CLASSES)
        self._take(_BLANK)

    def _entity(self, name: str, line: int) -> Entity:
        entity = self.diagram.entities.get(name)
        if entity is None:
            entity = self.diagram.entities[name] = Entity(name, line)
        return entity

    def _block(self, entity: Entity) -> None:
        while True:
            while self.whole_lines and (found := self._take(_PLAIN_ATTRIBUTE)):
                kind, name, key = found.groups()
                line = self._first_line + bisect_right(self._breaks, found.start() - 1)
                entity.attributes.append(Attribute(kind, name, (key.upper(),) if key else (), "", line))
            self._take(_SPACE)
            if self._take(_CLOSE):
                return
            if self._at >= len(self._text):
                raise _Refused(f"the block of `{entity.name}` is never closed with `}}`")
            try:
                entity.attributes.append(self._attribute())
            except _Refused as refused:
                self._problem(str(refused), refused.line)
                if len(self.diagram.problems) >= MAX_PROBLEMS:
                    return
                self._at = max(self._at, min(self._next("\n"), self._next("}")))

    def _next(self, mark: str) -> int:
        found = self._text.find(mark, self._at)
        return len(self._text) if found < 0 else found

    def _word(self, wanted: str) -> str:
        """The type or the name of an attribute."""
        self._take(_BLANK)
        if self._at > self._no_generic:
            if generic := self._take(_GENERIC):
                return generic.group()
            # Where this search ended, one from any later character up to there would end, too.
            if plain := _NO_TILDE.match(self._text, self._at):
                self._no_generic = plain.end()
        return self._need(_WORD, wanted)

    def _attribute(self) -> Attribute:
        line = self._line()
        kind = self._word("an attribute type or `}`")
        self._take(_OPTIONAL)
        self._take(_SPACE)
        if self._text.startswith("}", self._at):
            raise _Refused(f"the attribute `{kind}` needs a type and a name", line)
        if _KEY.match(self._text, self._at):
            raise _Refused(f"the attribute `{kind}` has a key but no name", line)
        name = self._word(f"the name of the `{kind}` attribute").strip("`")
        keys: list[str] = []
        self._take(_SPACE)
        if _KEY.match(self._text, self._at):
            keys.append(self._need(_KEY, "a key").upper())
            self._take(_SPACE)
            while self._take(_COMMA):
                self._take(_SPACE)
                keys.append(self._need(_KEY, "`PK`, `FK` or `UK` after the comma").upper())
                self._take(_SPACE)
        comment = self._take(_COMMENT)
        return Attribute(kind, name, tuple(keys), comment.group().strip('"') if comment else "", line)
