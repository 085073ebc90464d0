"""Other orders of what has none in a Mermaid diagram: relations and entities, and branches of one node.

Only whole statements change places, and only with neighbours of their own kind, so that a diagram keeps its layout;
attributes stay where they are. Canonical forms prove that the diagram is the same.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from core.select.augment.spans import has_long_gap
from core.validate.mermaid import er_syntax, flowchart
from core.validate.mermaid.graph import Graph, body_of
from core.validate.mermaid.validator import MAX_CHARS, kind_of

_COMMENT: Final = "%%"
_CLOSED = re.compile(r"[ \t]*\}[ \t]*\Z")
_BY_NUMBER = re.compile(r"^[ \t]*linkStyle\b", re.M)


@dataclass(frozen=True, slots=True)
class _Unit:
    """Lines `start` to `end` (excluded) of a text; `kind` is None for what stays where it is."""

    start: int
    end: int
    kind: Hashable


def diagram_orders(target: str, rng: random.Random) -> Iterator[str]:
    """The target with its ER diagram or flowchart in other orders; none where nothing can change places."""
    if "\r" in target or _COMMENT in target:
        return
    kind = diagram_kind(target)
    lines = target.split("\n")
    if kind == "er":
        units = _er_units(target, lines)
    elif kind == "flowchart":
        units = _flow_units(target, lines)
    else:
        return
    runs = [run for same, each in groupby(units, key=lambda unit: unit.kind) if same and len(run := list(each)) > 1]
    while runs:
        order = {unit: unit for unit in units}
        for run in runs:
            order.update(zip(run, rng.sample(run, len(run)), strict=True))
        yield "\n".join(line for unit in units for line in lines[order[unit].start : order[unit].end])


def diagram_kind(target: str) -> str | None:
    """The kind of Mermaid diagram that a target holds, None for any other text and for what nobody would write."""
    if len(target) > MAX_CHARS or has_long_gap(target):
        return None
    return kind_of(body_of(target)[0])


def same_diagram(target: str, variant: str) -> bool:
    """Whether two texts hold the same lines and the same diagram, whatever the order of its statements."""
    if _lines(target) != _lines(variant):
        return False
    first, second = _canonical(target), _canonical(variant)
    return first is not None and first == second


def _er_units(target: str, lines: Sequence[str]) -> list[_Unit]:
    diagram = er_syntax.parse(target)
    if diagram.problems:
        return []
    relations = Counter(relation.line for relation in diagram.relations)
    blocks = {entity.line for entity in diagram.entities.values()}
    units: list[_Unit] = []
    at = 0
    while at < len(lines):
        end, kind = at + 1, None
        opened = lines[at].rstrip().endswith("{")
        if relations[at + 1] == 1 and not opened:
            kind = "relation"
        elif at + 1 in blocks and not relations[at + 1] and opened:
            closing = next((line for line in range(at + 1, len(lines)) if _CLOSED.match(lines[line])), None)
            if closing is not None:
                end, kind = closing + 1, "entity"
        units.append(_Unit(at, end, kind))
        at = end
    return units


def _flow_units(target: str, lines: Sequence[str]) -> list[_Unit]:
    body, first_line = body_of(target)
    graph = flowchart.parse(body, first_line)
    if graph.problems or _BY_NUMBER.search(target) or ";" in target:
        return []
    sources: dict[int, set[str]] = {}
    for link in graph.links:
        sources.setdefault(link.line, set()).add(link.source)
    # A line with one source begins there: such neighbours are the branches of one node.
    return [
        _Unit(at, at + 1, next(iter(found)) if len(found := sources.get(at + 1, set())) == 1 else None)
        for at in range(len(lines))
    ]


def _canonical(target: str) -> Hashable:
    kind = diagram_kind(target)
    if kind == "flowchart":
        body, first_line = body_of(target)
        graph = flowchart.parse(body, first_line)
        return None if graph.problems else _graph_form(graph)
    diagram = er_syntax.parse(target)
    if kind != "er" or diagram.problems:
        return None
    entities = frozenset(
        (each.name, each.alias, tuple((one.type, one.name, one.keys, one.comment) for one in each.attributes))
        for each in diagram.entities.values()
    )
    relations = Counter(
        (each.left, each.right, each.left_many, each.right_many, each.label) for each in diagram.relations
    )
    return entities, frozenset(relations.items())


def _graph_form(graph: Graph) -> Hashable:
    links = Counter((link.source, link.target, link.label, link.kind) for link in graph.links)
    return (
        frozenset((each.id, each.label, each.kind) for each in graph.elements.values()),
        frozenset(links.items()),
        frozenset((name, frozenset(Counter(ids).items())) for name, ids in graph.groups.items()),
    )


def _lines(text: str) -> Counter[str]:
    return Counter(text.split("\n"))
