"""The words of Mermaid's flowcharts: ids, links, texts in brackets, classes and the lists of styles.

A flowchart has few marks of its own, so what a character means depends on what stands before it: a dash is part of an
id unless it begins a link, and a word such as `end` or `style` ends an id that it begins.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from core.validate.mermaid.reading import Cursor, Refused

_KEYWORD = re.compile(
    r"(?:style|linkStyle|interpolate|classDef|class|graph|flowchart|subgraph|end|_self|_blank|_parent|_top)\b"
    r"|(?:href|call|click)(?:\s|\Z)|accTitle\s*:|accDescr\s*[:{]",
    re.ASCII,
)
_DEFAULT = re.compile(r"default\b", re.ASCII)
_TITLE_WORD = re.compile(r"(?:style|linkStyle|interpolate|classDef|class|graph|flowchart|subgraph)\b", re.ASCII)
_END_WORD = re.compile(r"end\b\s*", re.ASCII)
_STYLE_WORD = re.compile(r"style\b", re.ASCII)
_LINK = re.compile(r"\s*([xo<]?--+[-xo>]|[xo<]?==+[=xo>]|[xo<]?-?\.+-[xo>]?|~~~+)\s*")
_LINK_OPEN = re.compile(r"\s*([xo<]?(?:--|==|-\.))\s*")
_CLASS_MARK = re.compile(r":::")
_SINGLE = re.compile(r"[0-9]+|[#:&,*]")
_CHUNK = re.compile(r"(?!\")(?:[A-Za-z0-9!\"#$%&'*+.`?\\_/]|-(?=[^>\-.]|\Z))+")
_DASH = re.compile(r"-(?![\-.])")
_STYLE_PART = re.compile(r"[ \t\xa0]|[0-9]+|[#%]|:(?!::)")
_DOWN = re.compile(r"v\b", re.ASCII)
_COMMA = re.compile(r",")
_SPACES = re.compile(r"[^\S\n]+")
_EDGE_ID = re.compile(r"@(?=[^{\"]|\Z)")
_RUN_END = re.compile(r"[\s\"]|\Z")
_STRING = re.compile(r'"`([^`"]+)`"|"(?!`)([^"]+)"')
_EMPTY = re.compile(r'(?:"")*(?!"`)')
_TEXT = re.compile(r'[^\[\](){}|"]+')
_CLOSERS = {"[": "]", "(": ")", "{": "}", "|": "|", "((": "))", "(((": ")))", "[[": "]]", "{{": "}}", ">": "]"}
_CLOSERS |= {"([": "])", "[(": ")]"}
_OPENER = re.compile(r"\(\(\(|\(\(|\(\[|\(-|\(|\[\(|\[\[|\[\||\[/|\[\\|\[|\{\{|\{|>")
_PROPERTY = re.compile(r"(?!\d|v:)([A-Za-z0-9!#$%&'+.`?\\_/-]+):(?!\d|v\|)([A-Za-z0-9!#$%&'+.`?\\_/-]+)\|")
_SLANTED = re.compile(r"(?:[/\\](?!\])|[^\\/\[\](){}])+")
_SLANTED_END = re.compile(r"[/\\]\]")
_ELLIPSE = re.compile(r"(?:-(?!\))|[^\-()\[\]{}\"])+")
_ELLIPSE_END = re.compile(r"-\)")
_LINK_TEXTS = {
    "--": re.compile(r"(?:-(?!-)|[^\-\"])+"),
    "==": re.compile(r"[^=\"]+"),
    "-.": re.compile(r"[^.\"]+"),
}
_LINK_ENDS = {
    "--": re.compile(r"\s*[xo<]?--+[-xo>]\s*"),
    "==": re.compile(r"\s*[xo<]?==+[=xo>]\s*"),
    "-.": re.compile(r"\s*[xo<]?-?\.+-[xo>]?\s*"),
}


@dataclass(frozen=True, slots=True)
class Arrow:
    """How a link is drawn and what is written on it."""

    kind: str
    label: str


class Words(Cursor):
    """A cursor that reads the words of a flowchart; each method leaves the cursor behind what it has read."""

    def __init__(self, text: str, first_line: int) -> None:
        super().__init__(text, first_line)
        self._edge_ids = [match.end() for match in _EDGE_ID.finditer(text)]
        self._run = (-1, -1)

    def id(self, wanted: str) -> str:
        """An id: letters of any script, digits and most marks, up to what begins something else."""
        self._no_edge_id()
        start = self.at
        while not self.ended():
            if self.sees(_KEYWORD) or self.sees(_CLASS_MARK):
                break
            if self.take(_SINGLE):
                continue
            if self.sees(_LINK) or self.sees(_LINK_OPEN) or not (self.take(_CHUNK) or self._letters() or self._dash()):
                break
        if self.at == start:
            word = _KEYWORD.match(self.text, self.at)
            if word and word.group().rstrip().isalpha():
                raise Refused(f"`{word.group().strip()}` is a reserved word and cannot be {wanted}")
            raise self.expected(wanted)
        return self.text[start : self.at]

    def _dash(self) -> bool:
        return self.take(_DASH) is not None

    def _letters(self) -> bool:
        start = self.at
        while self.at < len(self.text) and "\x7f" < self.text[self.at] <= "\uffff" and self.text[self.at].isalpha():
            self.at += 1
        return self.at > start

    def _edge_id_end(self) -> int | None:
        """Where an edge id that begins here would end, behind its `@`: it reaches over all that is not space."""
        start, end = self._run
        if not start <= self.at < end:
            found = _RUN_END.search(self.text, self.at)
            start, end = self.at, found.start() if found else len(self.text)
            self._run = (start, end)
        index = bisect_right(self._edge_ids, end) - 1
        return self._edge_ids[index] if index >= 0 and self._edge_ids[index] > self.at + 1 else None

    def _no_edge_id(self) -> None:
        if self._edge_id_end() is not None:
            raise Refused("an `@` is only legal in quotes, in `@{ … }` or after the id of a link")

    def edge_id(self) -> str | None:
        """The id of a link, `e1@` before the arrow, with the space that must stand before it."""
        start = self.at
        if not self.take(_SPACES):
            return None
        first = self.at
        end = self._edge_id_end()
        if end is None:
            self.at = start
            return None
        self.at = end
        return self.text[first : end - 1]

    def arrow(self) -> Arrow | None:
        """A link with its label, or None where there is none."""
        link = self.take(_LINK)
        if link:
            if self._edge_id_end() is not None and self.text.startswith("|", self.at):
                self._no_edge_id()
            opened = self.at
            if not self.text.startswith("|", self.at):
                return Arrow(link.group(1), "")
            self.at += 1
            label = self._enclosed(_TEXT, re.compile(r"\|"), "`|` after the label of the link", opened)
            self.space_if_any()
            return Arrow(link.group(1), label)
        start = self.at
        open_link = self.take(_LINK_OPEN)
        if not open_link:
            return None
        family = open_link.group(1).lstrip("xo<")
        end = f"the other half of the link `{family}`, such as `{family.replace('-.', '.-')}{_tip(family)}`"
        label = self._enclosed(_LINK_TEXTS[family], _LINK_ENDS[family], end, start + len(open_link.group()))
        return Arrow(f"{open_link.group(1)} {self.text[self.at - 1].strip()}".strip(), label)

    def space_if_any(self) -> None:
        """Go past one blank."""
        if self.sees(_SPACES):
            self.at += 1

    def _enclosed(self, plain: re.Pattern[str], closer: re.Pattern[str], wanted: str, opened: int) -> str:
        start = self.at
        self.take(_EMPTY)
        quoted = self.text.startswith('"', self.at)
        if quoted and not self.take(_STRING):
            raise Refused("a quoted text is never closed, or mixes quotes and backticks", opened)
        self.take(_EMPTY)
        written = False
        while not self.sees(closer) and self.take(plain):
            written = True
            self.take(_EMPTY)
        if not (quoted or written):
            raise Refused(f"expected a text, found `{self.text[self.at : self.at + 8].strip()}`", opened)
        text = self.text[start : self.at]
        if not self.take(closer):
            found = self.text[self.at : self.at + 1]
            hint = f": `{found}` needs quotes" if found and found in '[](){}|"' else ""
            raise Refused(f"expected {wanted}{hint}", opened)
        return text.strip().strip('"').strip("`").strip()

    def brackets(self) -> tuple[str, str] | None:
        """The shape of a node and its text, e.g. `("[", "Start")`; None where no bracket stands."""
        start = self.at
        opener = self.take(_OPENER)
        if not opener:
            return None
        shape = opener.group()
        if shape == "[|":
            self.need(_PROPERTY, "a property `name:value|`")
        if shape in ("[/", "[\\"):
            return shape, self._enclosed(_SLANTED, _SLANTED_END, "`/]` or `\\]`", start)
        if shape == "(-":
            return shape, self._enclosed(_ELLIPSE, _ELLIPSE_END, "`-)`", start)
        close = _CLOSERS.get(shape, "]")
        return shape, self._enclosed(_TEXT, re.compile(re.escape(close)), f"`{close}`", start)

    def css_class(self) -> str | None:
        """The class behind `:::`, or None."""
        return self.id("the name of a class") if self.take(_CLASS_MARK) else None

    def styles(self) -> None:
        """A list of styles, `fill:#fff,stroke:#000`."""
        self._style()
        while self.take(_COMMA):
            self._style()

    def _style(self) -> None:
        start = self.at
        self._no_edge_id()
        while not self.ended():
            if self.take(_STYLE_PART) or self.take(_STYLE_WORD):
                continue
            if any(self.sees(other) for other in (_KEYWORD, _DEFAULT, _DOWN, _LINK, _LINK_OPEN)):
                break
            if self.text[self.at] in "&*" or not (self.take(_CHUNK) or self._dash()):
                break
        if self.at == start:
            raise self.expected("a style such as `fill:#f9f`")

    def title(self) -> str:
        """The id or the title of a subgraph, up to its bracket, `;` or the end of the line."""
        start = self.at
        if self.text.startswith('"', self.at) and not self.take(_STRING):
            raise Refused("the title of a subgraph is empty or its quotes are never closed")
        while not self.ended():
            self._no_edge_id()
            if self.take(_SPACES) or self.take(_TITLE_WORD) or self.take(_END_WORD):
                continue
            if any(self.sees(other) for other in (_KEYWORD, _DEFAULT, _LINK, _LINK_OPEN, _CLASS_MARK)):
                break
            if self.text[self.at] == "," or not self._title_part():
                break
        if self.at == start:
            raise self.expected("the id or the title of the subgraph")
        return self.text[start : self.at]

    def _title_part(self) -> bool:
        if self.text[self.at] == "^":
            self.at += 1
            return True
        return bool(self.take(_SINGLE) or self.take(_CHUNK) or self._letters() or self._dash())


def _tip(family: str) -> str:
    return "->" if family == "--" else ">"
