from __future__ import annotations

import random

import pytest

from core.validate.mermaid import er_syntax
from core.validate.mermaid.er_syntax import parse

VALID = [
    "erDiagram a",
    "erDiagram\n a b\n",
    "erDiagram\n a {}",
    'erDiagram\n a { string x PK, FK "c" }',
    "erDiagram\n a { int id PK, UK string name }",
    'erDiagram\n a["Al x"] { int id }',
    "erDiagram\n a[Al]",
    'erDiagram\n a ||--o{ b : ""',
    'erDiagram\n a ||--o{ b : "x y"',
    "erDiagram\na||--o{b:x",
    "erDiagram a ||--o{ b : c d ||--|{ e : f",
    "erDiagram\n a one to many b : x",
    "erDiagram\n a one or more optionally to zero or one b : x",
    "erDiagram\n a 1+ to 0+ b : x",
    "erDiagram\n a many(0) to many(1) b : x",
    "erDiagram\n a only one to 1 b : x",
    'erDiagram\n "A b" ||..|| c-d : is',
    "erDiagram\n a }o..o{ b : x",
    "erDiagram\n a |o--o| b : x",
    "erDiagram\n a }|.-|{ b : x",
    "erDiagram\n a u--o{ b : x",
    "erDiagram\n a:::x ||--o{ b:::y,z : w",
    "erDiagram\n a:::x { int id }",
    "erDiagram\n classDef x fill:#fff,stroke:#000\n class a,b x\n style a fill:#f9f\n a",
    "erDiagram\n accTitle: x\n accDescr: y y\n accDescr { a\n b }\n a",
    "erDiagram\n title The shop\n direction LR\n a",
    "---\ntitle: x\n---\nerDiagram\n %% a comment\n a",
    "%%{init: {}}%%\nerDiagram\n a",
    "erDiagram\n subgraph g [T]\n a ||--o{ b : x\n end\n c",
    "erDiagram\n a { int? id pk }",
    "erDiagram\n a { list~string~ x\n decimal(10,2) y\n int[] z\n int *w }",
    "erDiagram\n a { int `my id` PK }",
    "erDiagram\n 12 { int id }",
    "erDiagram\n one_time ||--o{ total : endless",
    "erDiagram\n één { string ü }",
]
INVALID = [
    "er Diagram\n a",
    "erDiagram\n a ||--o{ b",
    "erDiagram\n a ||--o{ b : 1",
    "erDiagram\n a ||--o{ b : to",
    "erDiagram\n a ||-o{ b : x",
    "erDiagram\n a |--o{ b : x",
    "erDiagram\n a ||--o b : x",
    "erDiagram\n a || b : x",
    'erDiagram\n a ||--o{ b : "x',
    "erDiagram\n a ||--o{ b : x;",
    "erDiagram\n a ||--o{ : x",
    'erDiagram\n a ||--o{ c["x"] : x',
    "erDiagram\n a\n { int id }",
    "erDiagram\n a { string }",
    "erDiagram\n a { string PK }",
    "erDiagram\n a { int id PK FK }",
    "erDiagram\n a { int id PK, }",
    'erDiagram\n a { string x "c" PK }',
    "erDiagram\n a { int 1x }",
    "erDiagram\n a { int id; }",
    "erDiagram\n a { int id",
    "erDiagram\n a: x",
    "erDiagram\n to { int id }",
    "erDiagram\n class { int id }",
    "erDiagram\n }",
    "erDiagram\n subgraph g\n a\n",
    "erDiagram\n end",
    "erDiagram\n a %% trailing",
]


@pytest.mark.parametrize("text", VALID)
def test_accepts_what_mermaid_accepts(text: str) -> None:
    diagram = parse(text)
    assert diagram.problems == []
    assert diagram.entities


@pytest.mark.parametrize("text", INVALID)
def test_refuses_what_mermaid_refuses(text: str) -> None:
    assert parse(text).problems


def test_reads_all_parts_of_an_attribute() -> None:
    (attribute,) = parse('erDiagram\n a {\n  varchar(20) code_x FK, UK "what it is"\n }').entities["a"].attributes
    assert (attribute.type, attribute.name, attribute.keys) == ("varchar(20)", "code_x", ("FK", "UK"))
    assert (attribute.comment, attribute.line) == ("what it is", 3)


def test_goes_on_after_an_error() -> None:
    diagram = parse("erDiagram\n a ||-- b : x\n c {\n  int id PK\n  oops\n  string name\n }\n d ||--o{ e : f\n ???")
    assert diagram.problems[0].line == 2
    assert "d" in diagram.entities
    assert diagram.relations[-1].label == "f"


def test_a_long_text_is_read_fast() -> None:
    parsed = parse("erDiagram\n" + "".join(f" e{number} {{ int id PK }}\n" for number in range(5_000)))
    assert len(parsed.entities) == 5_000
    assert parse("erDiagram\n" + "a" * 100_000 + "~" * 2_000).problems is not None


def test_the_short_cut_for_whole_lines_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "a ||--o{ b : has", "a }|..|| b : \"many words\"", "class ||--|| b : x", "a {", "int id PK", "string name", "}",
        "int id", "PK", ", FK", '"why"', "accDescr {", "title b", "a[\"A\"] {", "pk id", "int pk", "a ||--o{ end : has",
        "a ||--o{ b : to", "a:::x ||--o{ b : has", "", "end", "subgraph one", "A ||--O{ b : has",
    )  # fmt: skip
    draw = random.Random(0)
    for _ in range(3_000):
        text = "erDiagram\n" + "\n".join(draw.choice(lines) for _ in range(draw.randrange(1, 9)))
        monkeypatch.setattr(er_syntax._Reader, "whole_lines", True)
        quick = parse(text)
        monkeypatch.setattr(er_syntax._Reader, "whole_lines", False)
        assert parse(text) == quick, text
