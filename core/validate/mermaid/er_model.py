"""What the parser of Mermaid's entity-relationship diagrams gives."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute line, e.g. `int id PK "the key"`."""

    type: str
    name: str
    keys: tuple[str, ...]
    comment: str
    line: int


@dataclass(slots=True)
class Entity:
    """An entity, merged over all places that name it; `line` is that of its block, else the first that names it."""

    name: str
    line: int
    alias: str = ""
    attributes: list[Attribute] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation line; `left_many` and `right_many` say on which sides there may be many rows."""

    left: str
    right: str
    left_many: bool
    right_many: bool
    label: str
    line: int


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """A place that Mermaid would refuse."""

    line: int
    message: str


@dataclass(slots=True)
class Diagram:
    """What was read: entities by name in order of appearance, relations, problems and the number of lines."""

    entities: dict[str, Entity] = field(default_factory=dict)
    relations: list[Relation] = field(default_factory=list)
    problems: list[SyntaxProblem] = field(default_factory=list)
    lines: int = 0
