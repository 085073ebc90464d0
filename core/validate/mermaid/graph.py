"""What a Mermaid parser returns, and how a diagram is found in a response and made ready for one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from core.validate.mermaid.er_syntax import FENCE, SyntaxProblem

__all__ = ["Element", "Graph", "Link", "SyntaxProblem", "body_of"]

_FRONT_OPEN = re.compile(r"(\s*+)---[ \t]*+\n")
_FRONT_CLOSE = re.compile(r"\n([ \t]*+)---[ \t]*+(?=\n|\Z)")
_FRONT_MATTER_READ = 20_000
_COMMENT_LINE = re.compile(r"^[ \t]*%%(?!\{)[^\n]+$", re.M)
_TAG = re.compile(r"<\w", re.ASCII)
_QUOTED = re.compile(r'="([^"]*)"')
_DIRECTIVE = re.compile(r"%%\{\s*\w+\s*:?\s*(\w+\s*(?:\}%%)?)?", re.ASCII)
_DIRECTIVE_END = "}%%"


@dataclass(slots=True)
class Element:
    """A node, class, state or participant; `line` is the first line that names it, `kind` its shape or sort."""

    id: str
    label: str
    line: int
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A connection between two elements, by id; `kind` is how it is written, e.g. `-->`."""

    source: str
    target: str
    label: str
    line: int
    kind: str = ""


@dataclass(slots=True)
class Graph:
    """What was read of one diagram: elements by id in order of appearance, links, problems and the number of lines.

    A diagram with a problem is one that Mermaid would refuse. `kind` is `flowchart`, `sequence`, `class` or `state`.
    `groups` names the ids within each subgraph, where the parser knows them.
    """

    elements: dict[str, Element] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    problems: list[SyntaxProblem] = field(default_factory=list)
    lines: int = 0
    kind: str = ""
    groups: dict[str, list[str]] = field(default_factory=dict)


def body_of(text: str) -> tuple[str, int]:
    """The diagram inside `text` and the line of `text` (from 1) on which it starts.

    The diagram is what the first Mermaid (or unnamed) code fence holds, else all of `text`. Front matter, comment lines
    and directives become blank, keeping their line breaks, so that line numbers stay those of `text`. Front matter that
    is not YAML stays, as Mermaid refuses it. The quotes of attributes in HTML tags become single quotes.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    fence = FENCE.search(text)
    start = fence.start(1) if fence else 0
    body = fence.group(1) if fence else text
    body = _single_quoted_tags(_COMMENT_LINE.sub("", _without_directives(body)))
    front = _front_matter(body)
    if front and _is_yaml(body[front.start : front.stop]):
        rest = body.find("\n", front.stop + 1) + 1 or len(body)
        body = "\n" * body.count("\n", 0, rest) + body[rest:]
    return body, text.count("\n", 0, start) + 1


def _front_matter(body: str) -> slice | None:
    """Where the text of the front matter stands, None where there is none.

    The closing `---` stands at the margin or as deep as the opening one; where none does, less deep in the same blanks.
    """
    opened = _FRONT_OPEN.match(body)
    if opened is None:
        return None
    indent = opened.group(1)[len(opened.group(1).rstrip(" \t")) :]
    closings = [each for each in _FRONT_CLOSE.finditer(body, opened.end()) if indent.endswith(each.group(1))]
    if not closings:
        return None
    closed = min(closings, key=lambda each: len(indent) - len(each.group(1)) if each.group(1) else 0)
    return slice(opened.end(), closed.start())


def _is_yaml(text: str) -> bool:
    import yaml

    try:
        yaml.compose(text[:_FRONT_MATTER_READ], Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return len(text) > _FRONT_MATTER_READ
    return True


def _single_quoted_tags(body: str) -> str:
    parts: list[str] = []
    at = 0
    while tag := _TAG.search(body, at):
        end = body.find(">", tag.end())
        if end < 0:
            break
        parts.append(body[at : tag.start()])
        parts.append(_QUOTED.sub(r"='\1'", body[tag.start() : end]))
        at = end
    parts.append(body[at:])
    return "".join(parts)


def _without_directives(body: str) -> str:
    """`body` without `%%{init: …}%%`; what stands behind a bare word in a directive stays, as Mermaid keeps it too."""
    parts: list[str] = []
    at = 0
    while opened := _DIRECTIVE.search(body, at):
        end = opened.end()
        if opened.group(1) is None:
            closed = body.find(_DIRECTIVE_END, end)
            end = len(body) if closed < 0 else closed + len(_DIRECTIVE_END)
        parts.append(body[at : opened.start()])
        parts.append("\n" * body.count("\n", opened.start(), end))
        at = end
    parts.append(body[at:])
    return "".join(parts)
