"""Scores Mermaid entity-relationship diagrams: is it Mermaid, does it hold what was asked, does it keep the style.

The house style: every entity has `int id PK`; the child of every relation has `<parent>_id FK`; attributes are written
in snake_case; no attribute stands twice in an entity; every relation has a label that says something.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from core.validate.mermaid.er_syntax import Attribute, Diagram, Entity, Relation, parse
from core.validate.options import number, only
from core.validate.validator import Finding, Severity, Validation, Validator

INVALID_CAP = 20.0
_CONNECTED_SHARE = 0.2
_PARTIAL = 0.5
_POOR = 0.25

_SNAKE = re.compile(r"\*?[a-z][a-z0-9]*(?:_[a-z0-9]+)*\Z")
_NO_WORD = re.compile(r"[\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LABEL_WORD = re.compile(r"[^\W\d_]{2,}")
_INTEGERS = frozenset({"int", "integer", "bigint", "serial", "bigserial"})
_EMPTY_LABELS = frozenset(
    {"rel", "rels", "relation", "relates", "relationship", "link", "links", "label", "ref", "fk", "todo", "xx", "foo"}
)


@dataclass(frozen=True, slots=True)
class Weights:
    """Points for each part of a valid diagram; parts that do not apply drop out and the rest is scaled to 100.

    `structure` is earned by being valid, a fifth of it by having no entity outside every relation.
    """

    structure: float = 20.0
    entities: float = 15.0
    primary_keys: float = 22.0
    foreign_keys: float = 22.0
    naming: float = 9.0
    duplicates: float = 6.0
    labels: float = 6.0


@dataclass(frozen=True, slots=True)
class MermaidErValidator:
    """Validates the `erDiagram` in a response, bare or in a code fence.

    A response that Mermaid would refuse, or that holds no entity, scores at most `INVALID_CAP`, in proportion to the
    lines before the first error. `expected={"entities": [...]}` names the entities asked for.
    """

    weights: Weights = Weights()
    name: str = "mermaid_er"

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """Score `response` from 0 to 100; `prompt` is not looked at."""
        diagram = parse(response)
        findings: list[Finding] = []
        asked = _asked(expected)
        if diagram.problems or not diagram.entities:
            findings.extend(Finding("syntax", f"line {at.line}: {at.message}", at.line) for at in diagram.problems)
            if not findings:
                findings.append(Finding("syntax", "the diagram holds no entity"))
            _entities(diagram, asked, findings)
            return Validation(_read_share(diagram, response) * INVALID_CAP, False, tuple(findings))
        shares = {
            "structure": 1.0 - _CONNECTED_SHARE * (1.0 - _connected(diagram, findings)),
            "entities": _entities(diagram, asked, findings),
            "primary_keys": _primary_keys(diagram, findings),
            "foreign_keys": _foreign_keys(diagram, findings),
            "naming": _naming(diagram, findings),
            "duplicates": _duplicates(diagram, findings),
            "labels": _labels(diagram, findings),
        }
        findings.sort(key=lambda finding: finding.line or 0)
        return Validation(self._weigh(shares), True, tuple(findings))

    def _weigh(self, shares: Mapping[str, float | None]) -> float:
        total = earned = 0.0
        for part in fields(self.weights):
            share = shares[part.name]
            if share is not None:
                weight: float = getattr(self.weights, part.name)
                total += weight
                earned += weight * share
        return 100.0 * earned / total if total else 100.0


def make(options: Mapping[str, Any]) -> Validator:
    """Options: `weights`, a table of points by part of a diagram (see `Weights`)."""
    only(options, "weights")
    weights = options.get("weights", {})
    if not isinstance(weights, Mapping):
        raise ValueError("`weights` must be a table of points by part")
    only(weights, *(part.name for part in fields(Weights)))
    return MermaidErValidator(weights=Weights(**{part: number(weights, part, 0.0, 0.0, 1000.0) for part in weights}))


@lru_cache(maxsize=8_192)
def snake_case(name: str) -> str:
    """`OrderLine`, `order-line` and `order line` all become `order_line`."""
    return _NO_WORD.sub("_", _HUMP.sub("_", name.strip().strip("*"))).strip("_").lower()


def is_snake_case(name: str) -> bool:
    """Whether `name` is written in snake_case (a leading `*`, Mermaid's other mark for a key, is let pass)."""
    return _SNAKE.match(name) is not None


def is_sensible_label(label: str) -> bool:
    """Whether a relation's label says something: at least one word of two letters that is no stand-in such as `rel`."""
    words = [word.lower() for word in _LABEL_WORD.findall(label)]
    return any(word not in _EMPTY_LABELS for word in words)


def foreign_key_of(parent: str) -> str:
    """The name of the attribute that points to `parent`."""
    return f"{snake_case(parent)}_id"


def parent_and_child(relation: Relation) -> tuple[str, str]:
    """The one-side and the many-side of a relation; when both sides are alike, the left one is the parent."""
    if relation.left_many and not relation.right_many:
        return relation.right, relation.left
    return relation.left, relation.right


def _asked(expected: Mapping[str, object] | None) -> list[str]:
    names = (expected or {}).get("entities")
    if not isinstance(names, Iterable) or isinstance(names, str):
        return []
    return [str(name) for name in names]


def _read_share(diagram: Diagram, response: str) -> float:
    if not diagram.lines or not diagram.entities:
        return 0.0
    first = min((at.line for at in diagram.problems), default=1)
    offset = response.find("erDiagram")
    before = response.count("\n", 0, max(offset, 0))
    return min(max((first - 1 - before) / diagram.lines, 0.0), 1.0)


def _singular(name: str) -> str:
    plain = snake_case(name)
    return plain[:-1] if plain.endswith("s") and not plain.endswith("ss") else plain


def _entities(diagram: Diagram, asked: list[str], findings: list[Finding]) -> float | None:
    if not asked:
        return None
    present = {_singular(entity.name) for entity in diagram.entities.values()}
    present |= {_singular(entity.alias) for entity in diagram.entities.values() if entity.alias}
    missing = [name for name in asked if _singular(name) not in present]
    findings.extend(Finding("missing_entity", f"the entity `{name}` that was asked for is missing") for name in missing)
    return 1.0 - len(missing) / len(asked)


def _connected(diagram: Diagram, findings: list[Finding]) -> float:
    if len(diagram.entities) < 2:
        return 1.0
    related = {name for relation in diagram.relations for name in (relation.left, relation.right)}
    alone = [entity for entity in diagram.entities.values() if entity.name not in related]
    findings.extend(
        _at(entity.line, "unconnected", f"entity `{entity.name}` takes part in no relation", "warning")
        for entity in alone
    )
    return 1.0 - len(alone) / len(diagram.entities)


def _primary_keys(diagram: Diagram, findings: list[Finding]) -> float:
    earned = 0.0
    for entity in diagram.entities.values():
        share, problem = _primary_key(entity)
        earned += share
        if problem:
            findings.append(_at(entity.line, "missing_pk", problem))
    return earned / len(diagram.entities)


def _primary_key(entity: Entity) -> tuple[float, str]:
    keys = [attribute for attribute in entity.attributes if "PK" in attribute.keys]
    if any(_is_id(key) and key.type.lower() in _INTEGERS for key in keys):
        return 1.0, ""
    wanted = f"entity `{entity.name}` has no primary key `int id PK`"
    if any(_is_id(key) for key in keys):
        return _PARTIAL, f"{wanted}: its `id` is not an `int`"
    if keys:
        return _POOR, f"{wanted}: its key is `{keys[0].type} {keys[0].name}`"
    if any(_is_id(attribute) for attribute in entity.attributes):
        return _PARTIAL, f"{wanted}: its `id` is not marked `PK`"
    return 0.0, wanted


def _is_id(attribute: Attribute) -> bool:
    return attribute.name.strip("*") == "id"


def _foreign_keys(diagram: Diagram, findings: list[Finding]) -> float | None:
    if not diagram.relations:
        return None if len(diagram.entities) < 2 else 0.0
    earned = 0.0
    for relation in diagram.relations:
        parent, child = parent_and_child(relation)
        ways = [(parent, child)]
        if relation.left_many == relation.right_many:
            ways.append((child, parent))
        share = max(_foreign_key(diagram.entities[to], of) for of, to in ways)
        earned += share
        if share < 1.0:
            key = foreign_key_of(parent)
            what = f"does not mark `{key}` as `FK`" if share else f"has no foreign key `int {key} FK`"
            message = f"entity `{child}` {what} for its relation to `{parent}`"
            findings.append(_at(diagram.entities[child].line, "missing_fk", message))
    return earned / len(diagram.relations)


def _foreign_key(child: Entity, parent: str) -> float:
    wanted = foreign_key_of(parent)
    named = [attribute for attribute in child.attributes if snake_case(attribute.name) == wanted]
    if any("FK" in attribute.keys for attribute in named):
        return 1.0
    return _PARTIAL if named else 0.0


def _naming(diagram: Diagram, findings: list[Finding]) -> float | None:
    attributes = [attribute for entity in diagram.entities.values() for attribute in entity.attributes]
    if not attributes:
        return None
    bad = [attribute for attribute in attributes if not is_snake_case(attribute.name)]
    findings.extend(
        _at(at.line, "naming", f"attribute `{at.name}` is not in snake_case: `{snake_case(at.name)}`", "warning")
        for at in bad
    )
    return 1.0 - len(bad) / len(attributes)


def _duplicates(diagram: Diagram, findings: list[Finding]) -> float:
    clean = 0
    for entity in diagram.entities.values():
        seen: set[str] = set()
        twice = []
        for attribute in entity.attributes:
            name = snake_case(attribute.name)
            if name in seen:
                twice.append(attribute)
            seen.add(name)
        findings.extend(
            _at(at.line, "duplicate_attribute", f"entity `{entity.name}` has the attribute `{at.name}` twice")
            for at in twice
        )
        clean += not twice
    return clean / len(diagram.entities)


def _labels(diagram: Diagram, findings: list[Finding]) -> float | None:
    if not diagram.relations:
        return None if len(diagram.entities) < 2 else 0.0
    bad = [relation for relation in diagram.relations if not is_sensible_label(relation.label)]
    findings.extend(
        _at(at.line, "label", f"the label `{at.label}` of `{at.left}` to `{at.right}` says nothing", "warning")
        for at in bad
    )
    return 1.0 - len(bad) / len(diagram.relations)


def _at(line: int, kind: str, message: str, severity: Severity = "error") -> Finding:
    return Finding(kind, f"line {line}: {message}", line, severity)
