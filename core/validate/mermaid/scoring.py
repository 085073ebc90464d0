"""The parts of a Mermaid diagram's score: each gives a share from 0 to 1, or None, and a finding for each loss."""

from __future__ import annotations

import re
from collections import Counter

from core.validate.mermaid.er import is_sensible_label, snake_case
from core.validate.mermaid.graph import Element, Graph, Link
from core.validate.scorecard import at, clipped
from core.validate.validator import Finding

_HALF = 0.5
_DECISIONS = frozenset({"{", "diam", "decision", "diamond", "question", "choice"})
_MARKS = frozenset({"start", "end", "fork", "join", "choice", "f-circ", "fr-circ", "sm-circ", "junction", "stop"})
_STAND_IN = re.compile(
    r"(?:node|class|state|step|participant|actor|entity|item|box|element|label|name|title|text)(?:_?\d+|_[a-z])"
    r"||foo|bar|baz|todo|tbd|xxx+|untitled|placeholder|lorem_ipsum|thing|stuff|something"
)
_CAPITAL = re.compile(r"[^\W\d_]")


def asked_for(names: list[str]) -> list[str]:
    """The names asked for, each once, in order."""
    return list(dict.fromkeys(name for name in names if name.strip()))


def structured(graph: Graph, findings: list[Finding]) -> float:
    """All for a diagram of two elements and a link at least, else half for being valid."""
    if len(graph.elements) < 2:
        findings.append(Finding("single_element", "the diagram holds one element only"))
        return _HALF
    if not graph.links:
        findings.append(Finding("no_links", "nothing in the diagram is linked"))
        return _HALF
    return 1.0


def missing(graph: Graph, asked: list[str], findings: list[Finding]) -> float | None:
    """The share of the elements asked for that are there: by id, by label, or as words of a label."""
    if not asked:
        return None
    names: set[str] = set()
    words: list[frozenset[str]] = []
    for element in graph.elements.values():
        names |= {_singular(element.id), _singular(element.label)}
        words.append(frozenset(_words(element.label)))
    names |= {_singular(group) for group in graph.groups}
    gone = [name for name in asked if _singular(name) not in names and not _told(_words(name), words)]
    findings.extend(
        Finding("missing_element", f"the element `{clipped(name)}` that was asked for is missing") for name in gone
    )
    return 1.0 - len(gone) / len(asked)


def _told(wanted: list[str], words: list[frozenset[str]]) -> bool:
    return bool(wanted) and any(element.issuperset(wanted) for element in words)


def _words(text: str) -> list[str]:
    return [_singular(word) for word in snake_case(text[:400]).split("_") if word]


def _singular(name: str) -> str:
    plain = snake_case(name[:400])
    return plain[:-1] if plain.endswith("s") and not plain.endswith("ss") else plain


def connected(graph: Graph, findings: list[Finding]) -> float | None:
    """The share of the elements in the largest part that hangs together."""
    if len(graph.elements) < 2:
        return None
    parts = _parts(graph)
    sizes = Counter(parts.values())
    largest, size = sizes.most_common(1)[0]
    for name, part in parts.items():
        if sizes[part] == 1 and part != largest and name in graph.elements:
            element = graph.elements[name]
            findings.append(at(element.line, "unconnected", f"`{clipped(name)}` is linked to nothing", "warning"))
    several = sum(count > 1 for count in sizes.values())
    if several > 1:
        findings.append(Finding("several_parts", f"the diagram falls into {several} parts", None, "warning"))
    return size / len(parts) if size > 1 else 0.0


def _parts(graph: Graph) -> dict[str, str]:
    """A name for the part in which each element lies (union-find with path halving)."""
    parent = {name: name for name in graph.elements}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def join(one: str, other: str) -> None:
        if one in parent and other in parent:
            parent[root(one)] = root(other)

    for link in graph.links:
        join(link.source, link.target)
    for group, members in graph.groups.items():
        for member in members:
            join(group, member)
    for name in graph.elements:
        # The two ends of a composite state are named after it.
        for end in ("_start", "_end"):
            if graph.kind == "state":
                join(name, name + end)
    return {name: root(name) for name in graph.elements}


def labelled(graph: Graph, findings: list[Finding]) -> float | None:
    """The share of the texts that say something, of those that should."""
    wanting = _links_with_text(graph)
    silent = [link for link in wanting if not _says(link.label)]
    for link in silent:
        what = f"`{clipped(link.source)}` to `{clipped(link.target)}`"
        findings.append(at(link.line, "label", f"{_NAMES[graph.kind]} {what} {_fault(link)}", "warning"))
    nodes = list(graph.elements.values()) if graph.kind == "flowchart" else []
    nodes = [node for node in nodes if node.kind not in _MARKS and node.id not in graph.groups]
    bare = [node for node in nodes if not _says(node.label)]
    findings.extend(
        at(node.line, "label", f"the text `{clipped(node.label)}` of a node says nothing", "warning") for node in bare
    )
    shares = [1.0 - len(bad) / len(all_) for bad, all_ in ((silent, wanting), (bare, nodes)) if all_]
    return sum(shares) / len(shares) if shares else None


_NAMES = {
    "flowchart": "the branch from",
    "sequence": "the message from",
    "class": "the relation from",
    "state": "the transition from",
    "er": "the relation from",
}


def _fault(link: Link) -> str:
    return f"has the label `{clipped(link.label)}`, which says nothing" if link.label else "has no label"


def _says(label: str) -> bool:
    """Whether a text says something; numbers, signs and the letters of scripts without words do."""
    plain = label.strip()
    if not plain.isascii() or any(char.isdigit() or char in "<>=+&" for char in plain):
        return True
    return is_sensible_label(plain) or plain.upper() in {"Y", "N"}


def _links_with_text(graph: Graph) -> list[Link]:
    """The links that should bear a text: branches of decisions, messages, transitions; others only where they do."""
    if graph.kind in ("sequence", "er"):
        return graph.links
    if graph.kind == "state":
        return [link for link in graph.links if not {_kind(graph, link.source), _kind(graph, link.target)} & _MARKS]
    leaving = Counter(link.source for link in graph.links)
    return [
        link
        for link in graph.links
        if link.label
        or (graph.kind == "flowchart" and leaving[link.source] > 1 and _kind(graph, link.source) in _DECISIONS)
    ]


def _kind(graph: Graph, name: str) -> str:
    element = graph.elements.get(name)
    return element.kind if element else ""


def named_well(graph: Graph, findings: list[Finding]) -> float | None:
    """The share of the elements whose name is no stand-in; classes begin with a capital letter."""
    named = [element for element in graph.elements.values() if element.kind not in _MARKS]
    if not named:
        return None
    faults = [(element, fault) for element in named if (fault := _name_fault(graph.kind, element))]
    findings.extend(at(element.line, "naming", fault, "warning") for element, fault in faults)
    return 1.0 - len(faults) / len(named)


def _name_fault(kind: str, element: Element) -> str:
    shown = element.label or element.id
    if shown.isascii() and _STAND_IN.fullmatch(snake_case(shown[:400])):
        return f"`{clipped(shown)}` is a stand-in for a name"
    first = _CAPITAL.search(element.id)
    if kind == "class" and first and first.group().islower():
        return f"the class `{clipped(element.id)}` does not begin with a capital letter"
    return ""


def repeated(graph: Graph, findings: list[Finding]) -> float:
    """The share of links and nodes that do not stand twice, loops without a label counted as such."""
    bad = 0
    seen: set[tuple[str, str, str, str]] = set()
    for link in graph.links if graph.kind != "sequence" else ():
        key = (link.source, link.target, link.label, link.kind)
        what = f"`{clipped(link.source)}` to `{clipped(link.target)}`"
        if key in seen:
            findings.append(at(link.line, "duplicate_link", f"the link from {what} stands twice"))
            bad += 1
        elif link.source == link.target and not link.label and graph.kind in ("flowchart", "state"):
            findings.append(at(link.line, "self_loop", f"the loop from {what} has no label that explains it"))
            bad += 1
        seen.add(key)
    texts: set[str] = set()
    for element in graph.elements.values():
        if element.label and element.label != element.id and graph.kind != "state":
            if element.label in texts:
                findings.append(at(element.line, "duplicate_label", f"`{clipped(element.label)}` stands twice"))
                bad += 1
            texts.add(element.label)
    return 1.0 - min(bad / (len(graph.links) + len(graph.elements)), 1.0)


def ends(graph: Graph, findings: list[Finding]) -> float | None:
    """Half for a start and half for an end, in flowcharts and state diagrams."""
    if graph.kind not in ("flowchart", "state") or not graph.links:
        return None
    if graph.kind == "state":
        present = [any(element.kind == kind for element in graph.elements.values()) for kind in ("start", "end")]
    else:
        sources, targets = ({getattr(link, side) for link in graph.links} for side in ("source", "target"))
        present = [bool(sources - targets), bool(targets - sources)]
    for there, what in zip(present, ("start", "end"), strict=True):
        if not there:
            findings.append(Finding(f"no_{what}", f"the diagram has no {what}", None, "warning"))
    return sum(present) / len(present)
