"""Scores Mermaid diagrams of five kinds: is it Mermaid, does it hold what was asked, does it say what it shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from core.validate.extract import without_thoughts
from core.validate.mermaid import class_diagram, er_syntax, flowchart, sequence, state
from core.validate.mermaid.graph import Element, Graph, Link, body_of
from core.validate.mermaid.scoring import (
    asked_for,
    connected,
    ends,
    labelled,
    missing,
    named_well,
    repeated,
    structured,
)
from core.validate.options import number, only, texts
from core.validate.scorecard import at, named, refused, weighed
from core.validate.validator import Finding, Validation, Validator

# Mermaid's default `maxTextSize`: of a longer diagram it draws nothing but a message.
MAX_CHARS: Final = 50_000
KINDS: Final = ("flowchart", "sequence", "class", "state", "er")
_PARSERS: Final[Mapping[str, Callable[[str, int], Graph]]] = {
    "flowchart": flowchart.parse,
    "sequence": sequence.parse,
    "class": class_diagram.parse,
    "state": state.parse,
}
_HEADER = re.compile(
    r"\s*(?:(?P<flowchart>flowchart(?:-elk)?|graph)|(?P<sequence>sequenceDiagram)|(?P<class>classDiagram(?:-v2)?)"
    r"|(?P<state>stateDiagram(?:-v2)?)|(?P<er>erDiagram))\b"
)
_FIRST_WORD = re.compile(r"\s*(\S{1,24})")


@dataclass(frozen=True, slots=True)
class Weights:
    """Points for each part of a valid diagram; parts that do not apply drop out and the rest is scaled to 100.

    `structure` is earned by being valid, half of it by having two elements and a link at least; `elements` by those
    asked for; `connections` by the largest part of the diagram that hangs together; `labels` by texts that say
    something on branches, messages, transitions and nodes; `naming` by names that are no stand-ins; `duplicates` by
    nothing standing twice; `ends` by a start and an end in flowcharts and state diagrams.
    """

    structure: float = 25.0
    elements: float = 25.0
    connections: float = 15.0
    labels: float = 15.0
    naming: float = 8.0
    duplicates: float = 6.0
    ends: float = 6.0


@dataclass(frozen=True, slots=True)
class MermaidValidator:
    """Validates the Mermaid diagram in a response, bare or in a code fence.

    A response that Mermaid would refuse, or whose kind is none of `kinds`, is not valid and scores at most 20, in
    proportion to the lines before the first error. `expected={"elements": [...]}` (or `entities`) names the nodes,
    participants, classes, states or entities asked for, by id or by label.
    """

    kinds: tuple[str, ...] = KINDS
    weights: Weights = Weights()
    name: str = "mermaid"

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """Score `response` from 0 to 100; `prompt` is not looked at."""
        text = without_thoughts(response)
        body, first_line = body_of(text)
        kind = kind_of(body)
        if kind is None:
            return refused([at(first_line, "syntax", _no_diagram(body))])
        if kind not in self.kinds:
            return refused([at(first_line, "kind", f"the diagram is of kind `{kind}`, not {' or '.join(self.kinds)}")])
        if len(body) > MAX_CHARS:
            long = f"the diagram has {len(body)} characters, and Mermaid draws none of more than {MAX_CHARS}"
            return refused([Finding("too_long", long)])
        graph = graph_of(kind, text, body, first_line)
        asked = asked_for(named(expected, "elements") + named(expected, "entities"))
        findings: list[Finding] = []
        if graph.problems or not graph.elements:
            findings.extend(at(problem.line, "syntax", problem.message) for problem in graph.problems)
            if not findings:
                findings.append(Finding("syntax", "the diagram holds no element"))
            missing(graph, asked, findings)
            return refused(findings, _read_share(graph, body, first_line))
        shares = {
            "structure": structured(graph, findings),
            "elements": missing(graph, asked, findings),
            "connections": connected(graph, findings),
            "labels": labelled(graph, findings),
            "naming": named_well(graph, findings),
            "duplicates": repeated(graph, findings),
            "ends": ends(graph, findings),
        }
        return weighed(asdict(self.weights), shares, findings)


def make(options: Mapping[str, Any]) -> Validator:
    """Options: `kinds`, some of flowchart, sequence, class, state and er; `weights`, points by part (see `Weights`)."""
    only(options, "kinds", "weights")
    kinds = texts(options, "kinds", KINDS)
    if not kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"`kinds` must be a list of some of {', '.join(KINDS)}")
    weights = options.get("weights", {})
    if not isinstance(weights, Mapping):
        raise ValueError("`weights` must be a table of points by part")
    only(weights, *(part.name for part in fields(Weights)))
    return MermaidValidator(kinds, Weights(**{part: number(weights, part, 0.0, 0.0, 1000.0) for part in weights}))


def kind_of(body: str) -> str | None:
    """The kind of diagram that a body made ready by `body_of` begins with; None for any other text."""
    header = _HEADER.match(body)
    return header.lastgroup if header else None


def graph_of(kind: str, text: str, body: str, first_line: int) -> Graph:
    """The diagram of `kind` as a graph; line numbers are those of `text`, the response it stands in."""
    if kind == "er":
        return _er_graph(text)
    return _PARSERS[kind](body, first_line)


def _er_graph(text: str) -> Graph:
    diagram = er_syntax.parse(text)
    elements = {
        entity.name: Element(entity.name, entity.alias or entity.name, entity.line, "entity")
        for entity in diagram.entities.values()
    }
    links = [Link(relation.left, relation.right, relation.label, relation.line) for relation in diagram.relations]
    return Graph(elements, links, diagram.problems, diagram.lines, "er")


def _no_diagram(body: str) -> str:
    word = _FIRST_WORD.match(body)
    if word is None:
        return "there is no diagram in the answer"
    if word.group(1).startswith("---"):
        return "the front matter is not YAML, or its `---` is never closed"
    return f"no diagram of a known kind begins with `{word.group(1)}`"


def _read_share(graph: Graph, body: str, first_line: int) -> float:
    if not graph.elements or not graph.problems:
        return 0.0
    header = first_line + body.count("\n", 0, len(body) - len(body.lstrip()))
    first = min(problem.line for problem in graph.problems)
    return min(max((first - header) / max(graph.lines, 1), 0.0), 1.0)
