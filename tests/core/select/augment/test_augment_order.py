"""Other orders of targets: what may change places, and that a canonical form proves it, checked by hand."""

from __future__ import annotations

import json
import random
from itertools import islice

import pytest

from core.select.augment.data_order import data_orders, same_data
from core.select.augment.diagram_order import diagram_orders, same_diagram

ER = """Here it is:
```mermaid
erDiagram
    a ||--o{ b : has
    b }o..|| c : needs
    photo {
        int id PK
        int b_id FK
    }
    a {
        int id PK
    }
```
Done."""
FLOW = """flowchart TD
    s[Start] --> q{Right?}
    q -->|yes| a[Go on]
    q -->|no| b[Stop]
    a --> e[End]
    b --> e"""
OPENAPI = """openapi: 3.0.0
info:
  title: T
paths:
  /a:
    get:
      responses: {}
  /b:
    get:
      responses: {}
components:
  schemas:
    X:
      type: string
    Y:
      type: object
      properties:
        z: {type: string}
"""


def diagrams(target: str) -> set[str]:
    return set(islice(diagram_orders(target, random.Random(1)), 60))


def data(target: str) -> set[str]:
    return set(islice(data_orders(target, random.Random(1)), 60))


def test_relations_and_entities_change_places_among_themselves() -> None:
    found = diagrams(ER)
    assert len(found) == 4
    swapped = ER.replace("    a ||--o{ b : has\n    b }o..|| c : needs", "    b }o..|| c : needs\n    a ||--o{ b : has")
    assert swapped in found
    for text in found:
        assert same_diagram(ER, text)
        assert text.index("needs") < text.index("photo {")
        assert text.index("int id PK\n        int b_id FK") > 0
        assert text.startswith("Here it is:\n```mermaid\nerDiagram\n")
        assert text.endswith("\n```\nDone.")


@pytest.mark.parametrize(
    "target",
    [
        "",
        "no diagram",
        "erDiagram\n    a ||--o{ b : has",
        "erDiagram\n    a ||--o{ b : has\n    a ||-- b : wrong",  # Mermaid refuses it
        ER.replace("\n    a {", "\n    %% the next one\n    a {"),  # a comment belongs to what follows it
        ER.replace("\n", "\r\n"),
        "sequenceDiagram\n    A->>B: one\n    B->>A: two",
        "stateDiagram-v2\n    a --> b\n    b --> c",
        " " * 50_000 + ER,
    ],
)
def test_what_has_an_order_or_is_not_sure_stays(target: str) -> None:
    assert diagrams(target) == set()


def test_another_diagram_is_not_the_same() -> None:
    assert not same_diagram(ER, ER.replace("has", "holds"))
    assert not same_diagram(ER, ER.replace("||--o{", "||..o{"))
    attributes = ER.replace("        int id PK\n        int b_id FK", "        int b_id FK\n        int id PK")
    assert not same_diagram(ER, attributes)
    assert not same_diagram("text", "text")


def test_only_the_branches_of_one_node_change_places_in_a_flowchart() -> None:
    yes, no = "    q -->|yes| a[Go on]", "    q -->|no| b[Stop]"
    assert diagrams(FLOW) == {FLOW, FLOW.replace(f"{yes}\n{no}", f"{no}\n{yes}")}
    assert all(same_diagram(FLOW, text) for text in diagrams(FLOW))
    assert diagrams(FLOW + "\n    linkStyle 1 stroke:red") == set()


def test_a_label_that_the_order_would_change_is_not_proved() -> None:
    twice = "flowchart TD\n    q --> a[One]\n    q --> a[Two]"
    other = "flowchart TD\n    q --> a[Two]\n    q --> a[One]"
    assert other in diagrams(twice)
    assert not same_diagram(twice, other)


@pytest.mark.parametrize(
    "written",
    [
        '{"a": 1, "b": {"c": [3, 1, 2], "d": null}}',
        '{"a":1,"b":{"c":"é","d":true}}',
        '```json\n{\n  "a": 1,\n  "b": {\n    "c": "x",\n    "d": 2\n  }\n}\n```\nThat is all.',
        'The answer is {"a": 1, "b": {"c": 1, "d": 2}}.',
    ],
)
def test_keys_of_json_change_places_and_nothing_else(written: str) -> None:
    found = data(written)
    assert len(found) == 4
    assert all(same_data(written, text) and len(text) == len(written) for text in found)


@pytest.mark.parametrize(
    "written",
    [
        '{"a": 1}',
        "[3, 1, 2]",
        '{"a": 1, "a": 2, "b": 3}',
        '{"a": NaN, "b": 3}',
        '{ "a" :1,"b": 2}',  # no style of its own: it could not be written the same again
        '{"a": 1.50, "b": 2}',
        '{"reasoning": "since …", "label": "scam"}',  # reasons first
        "{broken",
        "plain text",
        "[" * 5_000,
    ],
)
def test_json_without_a_free_order_stays(written: str) -> None:
    assert data(written) == set()


def test_other_data_is_not_the_same() -> None:
    assert not same_data('{"a": 1, "b": 2}', '{"a": 2, "b": 1}')
    assert not same_data('{"a": 1, "b": true}', '{"a": true, "b": 1}')
    assert not same_data("no data", "no data at all")
    assert not same_data("ab {}", "ba {}")


def test_paths_and_components_of_openapi_change_places() -> None:
    found = data(OPENAPI)
    assert len(found) == 4
    for text in found:
        assert same_data(OPENAPI, text)
        assert text.startswith("openapi: 3.0.0\ninfo:\n  title: T\npaths:\n")
    assert data(OPENAPI.replace("  /b:", "  # two\n  /b:")) == set()


def test_openapi_in_json_keeps_its_head() -> None:
    document = {"openapi": "3.0.0", "info": {"title": "T", "version": "1"}, "paths": {"/a": {"x": 1, "y": 2}, "/b": {}}}
    written = json.dumps(document, indent=2)
    found = data(written)
    assert len(found) == 2
    for text in found:
        assert list(json.loads(text)) == ["openapi", "info", "paths"]
        assert list(json.loads(text)["paths"]["/a"]) == ["x", "y"]
        assert same_data(written, text)
