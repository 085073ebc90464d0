"""Reads Markdown that documents a web API into the sections that tell of one endpoint each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from core.validate.endpoints import Endpoint
from core.validate.extract import FENCE_MARK

BlockKind = Literal["heading", "row", "item", "text", "fence"]
_NO_HEADING = 7

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]++(.*)|[ \t#]*+\Z)")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)])\s+")
_RULE = re.compile(r"[\s|:-]*\Z")
ENDPOINT = re.compile(
    r"(?<![A-Za-z])(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|TRACE)\b[\s`*|:_]{1,12}"
    r"((?:https?://[^\s/|`*<>()]{1,200}|\{\{?\w{1,60}\}\}?)?/[^\s|`*()\"'\]]*)"
)
_ALONE = re.compile(r"[\s`*_>|.:]*\Z")
_LABEL = re.compile(
    r"[\s>*_`-]*(?:HTTP )?(?:endpoint|url|uri|route|request|path|method)s?\b(?:[\s*_`]*+:)?[\s*_`]*+\Z", re.I
)
_METHOD_LINE = re.compile(
    r"[\s>*_`+-]*(?:HTTP )?(?:method|verb)[\s*_`]*:[\s*_`]*(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)[\s*_`]*\Z", re.I
)
_PATH_LINE = re.compile(r"[\s>*_`+-]*(?:url|uri|path|endpoint|route)[\s*_`]*:[\s*_`]*(/[^\s`*]*+)[\s*_`]*+\Z", re.I)


@dataclass(frozen=True, slots=True)
class Block:
    """A line of Markdown, or a whole fence, on its 1-based `line`; a fence's content begins on the next one.

    `text` has no heading marks; `level` is that of a heading, 1-6; `language` that of a fence.
    """

    kind: BlockKind
    text: str
    line: int
    level: int = 0
    language: str = ""


@dataclass(slots=True)
class Section:
    """What is said of one endpoint; `brief` for one that has only a row of a table or an item of a list."""

    endpoint: Endpoint
    line: int
    level: int
    blocks: list[Block] = field(default_factory=list)
    brief: bool = False


@dataclass(slots=True)
class ApiPage:
    """The sections of a page in order, and the blocks that belong to none."""

    sections: list[Section] = field(default_factory=list)
    outside: list[Block] = field(default_factory=list)


def unwrapped(response: str) -> str:
    """The page without the `markdown` fence that is put around it, its line numbers kept."""
    if "```" not in response and "~~~" not in response:
        return response
    lines = response.split("\n")
    marks = [(number, head) for number, line in enumerate(lines) if (head := FENCE_MARK.match(line))]
    if not marks or marks[0][1][3].lower() not in ("markdown", "md"):
        return response
    lines[marks[0][0]] = ""
    last, head = marks[-1]
    if len(marks) % 2 == 0 and not head[3]:
        lines[last] = ""
    return "\n".join(lines)


def blocks_of(text: str) -> list[Block]:
    """The lines of a page that say something, fences as a whole."""
    blocks: list[Block] = []
    inside: list[str] = []
    mark, language, start = "", "", 0
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        head = FENCE_MARK.match(line) if "```" in line or "~~~" in line else None
        if mark:
            if head and head[2].startswith(mark) and not line.strip(" \t`~"):
                blocks.append(Block("fence", "\n".join(inside), start, 0, language))
                mark, inside = "", []
            else:
                inside.append(line)
        elif head:
            mark, language, start = head[2], head[3].lower(), number
        elif line.strip():
            blocks.append(_block(line, number))
    if mark:
        blocks.append(Block("fence", "\n".join(inside), start, 0, language))
    return [block for block in blocks if block.text]


def endpoint_in(text: str) -> Endpoint | None:
    """The first endpoint that a text names."""
    found = ENDPOINT.search(text)
    return Endpoint(found[1], found[2].rstrip(".,;:")) if found else None


def page_of(text: str) -> ApiPage:
    """Read a page."""
    return _Reader().read(blocks_of(text))


class _Reader:
    def __init__(self) -> None:
        self.page = ApiPage()
        self.current: Section | None = None
        self.recent: list[Block] = []
        self.level = _NO_HEADING
        self.method = ""
        self.path = ""
        self.brief: list[Section] = []

    def read(self, blocks: list[Block]) -> ApiPage:
        for block in blocks:
            if block.kind == "heading":
                self._heading(block)
            else:
                self._other(block)
        known = {section.endpoint.key for section in self.page.sections}
        for section in self.brief:
            if section.endpoint.key not in known:
                known.add(section.endpoint.key)
                self.page.sections.append(section)
        return self.page

    def _heading(self, block: Block) -> None:
        self.recent, self.method, self.path = [block], "", ""
        self.level = block.level
        named = endpoint_in(block.text)
        if named is not None and not (self._continues(named) and self.current and block.level > self.current.level):
            self._begin(named, block.line, [block])
        elif self.current is not None and block.level > self.current.level:
            self.current.blocks.append(block)
        else:
            self.current = None
            self.page.outside.append(block)

    def _other(self, block: Block) -> None:
        self.recent.append(block)
        named = self._stated(block)
        if named is not None and not self._continues(named):
            self._begin(named, block.line, list(self.recent))
            return
        if self.current is not None:
            self.current.blocks.append(block)
            return
        self.page.outside.append(block)
        if block.kind in ("row", "item"):
            listed = endpoint_in(block.text)
            if listed is not None:
                self.brief.append(Section(listed, block.line, _NO_HEADING, [block], brief=True))

    def _begin(self, endpoint: Endpoint, line: int, blocks: list[Block]) -> None:
        self.current = Section(endpoint, line, self.level, blocks)
        self.page.sections.append(self.current)
        self.method = self.path = ""
        self.recent = []

    def _stated(self, block: Block) -> Endpoint | None:
        """The endpoint that a block is there to state, none for one that only mentions it."""
        if block.kind == "fence":
            first = block.text.lstrip().partition("\n")[0]
            plain = block.language in ("", "http", "text", "plaintext", "txt")
            return endpoint_in(first) if plain and self.current is None and ENDPOINT.match(first) else None
        if block.kind == "row":
            return None
        if method := _METHOD_LINE.match(block.text):
            self.method = method[1].upper()
        elif path := _PATH_LINE.match(block.text):
            self.path = path[1]
        else:
            found = ENDPOINT.search(block.text)
            if found is None or not _ALONE.match(block.text, found.end()):
                return None
            before = block.text[: found.start()]
            stands = _LABEL.match(before) or (block.kind == "text" and _ALONE.match(before))
            return endpoint_in(block.text) if stands else None
        if not (self.method and self.path):
            return None
        stated = Endpoint(self.method, self.path)
        self.method = self.path = ""
        return stated

    def _continues(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint is the one that is being told of, perhaps with values for its parameters."""
        if self.current is None or self.current.endpoint.method != endpoint.method:
            return False
        told, now = self.current.endpoint.key[1].split("/"), endpoint.key[1].split("/")
        return len(told) == len(now) and all(one in (other, "{}") for one, other in zip(told, now, strict=True))


def _block(line: str, number: int) -> Block:
    if heading := _HEADING.match(line):
        return Block("heading", (heading[2] or "").rstrip(" \t#"), number, len(heading[1]))
    if line.lstrip().startswith("|") or line.count("|") > 1:
        return Block("row", "" if _RULE.match(line) else line.strip(), number)
    return Block("item" if _ITEM.match(line) else "text", line.strip(), number)
