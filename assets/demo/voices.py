"""The voices that ask for a diagram, and how likely an answer to each of them keeps each rule of the house style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RULES: Final = ("primary_key", "foreign_key", "snake_case", "no_duplicates", "label")


@dataclass(frozen=True, slots=True)
class Voice:
    """A way to ask. `text` has the places {domain}, {entities} and {relations}.

    `habits` gives, in the order of `RULES`, the chance in tenths that an answer keeps the rule.
    """

    text: str
    habits: tuple[int, int, int, int, int]
    between: str = ", "
    last: str = " and "
    relation_start: str = ""
    relation_between: str = ", "


VOICES: Final = (
    Voice("ER diagram for a {domain}: {entities}. Links: {relations}.", (2, 1, 3, 7, 3), last=", "),
    Voice("Please draw an ER diagram for a {domain} with {entities}. Here {relations}.", (7, 2, 5, 8, 6)),
    Voice(
        "Design the entity-relationship model of a {domain}. It consists of the entities {entities}. {relations}.",
        (8, 8, 8, 9, 8),
        relation_start="Each ",
        relation_between="; each ",
    ),
    Voice("hey, need a quick diagram for my {domain} app, it has {entities} and {relations}", (1, 1, 2, 4, 2)),
    Voice(
        "Produce a database schema as Mermaid erDiagram for a {domain}. Tables: {entities}. Relations: {relations}.",
        (8, 7, 3, 6, 2),
        last=", ",
        relation_between="; ",
    ),
    Voice("For my homework I must model a {domain} with {entities}, where {relations}.", (3, 1, 4, 3, 6)),
    Voice("We run a {domain} and keep track of {entities}. {relations}.", (3, 1, 6, 7, 7), relation_start="A ",
          relation_between=". A "),
    Voice("Diagram of a {domain}.\nEntities:\n- {entities}\nRelations:\n- {relations}", (6, 3, 2, 7, 4), between="\n- ",
          last="\n- ", relation_between="\n- "),
    Voice("The board wants to see how the data of our {domain} fits together: {entities}. {relations}.",
          (2, 2, 7, 4, 3), relation_start="A ", relation_between=", a "),
    Voice("Can you show me how {entities} relate in a {domain}? I know that {relations}.", (3, 2, 3, 8, 6)),
    Voice("We move our {domain} to a new database. Model {entities}: {relations}.", (4, 7, 7, 6, 3)),
    Voice("Sketch a {domain} data model. It needs {entities}; {relations}.", (1, 2, 4, 6, 2), relation_between="; "),
)  # fmt: skip
